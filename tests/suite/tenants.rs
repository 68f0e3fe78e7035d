//! Tenants and connections: made once, changed, recorded.

use frontdesk::directory::{Conformance, Error, Profile, Provider, State};
use uuid::Uuid;

use crate::support::{OwnDatabase, connection, directory, observer, tenant, unique};

fn sentence(error: Error) -> String {
    match error {
        Error::Scim(error) => error.detail,
        other => panic!("not a sentence for the client: {other:?}"),
    }
}

async fn events(tenant_id: Uuid) -> Vec<(String, String, String)> {
    sqlx::query_as("select kind, resource_type, change::text from events where tenant_id = $1 order by id")
        .bind(tenant_id)
        .fetch_all(&mut observer().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tenant_is_found_by_its_slug() {
    let directory = directory().await;
    let slug = unique("acme");
    let made = directory.create_tenant(&slug, Some("Acme North"), Profile::OfficeSpace).await.unwrap();
    let found = directory.find_tenant(&slug).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.profile), (made.id, "Acme North", Profile::OfficeSpace));
    assert!(directory.tenants().await.unwrap().iter().any(|tenant| tenant.slug == slug));
    assert!(directory.find_tenant("nobody-has-this").await.unwrap().is_none());
}

#[tokio::test]
async fn a_slug_is_taken_once() {
    let directory = directory().await;
    let tenant = tenant(&directory).await;
    let error = directory.create_tenant(&tenant.slug, None, Profile::SpaceIq).await.unwrap_err();
    assert_eq!(sentence(error), format!("there is already a tenant \"{}\"", tenant.slug));
}

#[tokio::test]
async fn a_slug_of_another_form_is_refused_with_the_rule() {
    let error = directory().await.create_tenant("Acme Corp", None, Profile::SpaceIq).await.unwrap_err();
    assert_eq!(sentence(error), "a tenant's slug has 1 to 63 lower-case letters, digits and hyphens; \"Acme Corp\" has not");
}

#[tokio::test]
async fn a_setting_changes_and_the_others_stay() {
    let directory = directory().await;
    let slug = tenant(&directory).await.slug;
    directory.set_tenant(&slug, "require_complete", "true").await.unwrap();
    let changed = directory.set_tenant(&slug, "unique_group_names", "false").await.unwrap().unwrap();
    assert!(changed.settings.require_complete && !changed.settings.unique_group_names && changed.settings.division_is_department);
    assert!(directory.set_tenant("nobody-has-this", "require_complete", "true").await.unwrap().is_none());
    assert!(matches!(directory.set_tenant(&slug, "require_complete", "maybe").await, Err(Error::Scim(_))));
}

#[tokio::test]
async fn a_connection_is_recorded_from_activation_to_deletion() {
    let directory = directory().await;
    let (tenant, connection) = connection(&directory).await;
    assert_eq!((connection.state, connection.conformance), (State::Active, Conformance::Lenient));

    let set = async |state| directory.set_connection_state(tenant.id, "jumpcloud", state).await.unwrap();
    assert_eq!(set(State::Paused).await, Some(true));
    assert_eq!(set(State::Paused).await, Some(false), "it was paused already");
    assert_eq!(set(State::Active).await, Some(true));
    directory.delete_connection(tenant.id, "jumpcloud").await.unwrap().unwrap();

    let kinds: Vec<_> = events(tenant.id).await.into_iter().map(|(kind, ..)| kind).collect();
    let (on, off) = ("idm_integration_activate", "idm_integration_deactivate");
    assert_eq!(kinds, [on, off, on, off]);
    let last = events(tenant.id).await.pop().unwrap();
    assert_eq!((last.1.as_str(), last.2.as_str()), ("Connection", r#"{"name": "jumpcloud", "deleted": true, "provider": "jumpcloud"}"#));
}

#[tokio::test]
async fn connections_that_do_not_exist_are_none() {
    let directory = directory().await;
    let tenant = tenant(&directory).await;
    assert!(directory.find_connection(tenant.id, "x").await.unwrap().is_none());
    assert!(directory.set_connection_state(tenant.id, "x", State::Paused).await.unwrap().is_none());
    assert!(directory.set_conformance(tenant.id, "x", Conformance::Strict).await.unwrap().is_none());
    assert!(directory.delete_connection(tenant.id, "x").await.unwrap().is_none());
    assert!(events(tenant.id).await.is_empty());
}

#[tokio::test]
async fn a_connection_belongs_to_its_tenant_alone() {
    let directory = directory().await;
    let (ours, _) = connection(&directory).await;
    let (theirs, _) = connection(&directory).await;
    directory.delete_connection(theirs.id, "jumpcloud").await.unwrap().unwrap();
    assert_eq!(directory.connections(ours.id).await.unwrap().len(), 1);
    assert!(directory.connections(theirs.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_connections_name_is_taken_once_in_its_tenant() {
    let directory = directory().await;
    let (tenant, _) = connection(&directory).await;
    let again = directory.create_connection(tenant.id, "jumpcloud", Provider::Okta, Conformance::Lenient).await.unwrap_err();
    assert_eq!(sentence(again), "the tenant has already a connection \"jumpcloud\"");
    let nowhere = directory.create_connection(Uuid::now_v7(), "jumpcloud", Provider::Okta, Conformance::Lenient).await.unwrap_err();
    assert!(sentence(nowhere).contains("does not exist"));
    let broken = directory.create_connection(tenant.id, "a\nb", Provider::Okta, Conformance::Lenient).await.unwrap_err();
    assert!(sentence(broken).starts_with("the connection's name has 1 to 100 printable characters"));
}

#[tokio::test]
async fn every_provider_is_stored_and_read() {
    let directory = directory().await;
    let tenant = tenant(&directory).await;
    for (word, provider) in Provider::WORDS {
        directory.create_connection(tenant.id, word, *provider, Conformance::Strict).await.unwrap();
        let found = directory.find_connection(tenant.id, word).await.unwrap().unwrap();
        assert_eq!((found.provider, found.conformance), (*provider, Conformance::Strict));
    }
}

#[tokio::test]
async fn of_many_first_starts_one_furnishes_the_database() {
    let database = OwnDatabase::create().await;
    let directory = database.directory().await;
    assert!(directory.ready().await.is_err(), "without the schema nothing can be served");
    let migrations: Vec<_> = (0..4).map(|_| directory.clone()).map(|each| tokio::spawn(async move { each.migrate().await })).collect();
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    directory.ready().await.unwrap();

    let starts: Vec<_> = (0..8).map(|_| directory.clone()).map(|each| tokio::spawn(async move { each.bootstrap().await })).collect();
    let mut first = Vec::new();
    for start in starts {
        first.extend(start.await.unwrap().unwrap());
    }
    let [start] = first.as_slice() else { panic!("{} of 8 servers furnished the database", first.len()) };
    let caller = directory.authenticate(&start.token).await.unwrap().unwrap();
    assert_eq!((caller.tenant_slug.as_str(), caller.connection_name.as_str()), ("default", "jumpcloud"));
    assert!(directory.bootstrap().await.unwrap().is_none());
    let stock = async || directory.stock().await.map(|stock| (stock.tenants, stock.connections, stock.tokens)).unwrap();
    assert_eq!(stock().await, (1, 1, 1));
    directory.set_connection_state(start.tenant.id, "jumpcloud", State::Paused).await.unwrap();
    assert_eq!(stock().await, (1, 0, 0), "what is paused does not count");

    directory.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_database_with_a_tenant_is_left_alone() {
    let database = OwnDatabase::create().await;
    let directory = database.directory().await;
    directory.migrate().await.unwrap();
    directory.create_tenant("acme", None, Profile::SpaceIq).await.unwrap();
    assert!(directory.bootstrap().await.unwrap().is_none());
    assert_eq!(directory.tenants().await.unwrap().len(), 1);
    directory.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_server_tells_its_condition() {
    let directory = directory().await;
    let server = directory.server().await.unwrap();
    assert!(server.version >= 150_000 && server.btree_gin && !server.read_only);
    assert_eq!(server.encoding, "UTF8");
    assert!(directory.missing_migrations().await.unwrap().is_empty());
}
