//! Text as SCIM compares it. One function, [`fold`], decides when two spellings are the same: it makes the unique keys, the
//! searchable copy of a document and the literals of a filter, so a lookup finds whatever made a create conflict.
//! Folding is done here and not in PostgreSQL: `lower()` depends on the collation and folds the Kelvin sign to `k`.

use chrono::{DateTime, SecondsFormat, Utc};
use unicode_normalization::UnicodeNormalization;

/// Longest text value, in characters: a name, not a novel; and short enough for an index.
pub const TEXT_MAX_CHARS: usize = 1_024;

/// Longest unique key after folding, in bytes: a row of a PostgreSQL B-tree index holds 2,704, the tenant included.
pub const KEY_MAX_BYTES: usize = 2_048;

/// Longest reference or binary value, in characters: a photo as a data URI, a certificate.
pub const LONG_VALUE_MAX_CHARS: usize = 65_536;

/// The caseless form of a text: Unicode's NFKC_Casefold (compatibility normalization, full case folding, invisible
/// characters removed). RFC 7643 §2.2 calls it "case insensitive", RFC 7644 §5 asks for PRECIS preparation; both agree on
/// the spellings that identity providers mix: letter case, NFC and NFD, full-width letters.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let once: String = text.nfkd().collect();
    let folded = caseless::default_case_fold_str(&once);
    let again: String = folded.chars().filter(|c| !is_invisible(*c)).nfkd().collect();
    caseless::default_case_fold_str(&again).nfkc().collect()
}

/// The default-ignorable characters of Unicode that may stand in text: they take no space on a screen, so two names that
/// differ only by them look the same.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The first character that no value may hold: a control character other than tab, line feed and carriage return.
/// PostgreSQL cannot store U+0000 at all; the others are attacks on terminals and logs.
#[must_use]
pub fn forbidden_control(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

/// The first character that no identifier may hold: any control character, and the characters that turn the direction of
/// the text around them.
#[must_use]
pub fn forbidden_in_identifier(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// Reads an `xsd:dateTime` with date, time and zone (RFC 7643 §2.3.5) within the years 0001 to 9999.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<DateTime<Utc>> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let year = chrono::Datelike::year(&instant);
    (1..=9999).contains(&year).then_some(instant)
}

/// An instant as answers show it: UTC, `Z`, milliseconds.
#[must_use]
pub fn format_date_time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An instant in the one width in which text order is time order: UTC, nine digits of a second.
#[must_use]
pub fn sortable_date_time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_that_look_the_same_fold_together() {
        for (a, b) in [
            ("Jon.Snow@Example.COM", "jon.snow@example.com"),
            ("Zo\u{eb}", "ZOE\u{308}"),
            ("ｊｏｎ", "JON"),
            ("\u{212a}elvin", "kelvin"),
            ("Straße", "STRASSE"),
            ("jo\u{200b}n", "jon"),
            ("ﬁnn", "FINN"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("ı"), fold("i"), "the dotless i is a letter of its own");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,24}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }

    #[test]
    fn sortable_date_times_order_like_time() {
        let earlier = parse_date_time("2015-10-10T14:38:21.8617979-07:00").expect("seven digits are legal");
        let later = parse_date_time("2015-10-10T21:38:21.9Z").expect("legal");
        assert!(earlier < later && sortable_date_time(earlier) < sortable_date_time(later));
        for wrong in ["2024-02-30T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "+10000-01-01T00:00:00Z", "yesterday"] {
            assert_eq!(parse_date_time(wrong), None, "{wrong}");
        }
    }
}
