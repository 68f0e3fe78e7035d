//! The words that rows and the command line share: providers, profiles, conformance, states, scopes. Each enum has one table of its
//! words, read in both directions.

pub use crate::scim::reader::Conformance;

/// A word that is not in its table: a typing mistake, or a row written by a newer Frontdesk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a {kind}")]
pub struct UnknownWord {
    kind: &'static str,
    word: String,
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map(|(word, _)| *word).expect("every value of an enum is in its table")
}

fn value<T: Copy>(words: &[(&'static str, T)], kind: &'static str, word: &str) -> Result<T, UnknownWord> {
    words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value).ok_or_else(|| UnknownWord { kind, word: word.to_owned() })
}

/// The identity provider behind a connection. It selects nothing but defaults and the name in the records: what a provider
/// does differently is recognized by what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// JumpCloud.
    JumpCloud,
    /// Okta.
    Okta,
    /// Microsoft Entra ID.
    Entra,
    /// OneLogin.
    OneLogin,
    /// PingOne and PingFederate.
    Ping,
    /// Keycloak with a SCIM client.
    Keycloak,
    /// authentik.
    Authentik,
    /// SailPoint.
    SailPoint,
    /// Oracle Identity Cloud.
    Oracle,
    /// Google Workspace.
    Google,
    /// Rippling.
    Rippling,
    /// Any other SCIM 2.0 client.
    Generic,
}

impl Provider {
    /// Every provider with its word.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("jumpcloud", Self::JumpCloud),
        ("okta", Self::Okta),
        ("entra", Self::Entra),
        ("onelogin", Self::OneLogin),
        ("ping", Self::Ping),
        ("keycloak", Self::Keycloak),
        ("authentik", Self::Authentik),
        ("sailpoint", Self::SailPoint),
        ("oracle", Self::Oracle),
        ("google", Self::Google),
        ("rippling", Self::Rippling),
        ("generic", Self::Generic),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(Self::WORDS, self)
    }
}

impl TryFrom<String> for Provider {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        value(Self::WORDS, "provider", &word)
    }
}

/// The workplace product whose mapping turns users into employees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// SpaceIQ.
    #[default]
    SpaceIq,
    /// OfficeSpace.
    OfficeSpace,
}

impl Profile {
    /// Every profile with its word.
    pub const WORDS: &'static [(&'static str, Self)] = &[("spaceiq", Self::SpaceIq), ("officespace", Self::OfficeSpace)];

    /// The word for it, also the name of its mapping under `config/profiles/`.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(Self::WORDS, self)
    }
}

impl TryFrom<String> for Profile {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        value(Self::WORDS, "profile", &word)
    }
}

impl Conformance {
    /// Both with their words.
    pub const WORDS: &'static [(&'static str, Self)] = &[("lenient", Self::Lenient), ("strict", Self::Strict)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(Self::WORDS, self)
    }
}

impl TryFrom<String> for Conformance {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        value(Self::WORDS, "conformance", &word)
    }
}

/// Whether a connection's tokens are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// They are.
    Active,
    /// They are not, for the time being.
    Paused,
}

impl State {
    /// Both with their words.
    pub const WORDS: &'static [(&'static str, Self)] = &[("active", Self::Active), ("paused", Self::Paused)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(Self::WORDS, self)
    }
}

impl TryFrom<String> for State {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        value(Self::WORDS, "state", &word)
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Provisioning: everything under the bases of SCIM.
    Scim,
    /// Reading the workplace API.
    WorkplaceRead,
}

impl Scope {
    /// Both with their words.
    pub const WORDS: &'static [(&'static str, Self)] = &[("scim", Self::Scim), ("workplace:read", Self::WorkplaceRead)];

    /// Every scope: what a token has that was made without naming any.
    pub const ALL: [Self; 2] = [Self::Scim, Self::WorkplaceRead];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(Self::WORDS, self)
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        value(Self::WORDS, "scope", &word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_there_and_back() {
        for (word, provider) in Provider::WORDS {
            assert_eq!(Provider::try_from((*word).to_owned()), Ok(*provider));
            assert_eq!(provider.word(), *word);
        }
        for (word, profile) in Profile::WORDS {
            assert_eq!((profile.word(), Profile::try_from((*word).to_owned())), (*word, Ok(*profile)));
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::try_from(scope.word().to_owned()), Ok(scope));
        }
        assert_eq!((Conformance::default().word(), State::Paused.word()), ("lenient", "paused"));
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert_eq!(Provider::try_from("yahoo".to_owned()).unwrap_err().to_string(), "\"yahoo\" is not a provider");
    }
}
