//! The query string of the workplace API. Unlike SCIM's, it refuses what it does not know: a mistyped filter that is ignored
//! would answer with everybody.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;

use super::App;
use super::error::scim;
use crate::directory::EmployeeSearch;
use crate::scim::ScimError;
use crate::scim::error::quote;
use crate::scim::query::{decode, pairs};
use crate::scim::reader::Limits;

/// The most parameters of a request: three times the columns of an employee.
const PARAMETERS_MAX: usize = 75;

/// The parameters that no handler has taken yet.
pub(super) struct Parameters(Vec<(String, String)>);

impl FromRequestParts<App> for Parameters {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        Self::parse(parts.uri.query().unwrap_or_default()).map_err(scim)
    }
}

impl Parameters {
    fn parse(raw: &str) -> Result<Self, ScimError> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs(raw) {
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(ScimError::invalid_value(format!("the query parameter {} is given twice", quote(&name))));
            }
            parameters.push((name, value));
            if parameters.len() > PARAMETERS_MAX {
                return Err(ScimError::invalid_value(format!("the query string has more than {PARAMETERS_MAX} parameters")));
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// `count`: how many entries a page has, within the server's limits.
    pub(super) fn take_count(&mut self, limits: &Limits) -> Result<i64, ScimError> {
        let largest = i64::try_from(limits.page_size_max).unwrap_or(i64::MAX);
        let default = i64::try_from(limits.page_size_default).unwrap_or(i64::MAX);
        Ok(self.take_number("count", largest)?.unwrap_or(default).max(1))
    }

    /// A whole number from 0; a larger one than `largest` is that.
    pub(super) fn take_number(&mut self, name: &str, largest: i64) -> Result<Option<i64>, ScimError> {
        let Some(text) = self.take(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ScimError::invalid_value(format!("{name} is {}; a whole number from 0 is expected", quote(&text))));
        }
        Ok(Some(text.parse().unwrap_or(largest).min(largest)))
    }

    /// `cursor`: where a page begins; an empty one is the first.
    pub(super) fn take_cursor(&mut self) -> Option<String> {
        self.take("cursor").filter(|cursor| !cursor.is_empty())
    }

    /// Takes every parameter that narrows a search.
    pub(super) fn take_filters(&mut self, search: &mut EmployeeSearch) -> Result<(), ScimError> {
        let mut unknown = Vec::new();
        for (name, value) in std::mem::take(&mut self.0) {
            if !search.filter(&name, &value)? {
                unknown.push((name, value));
            }
        }
        self.0 = unknown;
        Ok(())
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), ScimError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(ScimError::invalid_value(format!(
                "there is no query parameter {} here; /openapi.json lists those there are",
                quote(name)
            ))),
        }
    }
}
