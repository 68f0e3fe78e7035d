//! How one request is read: the limits it must keep, whether the connection is strict, and the notes on everything that was
//! coerced, set aside or ignored on the way. Notes end in the request's event and in the metrics: nothing is swallowed silently.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::scim::error::ScimError;

/// Whether deviations of real clients are accepted (`quirks`), or the RFC's text is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conformance {
    /// Every known client works.
    #[default]
    Lenient,
    /// The RFC column of docs/conformance.md.
    Strict,
}

/// Upper bounds of one request. `config/default.toml` documents each with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest filter, in characters.
    pub filter_chars: usize,
    /// Deepest nesting of a filter's parentheses and brackets.
    pub filter_depth: usize,
    /// Most comparisons in a filter.
    pub filter_terms: usize,
    /// Most operations in a bulk request.
    pub bulk_operations: usize,
    /// Most operations in a PATCH.
    pub patch_operations: usize,
    /// Most members that one request names.
    pub members: usize,
    /// Most values of a multi-valued attribute other than a group's members.
    pub values_per_attribute: usize,
    /// Resources on a page when `count` is absent.
    pub page_size_default: usize,
    /// Most resources on a page.
    pub page_size_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            filter_chars: 16_384,
            filter_depth: 32,
            filter_terms: 256,
            bulk_operations: 1_000,
            patch_operations: 20_000,
            members: 100_000,
            values_per_attribute: 1_000,
            page_size_default: 100,
            page_size_max: 1_000,
        }
    }
}

/// What was coerced, set aside or ignored, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The name of the quirk: a function in `quirks`.
    pub quirk: &'static str,
    /// The attribute or path it happened at, as the client spelled it.
    pub at: String,
}

/// Most notes kept for one request; a hostile body may hold a million oddities.
const NOTES_MAX: usize = 64;

/// Longest place in a note, in characters.
const NOTE_MAX_CHARS: usize = 120;

/// A path without what its filter compares with: a note ends in an event, and an event holds no person's data.
/// `emails[value eq "jon@example.com"].type` is noted as `emails[…].type`; an index stays.
fn without_filter(at: &str) -> Cow<'_, str> {
    match (at.find('['), at.rfind(']')) {
        (Some(open), Some(close)) if open < close && !at[open + 1..close].bytes().all(|b| b.is_ascii_digit()) => {
            format!("{}[…]{}", &at[..open], &at[close + 1..]).into()
        }
        _ => at.into(),
    }
}

/// What was noted, each place once: a unit of work that is done again notes the same again.
#[derive(Debug, Default)]
struct Notes {
    kept: Vec<Note>,
    omitted: usize,
}

/// The state of reading one request. Clones share their notes: whoever let the request in still sees them when its handler has
/// given up halfway.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Lenient or strict.
    pub conformance: Conformance,
    /// The bounds.
    pub limits: Limits,
    notes: Arc<Mutex<Notes>>,
}

impl Reader {
    /// A reader for one request.
    #[must_use]
    pub fn new(conformance: Conformance, limits: Limits) -> Self {
        Self { conformance, limits, notes: Arc::default() }
    }

    /// Whether deviations are accepted.
    #[must_use]
    pub fn is_lenient(&self) -> bool {
        self.conformance == Conformance::Lenient
    }

    /// Records that a quirk was applied.
    pub fn note(&mut self, quirk: &'static str, at: &str) {
        let at: String = without_filter(at).chars().take(NOTE_MAX_CHARS).collect();
        let mut notes = self.locked();
        if notes.kept.iter().any(|note| note.quirk == quirk && note.at == at) {
            return;
        }
        if notes.kept.len() < NOTES_MAX {
            notes.kept.push(Note { quirk, at });
        } else {
            notes.omitted += 1;
        }
    }

    /// Everything noted so far, each place once.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        self.locked().kept.clone()
    }

    /// The notes as an event carries them: `{"jumpcloud_sends_unknown_attributes": ["costcenter"]}`; null when there are none.
    #[must_use]
    pub fn notes_json(&self) -> Value {
        let notes = self.locked();
        if notes.kept.is_empty() {
            return Value::Null;
        }
        let mut by_quirk = json!({});
        for note in &notes.kept {
            match &mut by_quirk[note.quirk] {
                Value::Array(places) => places.push(note.at.as_str().into()),
                first => *first = json!([note.at]),
            }
        }
        if notes.omitted > 0 {
            by_quirk["omitted"] = notes.omitted.into();
        }
        by_quirk
    }

    /// A poisoned lock is taken all the same: the notes are whole after every statement.
    fn locked(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a count over its limit.
    ///
    /// # Errors
    /// 400 `tooMany`-like sentence under `invalidValue`, naming what was counted and the limit.
    pub fn check_count(&self, what: &str, count: usize, limit: usize) -> Result<(), ScimError> {
        if count > limit {
            return Err(ScimError::invalid_value(format!("{what} has {count} values; the limit is {limit}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_where_and_not_who() {
        for (at, noted) in [
            ("costcenter", "costcenter"),
            ("emails[0].value", "emails[0].value"),
            ("emails[value eq \"jon@example.com\"].type", "emails[…].type"),
            ("emails[value eq \"a]b\" and type eq \"[\"]", "emails[…]"),
        ] {
            assert_eq!(without_filter(at), noted);
        }
    }
}
