//! Frontdesk: a SCIM 2.0 service provider with a workplace directory behind it.

pub mod directory;
pub mod scim;
pub mod workplace;
