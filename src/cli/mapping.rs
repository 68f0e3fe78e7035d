//! `frontdesk mapping`: a tenant's mapping shown, checked, tried out, applied, taken back. What is asked for goes to stdout,
//! how far the work is to stderr: a bar on a terminal, a line now and then otherwise.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use frontdesk::{
    config::Config,
    directory::{Applied, Directory, Progress, Recorded, Tenant},
    workplace::{Diff, Mapping, diff::Turned},
};

use super::{
    Failure,
    commands::{day, find_tenant, table, with_directory},
    say,
};

/// The longest value that a preview prints, in characters: a diff is read in lines.
const VALUE_MAX_CHARS: usize = 60;

/// The width of the progress bar.
const BAR: usize = 30;

#[derive(Debug, Subcommand)]
pub(super) enum MappingCommand {
    /// Print a tenant's mapping
    Show {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// This version; 0 is the shipped profile [default: the current one]
        #[arg(long)]
        version: Option<u32>,
    },
    /// Check a mapping and name the first line that is wrong
    Validate {
        /// Check this tenant's current mapping when no file is named
        #[arg(long, value_name = "SLUG", required_unless_present = "file")]
        tenant: Option<String>,
        /// The mapping
        file: Option<PathBuf>,
    },
    /// Say what a mapping would change, and change nothing
    Preview {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The mapping [default: the tenant's current one]
        file: Option<PathBuf>,
    },
    /// Make a mapping the tenant's and compute all employees again
    Apply {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        #[command(flatten)]
        by: By,
        /// Go on where an interrupted application stopped
        #[arg(long)]
        resume: bool,
        /// The mapping
        #[arg(required_unless_present = "resume", conflicts_with = "resume")]
        file: Option<PathBuf>,
    },
    /// Show the versions of a tenant's mapping
    History {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
    },
    /// Apply an earlier version again, as a new one
    Rollback {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// This version; 0 is the shipped profile [default: the one before the current]
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
        #[command(flatten)]
        by: By,
    },
}

/// Who makes a version.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Who makes the version [default: the user of the operating system]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Does one command.
pub(super) async fn run(config: &Config, command: MappingCommand) -> Result<(), Failure> {
    match command {
        MappingCommand::Validate { tenant: None, file: Some(file) } => validate(&file),
        command => with_directory(config, async |directory| with(directory, command).await).await,
    }
}

async fn with(directory: &Directory, command: MappingCommand) -> Result<(), Failure> {
    match command {
        MappingCommand::Show { tenant, version } => {
            let tenant = find_tenant(directory, &tenant).await?;
            let (_, text) = directory.mapping_text(&tenant, version.map(i64::from)).await?;
            say(text.trim_end())
        }
        MappingCommand::Validate { tenant, file } => {
            let tenant = find_tenant(directory, &tenant.unwrap_or_default()).await?;
            match file {
                Some(file) => validate(&file),
                None => {
                    let version = directory.current_mapping(tenant.id).await?.version;
                    say(&format!("The mapping of tenant {}, version {version}, is valid.", tenant.slug))
                }
            }
        }
        MappingCommand::Preview { tenant, file } => {
            let tenant = find_tenant(directory, &tenant).await?;
            let mapping = match file {
                Some(file) => parse(&file, &read(&file)?)?,
                None => directory.current_mapping(tenant.id).await?.mapping.clone(),
            };
            let mut bar = Bar::default();
            let diff = directory.preview_mapping(&tenant, &mapping, |progress| bar.show(progress)).await;
            bar.end();
            say(&report(&diff?))
        }
        MappingCommand::Apply { tenant, by, file, .. } => {
            let tenant = find_tenant(directory, &tenant).await?;
            if let Some(file) = file {
                let recorded = directory.record_mapping(&tenant, &file.display().to_string(), &read(&file)?, &by.name()).await?;
                announce(&tenant, recorded);
            }
            apply(directory, &tenant).await
        }
        MappingCommand::History { tenant } => history(directory, &find_tenant(directory, &tenant).await?).await,
        MappingCommand::Rollback { tenant, to, by } => {
            let tenant = find_tenant(directory, &tenant).await?;
            announce(&tenant, directory.roll_back_mapping(&tenant, to.map(i64::from), &by.name()).await?);
            apply(directory, &tenant).await
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))
}

fn parse(file: &Path, text: &str) -> Result<Mapping, Failure> {
    Ok(Mapping::parse(&file.display().to_string(), text)?)
}

fn validate(file: &Path) -> Result<(), Failure> {
    parse(file, &read(file)?)?;
    say(&format!("{} is a valid mapping.", file.display()))
}

/// Told before the employees are computed: from here on an interruption leaves something to resume.
fn announce(tenant: &Tenant, recorded: Recorded) {
    let line = match recorded {
        Recorded::Made(version) => format!("Version {version} is the mapping of tenant {} from now on.", tenant.slug),
        Recorded::Same(version) => format!("Tenant {} has this mapping already, as version {version}.", tenant.slug),
    };
    eprintln!("{line}");
}

async fn apply(directory: &Directory, tenant: &Tenant) -> Result<(), Failure> {
    let mut bar = Bar::default();
    let applied = directory.apply_mapping(tenant.id, |progress| bar.show(progress)).await;
    bar.end();
    match applied {
        Ok(Applied::Done(version)) => {
            say(&format!("Every employee of tenant {} is computed with version {version} of its mapping.", tenant.slug))
        }
        Ok(Applied::Shipped) => say(&format!("Tenant {} has its shipped profile; there is nothing to apply.", tenant.slug)),
        Err(error) => {
            let resume = format!("frontdesk mapping apply --tenant {} --resume", tenant.slug);
            Err(Failure::new(format!("{}; the mapping is in effect, not all employees are computed: {resume}", Failure::from(error))))
        }
    }
}

async fn history(directory: &Directory, tenant: &Tenant) -> Result<(), Failure> {
    let versions = directory.mapping_history(tenant.id).await?;
    if versions.is_empty() {
        return say(&format!("Tenant {} has its shipped profile, {}.", tenant.slug, tenant.profile.word()));
    }
    let rows = versions.into_iter().map(|version| {
        let applied = version.applied_at.map_or_else(|| version.state.word().to_owned(), day);
        [
            version.version.to_string(),
            day(version.created_at),
            version.made_by,
            applied,
            version.changed.to_string(),
            version.note.unwrap_or_default(),
        ]
    });
    say(&table(["VERSION", "MADE", "BY", "APPLIED", "CHANGED", "NOTE"], rows))
}

impl By {
    /// The name given, else the one of the operating system.
    fn name(&self) -> String {
        let of_system = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
        self.by.clone().or_else(of_system).unwrap_or_else(user_id)
    }
}

#[cfg(unix)]
fn user_id() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_id() -> String {
    "unknown".into()
}

/// How far a walk over employees is, on stderr.
#[derive(Debug, Default)]
struct Bar {
    /// A bar is drawn and its line not ended.
    drawn: bool,
    /// The last tenth that a line told.
    told: u64,
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        let mut stderr = std::io::stderr().lock();
        // Whoever closed stderr does not want to know.
        if stderr.is_terminal() {
            let _ = write!(stderr, "\r{}", bar(progress));
            let _ = stderr.flush();
            self.drawn = true;
        } else if let Some(line) = self.line(progress) {
            let _ = writeln!(stderr, "{line}");
        }
    }

    /// A line for each tenth of the work.
    fn line(&mut self, progress: Progress) -> Option<String> {
        let tenth = (progress.done * 10).checked_div(progress.total).unwrap_or(10);
        if tenth <= self.told {
            return None;
        }
        self.told = tenth;
        Some(format!("{} of {} employees", progress.done, progress.total))
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprintln!();
        }
    }
}

fn bar(progress: Progress) -> String {
    let Progress { done, total } = progress;
    let filled = (done * BAR as u64).checked_div(total).map_or(BAR, |filled| usize::try_from(filled).unwrap_or(BAR).min(BAR));
    let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
    format!("[{}{}] {percent:>3} %  {done} of {total} employees", "#".repeat(filled), ".".repeat(BAR - filled))
}

/// A diff for a person.
fn report(diff: &Diff) -> String {
    let mut text = format!("{} of {} employees would change.", diff.changed, diff.employees);
    for (name, field) in &diff.fields {
        let _ = write!(text, "\n\n{name}: {}", field.count);
        for example in &field.examples {
            let _ = write!(text, "\n  {}  {} -> {}", example.id, shown(example.old.as_deref()), shown(example.new.as_deref()));
        }
    }
    turned(&mut text, "become incomplete", "lacks", &diff.incomplete);
    turned(&mut text, "become complete", "lacked", &diff.complete);
    text
}

fn turned(text: &mut String, what: &str, verb: &str, turned: &Turned) {
    if turned.count == 0 {
        return;
    }
    let _ = write!(text, "\n\n{what}: {}", turned.count);
    for (id, missing) in &turned.examples {
        let _ = write!(text, "\n  {id}  {verb} {}", missing.join(", "));
    }
}

/// A value in one line, in quotes, without what would move a terminal's cursor.
fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let mut short: String = value.chars().take(VALUE_MAX_CHARS).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_as_the_work_goes_on() {
        assert_eq!(bar(Progress { done: 0, total: 4 }), "[..............................]   0 %  0 of 4 employees");
        assert_eq!(bar(Progress { done: 2, total: 4 }), "[###############...............]  50 %  2 of 4 employees");
        assert_eq!(bar(Progress { done: 4, total: 4 }), "[##############################] 100 %  4 of 4 employees");
        assert!(bar(Progress { done: 0, total: 0 }).contains("100 %"));
    }

    #[test]
    fn beside_a_terminal_each_tenth_is_a_line() {
        let mut bar = Bar::default();
        let lines: Vec<_> = (0..=1000).filter_map(|done| bar.line(Progress { done, total: 1000 })).collect();
        assert_eq!((lines.len(), lines[0].as_str(), lines[9].as_str()), (10, "100 of 1000 employees", "1000 of 1000 employees"));
    }

    #[test]
    fn values_are_shown_in_one_line() {
        assert_eq!(shown(None), "nothing");
        assert_eq!(shown(Some("a\n\u{1b}[2J\"b")), r#""a\n\u{1b}[2J\"b""#);
        assert_eq!(shown(Some(&"x".repeat(100))).chars().count(), VALUE_MAX_CHARS + 3);
    }

    #[test]
    fn who_made_a_version_has_always_a_name() {
        assert_eq!(By { by: Some("anna".into()) }.name(), "anna");
        assert!(!By { by: None }.name().is_empty());
    }
}
