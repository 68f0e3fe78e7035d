//! Tokens against the database: who is let in, until when, and what is written down.

use std::time::{Duration, Instant};

use frontdesk::directory::{Conformance, Directory, Error, MAX_LIVE_TOKENS, State, Token};
use uuid::Uuid;

use crate::support::{connection, directory, observer, settings, url};

/// Asks until a token is refused; none that is asked about later than `limit` from now may be let in. How long an answer takes does
/// not count: the machine may be slow.
async fn assert_refused_within(directory: &Directory, token: &Token, limit: Duration) {
    let since = Instant::now();
    loop {
        let asked = since.elapsed();
        if directory.authenticate(token).await.unwrap().is_none() {
            return;
        }
        assert!(asked <= limit, "the token still works after {asked:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long a token is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_token_tells_who_the_caller_is() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    directory.set_conformance(tenant.id, "jumpcloud", Conformance::Strict).await.unwrap();
    directory.set_tenant(&tenant.slug, "keep_passwords", "true").await.unwrap();
    let token = directory.create_token(&connection, Some("for JumpCloud"), None).await.unwrap();

    let caller = directory.authenticate(&token).await.unwrap().unwrap();
    assert_eq!((caller.tenant_id, &caller.tenant_slug), (tenant.id, &tenant.slug));
    assert_eq!((caller.connection_id, caller.connection_name.as_str()), (connection.id, "jumpcloud"));
    assert!(caller.conformance == Conformance::Strict && caller.settings.keep_passwords);
    let listed = directory.tokens(tenant.id, Some(connection.id)).await.unwrap();
    assert_eq!((listed[0].id, listed[0].label.as_deref(), listed[0].live), (caller.token_id, Some("for JumpCloud"), true));
}

#[tokio::test]
async fn the_secret_is_not_in_the_database() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    let token = directory.create_token(&connection, None, None).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar("select tokens::text from tokens where tenant_id = $1")
        .bind(tenant.id)
        .fetch_all(&mut observer().await)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].contains(&token.reveal()[3..33]));
}

#[tokio::test]
async fn a_token_nobody_has_is_no_caller() {
    assert!(directory().await.authenticate(&Token::generate().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_revoked_token_stops_within_a_second_in_every_process() {
    let (ours, theirs) = (directory().await, directory().await);
    let (_, connection) = connection(&ours).await;
    let token = ours.create_token(&connection, None, None).await.unwrap();
    let id = ours.authenticate(&token).await.unwrap().unwrap().token_id;
    theirs.authenticate(&token).await.unwrap().unwrap();

    assert!(ours.revoke_token(id).await.unwrap());
    tokio::join!(assert_refused_within(&ours, &token, REMEMBERED), assert_refused_within(&theirs, &token, REMEMBERED));
    let first = ours.tokens(connection.tenant_id, None).await.unwrap()[0].revoked_at;
    assert!(ours.revoke_token(id).await.unwrap(), "again changes nothing");
    assert_eq!(ours.tokens(connection.tenant_id, None).await.unwrap()[0].revoked_at, first);
    assert!(!ours.revoke_token(Uuid::now_v7()).await.unwrap());
}

#[tokio::test]
async fn a_token_expires_by_the_databases_clock() {
    const LIFE: Duration = Duration::from_millis(400);
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    let token = directory.create_token(&connection, None, Some(LIFE)).await.unwrap();
    assert!(directory.authenticate(&token).await.unwrap().is_some());
    assert_refused_within(&directory, &token, REMEMBERED + LIFE).await;
    assert!(!directory.tokens(tenant.id, None).await.unwrap()[0].live);
    for life in [Duration::ZERO, Duration::MAX] {
        assert!(matches!(directory.create_token(&connection, None, Some(life)).await, Err(Error::Scim(_))));
    }
}

#[tokio::test]
async fn a_paused_connection_refuses_its_tokens_until_it_is_resumed() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    let token = directory.create_token(&connection, None, None).await.unwrap();
    directory.set_connection_state(tenant.id, "jumpcloud", State::Paused).await.unwrap();
    assert_refused_within(&directory, &token, REMEMBERED).await;
    directory.set_connection_state(tenant.id, "jumpcloud", State::Active).await.unwrap();
    assert!(directory.authenticate(&token).await.unwrap().is_some());
    directory.delete_connection(tenant.id, "jumpcloud").await.unwrap();
    assert_refused_within(&directory, &token, REMEMBERED).await;
    assert!(matches!(directory.create_token(&connection, None, None).await, Err(Error::Scim(_))));
}

#[tokio::test]
async fn a_connection_has_at_most_ten_live_tokens_even_when_all_are_asked_for_at_once() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    let asked: Vec<_> = (0..25)
        .map(|_| (directory.clone(), connection.clone()))
        .map(|(directory, connection)| tokio::spawn(async move { directory.create_token(&connection, None, None).await }))
        .collect();
    let mut made = 0;
    for token in asked {
        match token.await.unwrap() {
            Ok(_) => made += 1,
            Err(Error::Scim(error)) => assert!(error.detail.contains("10 live tokens"), "{}", error.detail),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, MAX_LIVE_TOKENS);
    let oldest = directory.tokens(tenant.id, None).await.unwrap()[0].id;
    directory.revoke_token(oldest).await.unwrap();
    directory.create_token(&connection, None, None).await.unwrap();
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_behind_the_request() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    let token = directory.create_token(&connection, None, None).await.unwrap();
    let last_used = async || directory.tokens(tenant.id, None).await.unwrap()[0].last_used_at;
    assert_eq!(last_used().await, None);
    directory.authenticate(&token).await.unwrap().unwrap();
    let first = loop {
        if let Some(first) = last_used().await {
            break first;
        }
        tokio::task::yield_now().await;
    };

    // A server that has not seen the token asks the database, and finds the minute not over.
    let other = crate::support::directory().await;
    other.authenticate(&token).await.unwrap().unwrap();
    other.close().await;
    assert_eq!(last_used().await, Some(first));

    sqlx::query("update tokens set last_used_at = last_used_at - interval '2 minutes' where tenant_id = $1")
        .bind(tenant.id)
        .execute(&mut observer().await)
        .await
        .unwrap();
    let later = crate::support::directory().await;
    later.authenticate(&token).await.unwrap().unwrap();
    while last_used().await < Some(first) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_the_database_a_token_is_neither_good_nor_bad() {
    let directory = Directory::open(url().await, &settings()).await.unwrap();
    let token = Token::generate().unwrap();
    directory.close().await;
    assert!(matches!(directory.authenticate(&token).await, Err(Error::Unavailable(_))));
}
