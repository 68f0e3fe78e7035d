//! Index pagination (RFC 7644 §3.4.2.4) that loses nobody. `startIndex` counts results, so a deletion on an earlier page would move
//! everybody behind it one place forward and the next page would begin one too late. Therefore the place where a page ended is
//! remembered under the `startIndex` that a client asks for next, and the next page begins there. The same makes a page cost the
//! same at any depth. A `startIndex` that continues no page is served by counting.
//!
//! The memory is this process's own, bounded and short-lived: behind a balancer without affinity a walk falls back to counting.
//! Clients that want a walk to hold everywhere use cursors (RFC 9865).

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::search::{Found, Page, Place, Search};
use super::{Directory, Error};
use crate::scim::cursor::{Position, Scope};

/// How long a client may take from one page to the next: longer than one works on a page of a thousand users, and short enough
/// that an abandoned walk is forgotten before the next synchronization.
const WALK_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The most positions remembered, over all tenants; beyond it the oldest are forgotten. At most about 1 KiB each.
const POSITIONS_MAX: usize = 20_000;

/// The most walks remembered at one place: a connection that asks the same query several times at once.
const WALKS_PER_PLACE: usize = 4;

/// A page by index, as an answer shows it.
#[derive(Debug, Clone)]
pub struct Walked {
    /// The results.
    pub found: Vec<Found>,
    /// How many results there are, as the walk sees it: more than it has passed exactly when a further page has results. So a
    /// client that compares `startIndex` with it neither stops early nor asks for ever, whatever is deleted meanwhile.
    pub total: i64,
}

impl Directory {
    /// The page of a query that begins with result number `first`, from 1.
    ///
    /// # Errors
    /// `Unavailable` when it takes longer than the statement timeout.
    pub async fn walk(&self, tenant_id: Uuid, base: &str, search: &Search, scope: Scope, first: i64, limit: i64) -> Result<Walked, Error> {
        if limit == 0 {
            return Ok(Walked { found: Vec::new(), total: self.count(tenant_id, base, search).await? });
        }
        let order = |one: &Position, other: &Position| search.order_of(one, other);
        let step = if first > 1 { self.walks.find(Key { scope, limit, first }, Instant::now(), order) } else { None };
        let place = step.as_ref().map_or(Place::Offset(first - 1), |step| Place::After(step.position.clone()));
        let page = self.page(tenant_id, base, search, &place, limit).await?;
        let passed = (first - 1).saturating_add(i64::try_from(page.found.len()).unwrap_or(i64::MAX));
        let is_jump_behind_the_end = page.found.is_empty() && first > 1 && step.is_none();
        let total = if page.more || is_jump_behind_the_end {
            let known = match (&step, page.total) {
                (Some(step), _) => step.walk.total,
                (None, Some(total)) => total,
                (None, None) => self.count(tenant_id, base, search).await?,
            };
            if page.more { known.max(passed + 1) } else { known.min(passed) }
        } else {
            passed
        };
        self.remember(Key { scope, limit, first: passed.saturating_add(1) }, step, &page, total, order);
        Ok(Walked { found: page.found, total })
    }

    /// Remembers where a page ended. A list that fits on its first page is none to walk through: lookups leave nothing behind.
    fn remember(&self, next: Key, step: Option<Step>, page: &Page, total: i64, order: impl Order) {
        let walk = step.map_or_else(|| Arc::new(Walk { total, over: AtomicBool::new(false) }), |step| step.walk);
        if !page.more {
            walk.over.store(true, Relaxed);
        }
        let started = page.more || next.first > next.limit.saturating_add(1);
        if let (true, Some(last)) = (started, page.found.last()) {
            self.walks.remember(next, Step { position: last.position.clone(), walk, at: Instant::now() }, order);
        }
    }
}

/// Under which a position is remembered: the query, its page size, and the `startIndex` that continues it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    scope: Scope,
    limit: i64,
    first: i64,
}

/// What the pages of one walk share.
#[derive(Debug)]
struct Walk {
    /// The results at its beginning.
    total: i64,
    /// Its last page was given.
    over: AtomicBool,
}

/// A page's end.
#[derive(Debug, Clone)]
struct Step {
    position: Position,
    walk: Arc<Walk>,
    at: Instant,
}

impl Step {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < WALK_PATIENCE
    }
}

/// The order of a query's results.
trait Order: Fn(&Position, &Position) -> Ordering + Copy {}

impl<F: Fn(&Position, &Position) -> Ordering + Copy> Order for F {}

/// The positions of this process.
#[derive(Debug, Default)]
pub(super) struct Walks(Mutex<Steps>);

#[derive(Debug, Default)]
struct Steps {
    by_key: HashMap<Key, Vec<Step>>,
    /// Every remembered position's key, oldest first.
    order: VecDeque<Key>,
}

impl Walks {
    /// Of several walks that are here, the one that has passed the fewest: which of them asks is not known, and nobody may be left
    /// out. So one of two walks at a time may see somebody twice.
    fn find(&self, key: Key, now: Instant, order: impl Order) -> Option<Step> {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = steps.by_key.get(&key)?.iter().filter(|step| step.is_fresh(now));
        fresh.min_by(|one, other| order(&one.position, &other.position)).cloned()
    }

    fn remember(&self, key: Key, step: Step, order: impl Order) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = step.at;
        let here = steps.by_key.entry(key).or_default();
        let is_behind = |known: &Step| order(&known.position, &step.position).is_gt();
        // A page that is asked for again: the client may have seen either answer, and goes on where the earlier end is.
        if let Some(known) = here.iter_mut().find(|known| Arc::ptr_eq(&known.walk, &step.walk)) {
            if is_behind(known) {
                known.position = step.position;
            }
            return;
        }
        let before = here.len();
        here.retain(|known| known.is_fresh(now) && !known.walk.over.load(Relaxed));
        let dropped = before - here.len();
        let added = here.len() < WALKS_PER_PLACE;
        if added {
            here.push(step);
        } else if let Some(known) = here.iter_mut().find(|known| is_behind(known)) {
            *known = step;
        }
        steps.forget_order_of(key, dropped);
        if added {
            steps.order.push_back(key);
        }
        while steps.order.len() > POSITIONS_MAX {
            steps.forget_oldest();
        }
    }
}

impl Steps {
    fn forget_order_of(&mut self, key: Key, mut count: usize) {
        if count > 0 {
            self.order.retain(|known| {
                let forget = count > 0 && *known == key;
                count -= usize::from(forget);
                !forget
            });
        }
    }

    fn forget_oldest(&mut self) {
        let Some(key) = self.order.pop_front() else { return };
        if let Some(steps) = self.by_key.get_mut(&key) {
            steps.remove(0);
            if steps.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::query::Query;

    fn key(first: i64) -> Key {
        Key { scope: Scope::of(Uuid::nil(), Uuid::nil(), "/Users", &Query::default()), limit: 100, first }
    }

    fn walk() -> Arc<Walk> {
        Arc::new(Walk { total: 1_000, over: AtomicBool::new(false) })
    }

    fn step(walk: &Arc<Walk>, seq: i64, at: Instant) -> Step {
        Step { position: Position { rank: 0, sort: None, seq }, walk: Arc::clone(walk), at }
    }

    fn by_seq(one: &Position, other: &Position) -> Ordering {
        one.seq.cmp(&other.seq)
    }

    fn seq(walks: &Walks, first: i64, now: Instant) -> Option<i64> {
        walks.find(key(first), now, by_seq).map(|step| step.position.seq)
    }

    #[test]
    fn of_two_walks_at_one_place_nobody_is_left_out() {
        let (walks, now) = (Walks::default(), Instant::now());
        let (first, second) = (walk(), walk());
        walks.remember(key(101), step(&first, 100, now), by_seq);
        walks.remember(key(101), step(&second, 110, now), by_seq);
        walks.remember(key(101), step(&first, 120, now), by_seq);
        assert_eq!(seq(&walks, 101, now), Some(100));
        assert_eq!(seq(&walks, 201, now), None);
        for end in [130, 140, 90, 80] {
            walks.remember(key(101), step(&walk(), end, now), by_seq);
            assert_eq!(seq(&walks, 101, now), Some(end.min(if end > 100 { 100 } else { end })));
        }
        walks.remember(key(101), step(&second, 70, now), by_seq);
        assert_eq!(seq(&walks, 101, now), Some(70), "the page was asked for again, and ended earlier");
    }

    #[test]
    fn a_finished_walk_gives_way_to_the_next_one() {
        let (walks, now) = (Walks::default(), Instant::now());
        let (first, second) = (walk(), walk());
        walks.remember(key(101), step(&first, 100, now), by_seq);
        first.over.store(true, Relaxed);
        assert_eq!(seq(&walks, 101, now), Some(100), "its last page may be asked for again");
        walks.remember(key(101), step(&second, 110, now), by_seq);
        assert_eq!(seq(&walks, 101, now), Some(110));
    }

    #[test]
    fn positions_are_forgotten_in_time() {
        let (walks, now) = (Walks::default(), Instant::now());
        walks.remember(key(101), step(&walk(), 100, now), by_seq);
        assert_eq!(seq(&walks, 101, now + WALK_PATIENCE), None);
        walks.remember(key(101), step(&walk(), 110, now + WALK_PATIENCE), by_seq);
        assert_eq!(seq(&walks, 101, now + WALK_PATIENCE), Some(110));
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_go_first() {
        let (walks, now) = (Walks::default(), Instant::now());
        let many = i64::try_from(POSITIONS_MAX).unwrap() + 10;
        for first in 1..=many {
            walks.remember(key(first), step(&walk(), first, now), by_seq);
        }
        for _ in 0..10 {
            walks.remember(key(many), step(&walk(), many, now), by_seq);
        }
        let steps = walks.0.lock().unwrap();
        assert_eq!(steps.order.len(), POSITIONS_MAX);
        assert_eq!(steps.by_key.values().map(Vec::len).sum::<usize>(), POSITIONS_MAX);
        drop(steps);
        assert_eq!((seq(&walks, 1, now), seq(&walks, many, now)), (None, Some(many)));
    }
}
