//! The message of a panic is told to nobody: it may show what a request held. Its place is in the log. A panic in the handlers
//! is in `src/http/panics.rs`.

use std::process::Command;

use tracing_subscriber::filter::Targets;

/// Set in the process that panics.
const PANICKING: &str = "FRONTDESK_TEST_PANICKING";

#[test]
fn a_panic_leaves_its_place_in_the_log_and_not_its_message() {
    if std::env::var_os(PANICKING).is_some() {
        frontdesk::log::start(frontdesk::log::Format::Text, Targets::new().with_default(tracing::Level::ERROR));
        frontdesk::http::panics::log_their_place_only();
        panic!("jon@example.com has no name");
    }
    // The hook is the process's: another process has it.
    let test = "panics::a_panic_leaves_its_place_in_the_log_and_not_its_message";
    let program = std::env::current_exe().expect("the tests know where they are");
    let child = Command::new(program).args(["--exact", test, "--nocapture"]).env(PANICKING, "1").output().expect("the tests run again");
    let told = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(!child.status.success(), "{told}");
    assert!(told.contains("ERROR") && told.contains("panics.rs:") && !told.contains("example.com"), "{told}");
}
