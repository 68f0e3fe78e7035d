//! Why a command failed: one line for the person at the terminal, with the causes behind it. Unlike a client on the network,
//! that person may read the database's own words.

use std::{error::Error, fmt};

/// One line that says what went wrong.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure without a cause.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(causes(&error))
    }
}

/// An error and its causes in one line. Some errors repeat their cause in their own text; that is left out.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use frontdesk::directory;

    use super::*;

    #[test]
    fn causes_are_told_once_and_in_one_line() {
        let error = directory::Error::Unavailable("connection\nrefused".into());
        assert_eq!(Failure::from(error).to_string(), "the database is not available: connection refused");
        let refused = frontdesk::scim::ScimError::invalid_value("no");
        assert_eq!(Failure::from(directory::Error::from(refused)).to_string(), "no");
        let error = sqlx::Error::Io(std::io::Error::other("broken"));
        assert_eq!(causes(&error), "error communicating with database: broken");
    }
}
