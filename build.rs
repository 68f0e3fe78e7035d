//! Builds again when a migration is added: `sqlx::migrate!` embeds the directory, and cargo cannot see that by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
