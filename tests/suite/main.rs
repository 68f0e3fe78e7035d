//! The tests from outside, in one binary: linking one is faster than linking many.

mod accept_loop;
mod cluster;
