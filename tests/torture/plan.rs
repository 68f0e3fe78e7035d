//! How long an exercise goes on: a number of cycles, or until its share of the time is over.

use std::time::{Duration, Instant};

/// How often a run says that it goes on.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// The bound of one exercise.
#[derive(Debug)]
pub struct Budget {
    cycles: Option<u64>,
    deadline: Instant,
    done: u64,
    told: Instant,
}

impl Budget {
    /// So many cycles, or else as many as begin within the time; at least one.
    pub fn new(cycles: Option<u64>, time: Duration) -> Self {
        Self { cycles, deadline: Instant::now() + time, done: 0, told: Instant::now() }
    }

    /// Whether there is another cycle, and its number from 1.
    pub fn next_cycle(&mut self) -> Option<u64> {
        let more = match self.cycles {
            Some(cycles) => self.done < cycles,
            None => self.done == 0 || Instant::now() < self.deadline,
        };
        if more && self.told.elapsed() > TELL_EVERY {
            eprintln!("  {} cycles done", self.done);
            self.told = Instant::now();
        }
        self.done += u64::from(more);
        more.then_some(self.done)
    }

    /// How many cycles have begun.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// What is left of the time.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
