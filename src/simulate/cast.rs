//! Who appears in a conversation: people and teams whose names carry the run's own word, so that a run meets nobody who is there
//! already and two runs do not meet each other.

/// A person who is provisioned. What is in braces stands for an id that the server will give.
#[derive(Debug, Clone)]
pub struct Person {
    /// The variable of the id.
    pub variable: String,
    /// Its placeholder.
    pub id: String,
    /// The user name, which is an e-mail address.
    pub user_name: String,
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The identifier at the provider.
    pub external_id: String,
}

impl Person {
    /// Given and family name.
    #[must_use]
    pub fn display(&self) -> String {
        format!("{} {}", self.given, self.family)
    }
}

/// A group that is provisioned.
#[derive(Debug, Clone)]
pub struct Team {
    /// The variable of the id.
    pub variable: String,
    /// Its placeholder.
    pub id: String,
    /// The name, with a blank in it.
    pub name: String,
    /// The identifier at the provider.
    pub external_id: String,
}

/// Everybody in a conversation.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The people: two or more, so that a group can lose one member and keep another.
    pub people: Vec<Person>,
    /// The teams: at least one.
    pub teams: Vec<Team>,
    /// A name that nobody has.
    pub nobody: String,
}

impl Cast {
    /// The least people a conversation needs.
    pub const PEOPLE_MIN: usize = 2;

    /// A cast for one run. `run` is a word that no other run has.
    #[must_use]
    pub fn new(run: &str, people: usize, teams: usize) -> Self {
        let person = |n| Person {
            variable: format!("user{n}"),
            id: format!("{{user{n}}}"),
            user_name: format!("sim-{run}-{n}@example.com"),
            given: "Sim".to_owned(),
            family: format!("Person {n}"),
            external_id: format!("ext-{run}-{n}"),
        };
        let team = |n| Team {
            variable: format!("group{n}"),
            id: format!("{{group{n}}}"),
            name: format!("Sim {run} team {n}"),
            external_id: format!("ext-{run}-team-{n}"),
        };
        Self {
            people: (1..=people.max(Self::PEOPLE_MIN)).map(person).collect(),
            teams: (1..=teams.max(1)).map(team).collect(),
            nobody: format!("nobody-{run}"),
        }
    }

    /// The placeholders of all people.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.people.iter().map(|person| person.id.as_str()).collect()
    }
}
