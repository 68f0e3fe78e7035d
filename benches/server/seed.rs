//! The data: users as JumpCloud sends them, the same with the same ids for the floor and for Frontdesk. Frontdesk's rows are computed
//! by its own code, from the document door to the employee, and copied in with every index in place, as they are in production.
//! Not here: events. A history belongs to users who were provisioned one by one.

use std::fmt::Write as _;

use frontdesk::scim::catalog::USER;
use frontdesk::scim::document::{Document, unique_key};
use frontdesk::scim::reader::{Conformance, Limits, Reader};
use frontdesk::workplace::{Settings, profiles};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::Outcome;

/// Users a batch.
const BATCH: usize = 10_000;

/// Many share a title, as in life; no title holds the text that the scans look for.
const TITLES: usize = 500;

/// The schemas that a user names.
const SCHEMAS: [&str; 2] = ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"];

/// The number from which on users are not seeded but created by requests.
pub(crate) const FIRST_CREATED: usize = 10_000_000;

/// The external ids of created users, as a condition; one digit longer than those of seeded ones.
const IS_CREATED: &str = "external_id ~ '^employee-[0-9]{8}'";

pub(crate) fn user_name(number: usize) -> String {
    format!("Given{number:07}.Family@example.com")
}

pub(crate) fn user_name_key(number: usize) -> String {
    user_name(number).to_lowercase()
}

pub(crate) fn external_id(number: usize) -> String {
    format!("employee-{number:07}")
}

pub(crate) fn email(number: usize) -> String {
    format!("given{number:07}@corp.example.com")
}

pub(crate) fn nick_name(number: usize) -> String {
    format!("nick{number:07}")
}

/// A user as an identity provider sends it.
pub(crate) fn user(number: usize) -> Value {
    let (given, family) = (format!("Given{number}"), format!("Family{}", number % 5_003));
    json!({
        "schemas": SCHEMAS,
        "userName": user_name(number),
        "externalId": external_id(number),
        "active": true,
        "name": { "givenName": given, "familyName": family },
        "displayName": format!("{given} {family}"),
        "nickName": nick_name(number),
        "title": format!("Title {}", number % TITLES),
        "userType": "Full time",
        "emails": [
            { "value": email(number), "type": "work", "primary": true },
            { "value": format!("home{number:07}@example.net"), "type": "home" }
        ],
        "phoneNumbers": [{ "value": format!("tel:+1-555-{number:07}"), "type": "work" }],
        "addresses": [{
            "type": "work", "primary": true, "streetAddress": format!("{} Main Street", number % 997),
            "locality": format!("City {}", number % 101), "region": "CO", "postalCode": "80301", "country": "US"
        }],
        (SCHEMAS[1]): {
            "employeeNumber": number.to_string(), "costCenter": format!("CC-{}", number % 211),
            "organization": format!("Organization {}", number % 37), "department": format!("Department {}", number % 307),
            "manager": { "value": external_id(number / 10) }
        }
    })
}

/// Copies users `ids.len()..upto` into both databases and remembers their ids.
pub(crate) async fn load(ids: &mut Vec<Uuid>, upto: usize, tenant: Uuid, floor: &str, frontdesk: &str) -> Outcome<()> {
    let from = ids.len();
    ids.extend((from..upto).map(|_| Uuid::now_v7()));
    let (sender, mut batches) = mpsc::channel(2);
    let new = ids[from..].to_vec();
    let making = std::thread::spawn(move || {
        for (at, ids) in new.chunks(BATCH).enumerate() {
            if sender.blocking_send(Batch::of(from + at * BATCH, ids, tenant)).is_err() {
                break;
            }
        }
    });
    let (mut floor, mut frontdesk) = (PgConnection::connect(floor).await?, PgConnection::connect(frontdesk).await?);
    let mut done = from;
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        tokio::try_join!(
            copy(&mut floor, "copy users (id, user_name_key, external_id, document) from stdin", batch.floor),
            copy(
                &mut frontdesk,
                "copy users (tenant_id, id, document, folded, unmapped, user_name, user_name_key, display_name, external_id, active,
                     first_name, last_name, name, title, email, phone, location, cost_center, employment_type, department_name,
                     team_name, manager_id, custom, missing, email_key, manager_key, created_at, updated_at) from stdin",
                batch.frontdesk
            )
        )?;
        done += BATCH;
        crate::progress(&format!("seeding: {} of {upto} users", done.min(upto)));
    }
    making.join().map_err(|_| "making the users panicked")?;
    for connection in [&mut floor, &mut frontdesk] {
        sqlx::raw_sql("vacuum (analyze) users").execute(&mut *connection).await?;
        sqlx::raw_sql("checkpoint").execute(&mut *connection).await?;
    }
    Ok(())
}

/// Deletes the users that requests have created, so that both databases hold the same again, as tidy as before.
pub(crate) async fn delete_created(floor: &str, frontdesk: &str) -> Outcome<()> {
    for url in [floor, frontdesk] {
        let statement = format!("delete from users where {IS_CREATED}");
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        sqlx::raw_sql("vacuum (analyze) users").execute(&mut connection).await?;
    }
    Ok(())
}

/// Sends lines in COPY's text format.
pub(crate) async fn copy(connection: &mut PgConnection, statement: &'static str, lines: Vec<u8>) -> Outcome<u64> {
    let mut copying = connection.copy_in_raw(statement).await?;
    copying.send(lines).await?;
    Ok(copying.finish().await?)
}

/// Rows in COPY's text format, for both databases.
struct Batch {
    floor: Vec<u8>,
    frontdesk: Vec<u8>,
}

impl Batch {
    fn of(first: usize, ids: &[Uuid], tenant: Uuid) -> Outcome<Self> {
        let (mut floor, mut frontdesk) = (String::new(), String::new());
        for (number, id) in (first..).zip(ids) {
            write_rows(number, *id, tenant, &mut floor, &mut frontdesk)?;
        }
        Ok(Self { floor: floor.into_bytes(), frontdesk: frontdesk.into_bytes() })
    }
}

/// One user: through the door, then every column that is derived from the document.
fn write_rows(number: usize, id: Uuid, tenant: Uuid, floor: &mut String, frontdesk: &mut String) -> Outcome<()> {
    let Value::Object(body) = user(number) else { return Err("a user is an object".into()) };
    let mut reader = Reader::new(Conformance::Lenient, Limits::default());
    let reading = Document::read(&USER, body, &mut reader).map_err(|error| error.detail)?;
    let document = &reading.document;
    let mapping = profiles::shipped("spaceiq").ok_or("the profile spaceiq is shipped")?;
    let employee = mapping.employee(document.as_map(), &reading.unmapped, &Settings::default());
    let name = document.text("userName").unwrap_or_default();
    let key = |value: &Option<String>| value.as_deref().and_then(|value| unique_key("", value).ok());
    let now = frontdesk::scim::text::format_date_time(chrono::Utc::now());
    let mut whole = document.clone().into_map();
    whole.insert("id".into(), id.to_string().into());
    whole.insert("meta".into(), json!({ "resourceType": "User" }));

    let id = id.to_string();
    let name_key = unique_key("userName", name).map_err(|error| error.detail)?;
    let external_id = document.text("externalId");
    line(floor, &[Some(&id), Some(&name_key), external_id, Some(&serde_json::to_string(&whole)?)]);
    line(
        frontdesk,
        &[
            Some(&tenant.to_string()),
            Some(&id),
            Some(&document.to_text()),
            Some(&document.folded(&USER, id.parse()?).to_string()),
            Some(&serde_json::to_string(&reading.unmapped)?),
            Some(name),
            Some(&name_key),
            Some(document.text("displayName").unwrap_or(name)),
            external_id,
            Some(if document.is_active() { "t" } else { "f" }),
            employee.first_name.as_deref(),
            employee.last_name.as_deref(),
            employee.name.as_deref(),
            employee.title.as_deref(),
            employee.email.as_deref(),
            employee.phone.as_deref(),
            employee.location.as_deref(),
            employee.cost_center.as_deref(),
            employee.employment_type.as_deref(),
            employee.department_name.as_deref(),
            employee.team_name.as_deref(),
            employee.manager_id.as_deref(),
            Some(&serde_json::to_string(&employee.custom)?),
            Some(&format!("{{{}}}", employee.missing.join(","))),
            key(&employee.email).as_deref(),
            key(&employee.manager_id).as_deref(),
            Some(&now),
            Some(&now),
        ],
    );
    Ok(())
}

/// A row: fields between tabs, null as `\N`.
fn line(out: &mut String, fields: &[Option<&str>]) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push('\t');
        }
        let Some(text) = field else {
            out.push_str("\\N");
            continue;
        };
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                other => out.push(other),
            }
        }
    }
    out.push('\n');
}

/// Makes groups of so many users each, spread evenly, in both databases; `ids` are those of the groups, which Frontdesk has already.
pub(crate) async fn load_members(groups: &[Group], users: &[Uuid], tenant: Uuid, floor: &str, frontdesk: &str) -> Outcome<()> {
    let (mut floor, mut frontdesk) = (PgConnection::connect(floor).await?, PgConnection::connect(frontdesk).await?);
    // The users and the groups are there; looking each up again would double the time.
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut frontdesk).await?;
    for group in groups {
        let (mut pairs, mut rows) = (String::new(), String::new());
        for member in group.members(users.len()) {
            let _ = writeln!(pairs, "{}\t{}", group.id, users[member]);
            let _ = writeln!(rows, "{tenant}\t{}\t{}", group.id, users[member]);
        }
        tokio::try_join!(
            copy(&mut floor, "copy members (group_id, user_id) from stdin", pairs.into_bytes()),
            copy(&mut frontdesk, "copy members (tenant_id, group_id, user_id) from stdin", rows.into_bytes())
        )?;
    }
    for connection in [&mut floor, &mut frontdesk] {
        sqlx::raw_sql("vacuum (analyze) members").execute(&mut *connection).await?;
        sqlx::raw_sql("checkpoint").execute(&mut *connection).await?;
    }
    Ok(())
}

/// A group whose members are neighbours, beginning with a user; behind the last user comes the first.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: Uuid,
    pub(crate) first: usize,
    pub(crate) size: usize,
}

impl Group {
    fn members(&self, users: usize) -> impl Iterator<Item = usize> {
        (self.first..self.first + self.size).map(move |member| member % users)
    }

    /// Somebody who is no member.
    pub(crate) fn stranger(&self, number: usize, users: usize) -> usize {
        let strangers = users - self.size;
        (self.first + self.size + number % strangers) % users
    }
}
