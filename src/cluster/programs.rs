//! Where PostgreSQL's server programs are on this machine, and how they are run: with a clean environment and, when we are
//! root, under an account that is not (PostgreSQL refuses root). Nothing is downloaded or installed here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Account, ClusterError};

/// The oldest major version the SQL of this project runs on.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// What must lie in one directory for it to count.
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// Folders whose children hold versions, and the folder of the programs below each child.
const VERSIONED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // the PostgreSQL project's RPM packages
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
];

/// The environment that PostgreSQL's programs keep. Everything else, above all `PG*`, would change what they do unasked.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// One installation of PostgreSQL's server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) bin: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// The installation to use: the one in `PATH` or else the newest one. A cluster that exists is only readable by its own
    /// major version, so `wanted` then leaves no choice.
    pub(super) fn find(wanted: Option<u32>, cluster: &Path) -> Result<Self, ClusterError> {
        let mut installed = Vec::new();
        for bin in candidates() {
            if let Some(major) = version_of(&bin).filter(|major| *major >= OLDEST_MAJOR) {
                installed.push(Self { bin, major });
            }
        }
        let Some(first) = installed.first() else { return Err(ClusterError::NoPrograms) };
        match wanted {
            None => Ok(first.clone()),
            Some(wanted) => installed.iter().find(|found| found.major == wanted).cloned().ok_or_else(|| ClusterError::OtherVersion {
                cluster: cluster.to_owned(),
                wanted,
                found: first.major,
            }),
        }
    }

    /// A command for one of the programs, in `dir`, as `account`.
    pub(super) fn command(&self, program: &str, account: Option<&Account>, dir: &Path) -> tokio::process::Command {
        let mut command = std::process::Command::new(self.bin.join(program));
        prepare(&mut command, account, dir);
        command.into()
    }
}

/// Cleans the environment, gives up root, and starts in a directory that the account can read.
pub(super) fn prepare(command: &mut std::process::Command, account: Option<&Account>, dir: &Path) {
    use std::os::unix::process::CommandExt;
    command.env_clear().envs(KEPT_ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.env("LC_ALL", "C").current_dir(dir).stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Every directory that may hold the programs, best first.
fn candidates() -> Vec<PathBuf> {
    let mut bins: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()).unwrap_or_default();
    let mut versioned = Vec::new();
    for (parent, prefix, below) in VERSIONED {
        let Ok(children) = fs::read_dir(parent) else { continue };
        for child in children.flatten() {
            let name = child.file_name().to_string_lossy().into_owned();
            if let Some(version) = name.strip_prefix(prefix) {
                versioned.push((leading_number(version.trim_start_matches('@')), child.path().join(below)));
            }
        }
    }
    versioned.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    bins.extend(versioned.into_iter().map(|(_, bin)| bin));
    bins.retain(|bin| NEEDED.iter().all(|program| bin.join(program).is_file()));
    bins
}

/// The major version that a directory's `postgres` says it is.
fn version_of(bin: &Path) -> Option<u32> {
    let output = std::process::Command::new(bin.join("postgres")).arg("--version").env("LC_ALL", "C").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, `postgres (PostgreSQL) 18beta1` is 18.
fn parse_version(line: &str) -> Option<u32> {
    leading_number(line.trim().strip_prefix("postgres (PostgreSQL) ")?)
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_release_and_beta_alike() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("postgres: command not found"), None);
    }
}
