//! The tests from outside, in one binary (linking one is faster than linking many): the real router, a real PostgreSQL.

#![expect(unreachable_pub, reason = "what the tests share is public within this one binary")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value it met, in its steps as in its body")]

mod accept_loop;
mod app;
mod auth;
mod bad_input;
mod bad_patch;
mod bad_text;
mod bulk;
mod cancelled;
mod cases;
mod clients;
mod cluster;
mod conformance;
mod conformance_changes;
mod conformance_doc;
mod conformance_queries;
mod cursor;
mod discovery;
mod documents;
mod etags;
mod events;
mod filter_agreement;
mod floors;
mod jumpcloud;
mod jumpcloud_groups;
mod jumpcloud_mapping;
mod large_groups;
mod leniency;
mod lookups;
mod mapping;
mod mapping_apply;
mod mapping_recipes;
mod methods;
mod model;
mod nested_groups;
mod passwords;
mod patch;
mod patch_no_op;
mod projection;
mod races;
mod root_search;
mod schemas_hold;
mod smoke;
mod sorting;
mod strict;
mod support;
mod tenants;
mod tenants_apart;
mod tokens;
mod units;
mod walks;
