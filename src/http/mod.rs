//! The HTTP floor.

pub mod health_probe;
pub mod serve;
