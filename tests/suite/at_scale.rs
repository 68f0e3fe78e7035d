//! A property over many cases in parts, by seed: few in the suite, millions when `scripts/agreement` asks for them.
//!
//! A part has random numbers of its own, from the seed and its index, and nothing in common with the others: parts run on every
//! core, and one that fails runs again alone.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A property and how many cases the suite gives it.
pub struct Property {
    /// In the variable `FRONTDESK_TEST_{name}`, which says how many cases a long run has.
    pub name: &'static str,
    /// Cases in the suite.
    pub usual: u32,
    /// Most cases of a part.
    pub part: u32,
}

/// Some of the cases of a property.
pub struct Part {
    /// How many.
    pub cases: u32,
    seed: u64,
    index: u32,
}

impl Part {
    /// A runner for so many cases; two with the same `stream` draw the same.
    pub fn runner(&self, cases: u32, stream: u8) -> TestRunner {
        let mut seed = [stream; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..12].copy_from_slice(&self.index.to_be_bytes());
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; a number is expected")))
}

/// Tells how to repeat the part that panics, and the other workers to stop.
struct Repeat<'a> {
    property: &'a Property,
    cases: u32,
    part: &'a Part,
    stop: &'a AtomicBool,
}

impl Drop for Repeat<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.stop.store(true, Ordering::Relaxed);
            println!(
                "{}: to repeat: FRONTDESK_TEST_{}={} FRONTDESK_TEST_SEED={} FRONTDESK_TEST_PART={}",
                self.property.name, self.property.name, self.cases, self.part.seed, self.part.index
            );
        }
    }
}

impl Property {
    /// Runs the property on every part, or on the one that `FRONTDESK_TEST_PART` names.
    ///
    /// # Panics
    /// When a part does: the others begin nothing new.
    pub fn run(&self, on: impl Fn(&Part) + Sync) {
        let wanted = number(&format!("FRONTDESK_TEST_{}", self.name)).map(|cases| u32::try_from(cases).expect("at most four billion"));
        let cases = wanted.unwrap_or(self.usual);
        let seed = number("FRONTDESK_TEST_SEED").unwrap_or_else(|| getrandom::u64().expect("the system has random numbers"));
        let only = number("FRONTDESK_TEST_PART").map(|part| u32::try_from(part).expect("a part's index"));
        let parts = only.map_or(0..cases.div_ceil(self.part), |part| part..part + 1);
        let (next, done, stop, began) = (AtomicU32::new(parts.start), AtomicU32::new(0), AtomicBool::new(false), Instant::now());
        let worker = || {
            while !stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= parts.end {
                    return;
                }
                let part = Part { cases: self.part.min(cases - index * self.part), seed, index };
                let repeat = Repeat { property: self, cases, part: &part, stop: &stop };
                on(&part);
                drop(repeat);
                let done = done.fetch_add(part.cases, Ordering::Relaxed) + part.cases;
                if wanted.is_some() {
                    println!("{}: {done} of {cases}, seed {seed}, {} s", self.name, began.elapsed().as_secs());
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from).min(parts.len());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(worker);
            }
        });
    }
}
