//! `frontdesk simulate`: an identity provider's conversation with any SCIM server, told exchange by exchange. It needs neither
//! settings nor a database. The token is never printed.

use clap::builder::PossibleValuesParser;
use frontdesk::simulate::{CLIENTS, Cast, Client, Exchange, Transport, Verdict, run};
use uuid::Uuid;

use super::{Failure, say};

/// What to simulate.
#[derive(Debug, clap::Args)]
pub(super) struct Simulation {
    /// Whose conversation
    #[arg(long, value_parser = PossibleValuesParser::new(CLIENTS.iter().map(|client| client.word)))]
    provider: String,
    /// The Base URL of the server, such as https://scim.example.com/scim/v2
    #[arg(long, value_name = "URL")]
    base_url: String,
    /// The bearer token
    #[arg(long, value_name = "T")]
    token: String,
    /// How many users live through it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=1000))]
    users: u16,
    /// How many groups live through it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    groups: u16,
}

/// Has the conversation; fails when the server fails a step.
pub(super) async fn simulate(simulation: Simulation) -> Result<(), Failure> {
    let client = Client::find(&simulation.provider).expect("clap lets only words of the table through");
    let (people, teams) = (usize::from(simulation.users), usize::from(simulation.groups));
    let run_word = Uuid::now_v7().simple().to_string();
    let cast = Cast::new(&run_word[20..], people, teams);
    let transport = Transport::http()?;
    let mut told = Ok(());
    let mut tell = |exchange: &Exchange| {
        if told.is_ok() {
            told = say(&lines(exchange));
        }
    };
    let report = run(client, &cast, &transport, &simulation.base_url, &simulation.token, &mut tell).await;
    told?;
    let sums = format!("{}: {} passed, {} failed, {} skipped", client.word, report.passed, report.failed, report.skipped);
    match report.succeeded() {
        true => say(&format!("{sums}. This client works with this server.")),
        false => Err(Failure::new(format!("{sums}. This client does not work with this server."))),
    }
}

/// An exchange for the terminal: one line, and one more for each thing that is wrong.
fn lines(exchange: &Exchange) -> String {
    let (word, faults) = match &exchange.verdict {
        Verdict::Passed => ("ok", Vec::new()),
        Verdict::Failed(faults) => ("FAIL", faults.clone()),
        Verdict::Skipped(name) => ("skip", vec![format!("it needs the id of {name}, which no earlier step gave")]),
    };
    let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let millis = exchange.duration.as_millis();
    let mut lines = format!("{word:<5} {:<6} {:>3} {millis:>6} ms  {}  [{}]", exchange.method, status, exchange.path, exchange.title);
    for fault in faults {
        lines.push_str("\n        ");
        lines.push_str(&fault);
    }
    lines
}
