//! How often somebody may do something: so many at once, and then so many in a time, each key by itself (the generic cell rate
//! algorithm: what is kept of a key is one moment). The memory is bounded whoever comes: keys are hashed with a secret of the process,
//! idle ones are forgotten, and beyond [`KEYS_MAX`] the new ones share one allowance.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most keys kept one by one: about 2 MiB.
const KEYS_MAX: usize = 100_000;

/// How often a full table is looked through for idle keys at most, since that is work for every key in it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The allowances of many keys.
#[derive(Debug)]
pub(super) struct Rates {
    /// The time that one use costs.
    cost: Duration,
    /// How far a key may run ahead of its time.
    ahead: Duration,
    secret: RandomState,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The time since `begun` up to which each key has used its allowance.
    used_up_to: HashMap<u64, Duration>,
    /// The same for all keys that have no place.
    others: Duration,
    swept_at: Option<Duration>,
}

impl Rates {
    /// `uses` at once, and as many again in each `period`.
    pub(super) fn new(uses: u32, period: Duration) -> Self {
        let cost = period / uses;
        Self { cost, ahead: cost * (uses - 1), secret: RandomState::new(), begun: Instant::now(), state: Mutex::default() }
    }

    /// Uses a key once.
    ///
    /// # Errors
    /// The time until it may be used again; a use that is refused costs nothing.
    pub(super) fn take(&self, key: &impl Hash, now: Instant) -> Result<(), Duration> {
        let (key, now) = (self.secret.hash_one(key), now.saturating_duration_since(self.begun));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = state.place(key, now);
        if *used > now + self.ahead {
            return Err(*used - now - self.ahead);
        }
        *used = (*used).max(now) + self.cost;
        Ok(())
    }
}

impl State {
    fn place(&mut self, key: u64, now: Duration) -> &mut Duration {
        let is_full = self.used_up_to.len() >= KEYS_MAX && !self.used_up_to.contains_key(&key);
        if is_full && self.swept_at.is_none_or(|at| now >= at + SWEEP_EVERY) {
            self.swept_at = Some(now);
            self.used_up_to.retain(|_, used| *used > now);
        }
        if is_full && self.used_up_to.len() >= KEYS_MAX {
            return &mut self.others;
        }
        self.used_up_to.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_so_many_in_a_time() {
        let rates = Rates::new(10, Duration::from_secs(1));
        let now = Instant::now();
        for _ in 0..10 {
            rates.take(&"a", now).unwrap();
        }
        assert_eq!(rates.take(&"a", now), Err(Duration::from_millis(100)));
        rates.take(&"b", now).unwrap();
        let later = now + Duration::from_millis(100);
        rates.take(&"a", later).unwrap();
        assert_eq!(rates.take(&"a", later), Err(Duration::from_millis(100)), "what was refused cost nothing");
        let rested = now + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| rates.take(&"a", rested).is_ok()).count(), 10, "rest does not add up");
    }

    /// AUTH-015.
    #[test]
    fn a_million_keys_take_less_than_32_mib_and_idle_ones_are_forgotten() {
        let rates = Rates::new(10, Duration::from_secs(1));
        let now = Instant::now();
        let refused = (0..1_000_000_u32).filter(|key| rates.take(key, now).is_err()).count();
        let kept = |rates: &Rates| {
            let state = rates.state.lock().unwrap();
            (state.used_up_to.len(), state.used_up_to.capacity())
        };
        let (len, capacity) = kept(&rates);
        assert_eq!(len, KEYS_MAX);
        // A table has at most 8 slots for 7 keys, rounded up to a power of two, and a byte of its own for each slot.
        let slots = (capacity * 8 / 7).next_power_of_two();
        assert!(slots * (size_of::<(u64, Duration)>() + 1) < 32 * 1024 * 1024, "{slots} slots");
        assert_eq!(refused, 1_000_000 - KEYS_MAX - 10, "those without a place share one allowance");
        rates.take(&0_u32, now).expect("who has a place keeps it");
        rates.take(&2_000_000_u32, now + Duration::from_secs(10)).unwrap();
        assert_eq!(kept(&rates).0, 1);
    }
}
