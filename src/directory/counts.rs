//! How many users or groups a tenant has, for the first page of every walk. Counting reads an index from end to end: a million take
//! a tenth of a second. So a count that was much work is used again for a second, as long as a caller is (`callers`); a small one is
//! made anew, and what was just created is in it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long a count is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// The smallest count that is remembered: one below takes about a millisecond.
const REMEMBERED_FROM: i64 = 10_000;

/// The most counts remembered, under 100 bytes each.
const REMEMBERED_MAX: usize = 10_000;

/// Whose resources were counted: the tenant, and whether its users or its groups.
type Counted = (Uuid, bool);

/// The counts of the last second.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<Counted, (i64, Instant)>>);

impl Counts {
    pub(super) fn recall(&self, counted: Counted) -> Option<i64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&counted).filter(|(_, asked_at)| asked_at.elapsed() < REMEMBERED_FOR).map(|(count, _)| *count)
    }

    /// `asked_at` is from before the database was asked: what is created after it is in the count one second later.
    pub(super) fn remember(&self, counted: Counted, count: i64, asked_at: Instant) {
        if count < REMEMBERED_FROM {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, (_, asked_at)| asked_at.elapsed() < REMEMBERED_FOR);
        }
        if known.len() < REMEMBERED_MAX {
            known.insert(counted, (count, asked_at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_remembered_for_a_second_and_small_ones_never() {
        let counts = Counts::default();
        let (now, tenant) = (Instant::now(), Uuid::max());
        counts.remember((tenant, true), REMEMBERED_FROM, now);
        counts.remember((tenant, false), REMEMBERED_FROM - 1, now);
        assert_eq!(counts.recall((tenant, true)), Some(REMEMBERED_FROM));
        assert_eq!(counts.recall((tenant, false)), None);
        counts.remember((tenant, true), REMEMBERED_FROM, now.checked_sub(REMEMBERED_FOR).unwrap());
        assert_eq!(counts.recall((tenant, true)), None, "a second is over");
        for tenant in 0..2 * REMEMBERED_MAX as u128 {
            counts.remember((Uuid::from_u128(tenant), true), REMEMBERED_FROM, now);
        }
        assert!(counts.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
