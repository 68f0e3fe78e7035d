//! The conversations that identity providers have with a SCIM server (RFC 7644), one file a client, to be had with any server:
//! `frontdesk simulate` does so over HTTP, the tests do so with the router.
//!
//! A conversation is data: [`Step`]s made by a pure function from a [`Cast`]. Each is a whole life in the client's wire style:
//! connection test, lookup, create, adopt after 409, update, deactivate, reactivate, groups, import, delete, and after every
//! change the state is read back. [`run`] sends the steps and judges the answers. How a client writes is known from vendors'
//! documentation, published sources and captures; docs/clients.md says which of it is inferred. Nothing here knows our own server.

mod authentik;
mod cast;
mod entra;
mod google;
mod judge;
mod jumpcloud;
mod keycloak;
mod okta;
mod onelogin;
mod oracle;
mod ping;
mod rauthy;
mod rippling;
mod runner;
mod sailpoint;
mod step;
mod transport;

use std::time::Duration;

pub use cast::{Cast, Person, Team};
pub use runner::{Exchange, Report, Verdict, run};
pub use step::Step;
pub use transport::{Answer, Transport};

/// How long a client waits for an answer when its vendor says nothing: Okta's socket time-out.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client and how it talks.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The word on the command line.
    pub word: &'static str,
    /// The headers of each request, beside the token.
    pub headers: &'static [(&'static str, &'static str)],
    /// How long it waits for an answer.
    pub patience: Duration,
    /// Whether it provisions groups, too.
    pub groups: bool,
    /// What it says.
    pub conversation: fn(&Cast) -> Vec<Step>,
}

/// The media type of RFC 7644 §3.8, sent and accepted.
const SCIM_JSON: &[(&str, &str)] = &[("accept", "application/scim+json"), ("content-type", "application/scim+json")];

/// The headers that Okta documents.
const OKTA_HEADERS: &[(&str, &str)] = &[
    ("user-agent", "Okta SCIM Client 1.0.0"),
    ("accept", "application/scim+json"),
    ("accept-charset", "utf-8"),
    ("content-type", "application/scim+json; charset=utf-8"),
];

/// Media types of clients that do not know SCIM's.
const JSON: &[(&str, &str)] = &[("accept", "application/json"), ("content-type", "application/json")];

/// OneLogin's User-Agent is empty.
const ONELOGIN_HEADERS: &[(&str, &str)] =
    &[("user-agent", ""), ("accept", "application/scim+json, application/json"), ("content-type", "application/scim+json")];

/// SCIM's media type with a parameter.
const ENTRA_HEADERS: &[(&str, &str)] = &[("accept", "application/scim+json"), ("content-type", "application/scim+json; charset=utf-8")];

/// Every client.
pub const CLIENTS: &[Client] = &[
    Client { word: "jumpcloud", headers: JSON, patience: PATIENCE, groups: true, conversation: jumpcloud::conversation },
    Client { word: "okta", headers: OKTA_HEADERS, patience: PATIENCE, groups: true, conversation: okta::catalogue_app },
    Client { word: "okta-custom", headers: OKTA_HEADERS, patience: PATIENCE, groups: true, conversation: okta::custom_app },
    Client { word: "entra", headers: ENTRA_HEADERS, patience: PATIENCE, groups: true, conversation: entra::with_flag },
    Client { word: "entra-legacy", headers: ENTRA_HEADERS, patience: PATIENCE, groups: true, conversation: entra::without_flag },
    Client { word: "onelogin", headers: ONELOGIN_HEADERS, patience: PATIENCE, groups: true, conversation: onelogin::conversation },
    Client { word: "ping", headers: JSON, patience: PATIENCE, groups: true, conversation: ping::conversation },
    // The plugin's connect, request and socket time-outs are 5 s.
    Client { word: "keycloak", headers: SCIM_JSON, patience: Duration::from_secs(5), groups: true, conversation: keycloak::conversation },
    Client { word: "authentik", headers: SCIM_JSON, patience: PATIENCE, groups: true, conversation: authentik::conversation },
    Client { word: "rauthy", headers: SCIM_JSON, patience: PATIENCE, groups: true, conversation: rauthy::conversation },
    Client { word: "sailpoint", headers: SCIM_JSON, patience: PATIENCE, groups: true, conversation: sailpoint::conversation },
    Client { word: "oracle", headers: JSON, patience: PATIENCE, groups: false, conversation: oracle::conversation },
    Client { word: "google", headers: JSON, patience: PATIENCE, groups: false, conversation: google::conversation },
    Client { word: "rippling", headers: JSON, patience: PATIENCE, groups: true, conversation: rippling::conversation },
];

impl Client {
    /// The client of a word.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.word == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conversation_lives_a_whole_life() {
        let cast = Cast::new("t", 3, 2);
        for client in CLIENTS {
            let steps = (client.conversation)(&cast);
            let is = |method: &str, path: &str| {
                steps.iter().any(|step| step.method == method && step.path.starts_with(path) && step.statuses != [409])
            };
            assert!(is("GET", "/Users?"), "{}: no lookup or import", client.word);
            assert!(is("POST", "/Users"), "{}: no create", client.word);
            assert!(is("PUT", "/Users/") || is("PATCH", "/Users/"), "{}: no update", client.word);
            assert!(steps.iter().any(|step| step.statuses == [409]), "{}: no conflict", client.word);
            let titles = |word: &str| steps.iter().any(|step| step.title.contains(word));
            assert!(titles("deactivate") && titles("reactivate") && titles("import"), "{}", client.word);
            assert_eq!(client.groups, is("POST", "/Groups"), "{}: groups", client.word);
        }
    }
}
