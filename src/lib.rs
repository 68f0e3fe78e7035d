//! Frontdesk: a SCIM 2.0 service provider with a workplace directory behind it.

pub mod cluster;
pub mod config;
pub mod http;
pub mod scim;
