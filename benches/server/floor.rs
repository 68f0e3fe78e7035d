//! The floor: what a bare handler over axum, sqlx and PostgreSQL does for the same request on the same machine. One statement a
//! request (a change reads, modifies and writes in a transaction; a page by index counts first), no token, no schema, no limit, no
//! event. What Frontdesk adds to a request is what it takes beyond this.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::ListenerExt as _;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use crate::Outcome;

/// Connections of the pool: as many as Frontdesk has by default.
const POOL_SIZE: u32 = 10;

/// The tables: what the statements need, with the indexes that their conditions need.
pub(crate) const TABLES: &str = "
    create table users (
        id uuid primary key,
        seq bigint generated always as identity unique,
        user_name_key text not null unique,
        external_id text,
        document jsonb not null
    );
    create index users_external_id on users (external_id);
    create table members (
        group_id uuid not null,
        user_id uuid not null,
        primary key (group_id, user_id)
    );
    create index members_user on members (user_id, group_id);
";

/// Serves until it is killed; prints the port.
pub(crate) async fn serve(url: &str) -> Outcome<()> {
    let pool = PgPoolOptions::new().max_connections(POOL_SIZE).test_before_acquire(false).connect(url).await?;
    let app = Router::new()
        .route("/Users", post(create))
        .route("/Users/{id}", get(read).put(replace).patch(patch))
        .route("/by-user-name/{key}", get(by_user_name))
        .route("/by-external-id/{id}", get(by_external_id))
        .route("/pages/by-index/{offset}", get(page_by_index))
        .route("/pages/{after}", get(page_by_keyset))
        .route("/Groups/{group}/members/{user}", put(add_member).delete(remove_member))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let listener = listener.tap_io(|stream| {
        // Without it an answer may wait for the acknowledgement of the one before; the connection works either way.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

/// A fault ends the measurement, so what it was is all that is told.
struct Fault(String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

type Answer = Result<Response, Fault>;

fn scim(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/scim+json")], body).into_response()
}

fn found(document: Option<String>) -> Response {
    document.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |document| scim(StatusCode::OK, document))
}

fn list(documents: &[String]) -> Response {
    let (total, documents) = (documents.len(), documents.join(","));
    scim(StatusCode::OK, format!("{{\"totalResults\":{total},\"Resources\":[{documents}]}}"))
}

async fn read(State(pool): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    let document = sqlx::query_scalar("select document::text from users where id = $1").bind(id).fetch_optional(&pool).await?;
    Ok(found(document))
}

async fn by_user_name(State(pool): State<PgPool>, Path(key): Path<String>) -> Answer {
    let statement = "select document::text from users where user_name_key = $1";
    Ok(list(&sqlx::query_scalar(statement).bind(key).fetch_all(&pool).await?))
}

async fn by_external_id(State(pool): State<PgPool>, Path(id): Path<String>) -> Answer {
    let statement = "select document::text from users where external_id = $1";
    Ok(list(&sqlx::query_scalar(statement).bind(id).fetch_all(&pool).await?))
}

/// A page of 100 behind so many users, and the total.
async fn page_by_index(State(pool): State<PgPool>, Path(offset): Path<i64>) -> Answer {
    let total: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&pool).await?;
    let statement =
        "select document::text from users join (select seq from users order by seq limit 100 offset $1) page using (seq) order by seq";
    let documents: Vec<String> = sqlx::query_scalar(statement).bind(offset).fetch_all(&pool).await?;
    let (count, documents) = (documents.len(), documents.join(","));
    Ok(scim(StatusCode::OK, format!("{{\"totalResults\":{total},\"itemsPerPage\":{count},\"Resources\":[{documents}]}}")))
}

/// A page of 100 behind a place, and the place of the next, without a total: what a page can cost at the least.
async fn page_by_keyset(State(pool): State<PgPool>, Path(after): Path<i64>) -> Answer {
    let statement = "select seq, document::text from users where seq > $1 order by seq limit 100";
    let rows = sqlx::query(statement).bind(after).fetch_all(&pool).await?;
    let next = rows.last().map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or(after);
    let documents = rows.iter().map(|row| row.try_get(1)).collect::<Result<Vec<&str>, _>>()?;
    let (count, documents) = (rows.len(), documents.join(","));
    Ok(scim(StatusCode::OK, format!("{{\"next\":{next},\"itemsPerPage\":{count},\"Resources\":[{documents}]}}")))
}

async fn create(State(pool): State<PgPool>, body: Bytes) -> Answer {
    let mut document: Map<String, Value> = serde_json::from_slice(&body)?;
    let id = Uuid::now_v7();
    document.insert("id".into(), id.to_string().into());
    document.insert("meta".into(), json!({ "resourceType": "User" }));
    let text = serde_json::to_string(&document)?;
    let member = |name: &str| document.get(name).and_then(Value::as_str);
    sqlx::query("insert into users (id, user_name_key, external_id, document) values ($1, $2, $3, $4::jsonb)")
        .bind(id)
        .bind(member("userName").map(str::to_lowercase))
        .bind(member("externalId"))
        .bind(&text)
        .execute(&pool)
        .await?;
    Ok(scim(StatusCode::CREATED, text))
}

async fn replace(State(pool): State<PgPool>, Path(id): Path<Uuid>, body: Bytes) -> Answer {
    let sent: Map<String, Value> = serde_json::from_slice(&body)?;
    modify(&pool, id, |document| *document = sent).await
}

async fn patch(State(pool): State<PgPool>, Path(id): Path<Uuid>, body: Bytes) -> Answer {
    let sent: Value = serde_json::from_slice(&body)?;
    modify(&pool, id, |document| {
        document.insert("active".into(), sent["Operations"][0]["value"].clone());
    })
    .await
}

/// Reads, modifies and writes under the row's lock.
#[expect(clippy::disallowed_methods, reason = "the floor does what a plain server with sqlx does")]
async fn modify(pool: &PgPool, id: Uuid, change: impl FnOnce(&mut Map<String, Value>)) -> Answer {
    let mut transaction = pool.begin().await?;
    let statement = "select document::text from users where id = $1 for update";
    let text: Option<String> = sqlx::query_scalar(statement).bind(id).fetch_optional(&mut *transaction).await?;
    let Some(text) = text else { return Ok(found(None)) };
    let mut document = serde_json::from_str(&text)?;
    change(&mut document);
    let text = serde_json::to_string(&document)?;
    let statement = "update users set document = $2::jsonb where id = $1";
    sqlx::query(statement).bind(id).bind(&text).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found(Some(text)))
}

async fn add_member(State(pool): State<PgPool>, Path((group, user)): Path<(Uuid, Uuid)>) -> Answer {
    let statement = "insert into members (group_id, user_id) values ($1, $2) on conflict do nothing";
    sqlx::query(statement).bind(group).bind(user).execute(&pool).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_member(State(pool): State<PgPool>, Path((group, user)): Path<(Uuid, Uuid)>) -> Answer {
    let statement = "delete from members where group_id = $1 and user_id = $2";
    sqlx::query(statement).bind(group).bind(user).execute(&pool).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
