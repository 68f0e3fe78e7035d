//! What the pure parts cost: parsing, the document door, filters, PATCH, rendering and the mapping, each alone and as the sum that a
//! request spends in them. Nothing here waits for a database or a socket. The figures are in docs/performance.md.
//!
//! `cargo bench --bench pure`, or `cargo bench --bench pure -- patch` for those whose name contains it.

mod documents;
mod payloads;
mod queries;
mod requests;
mod views;

use mimalloc::MiMalloc;

/// The server's own allocator: a good part of what is measured here is allocation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    divan::main();
}
