//! Where the cluster lies, whose it is, and where its socket is. Three facts of Unix decide here: PostgreSQL refuses to run as
//! root, an account reaches a directory only through all the directories above it, and the path of a Unix socket is short.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::OFlags;

use super::{ClusterError, programs};

/// The port in the socket's name. Any other server's port is unaffected: the socket lies in a directory of its own.
pub(super) const PORT: u16 = 5432;

/// The longest path of a Unix socket that every supported system takes, in bytes (Linux has 107, macOS 103).
const SOCKET_PATH_MAX_BYTES: usize = 103;

/// Beside the cluster when its own place cannot be used: one line, the directory that is used instead.
const CLUSTER_NOTE: &str = "cluster.path";
const SOCKET_NOTE: &str = "socket.path";

/// Where a cluster goes when root started us in a directory that no other account can reach, such as one below `/root`.
const PLACE_FOR_ROOT: &str = "/var/lib/frontdesk";

/// The accounts tried when we are root. The first is made by the distribution's PostgreSQL package.
const ACCOUNTS_FOR_ROOT: [&str; 2] = ["postgres", "nobody"];

/// The account that PostgreSQL's processes run under when we are root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

/// The directories of one cluster. All of them have mode 0700.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Everything of the cluster: `pgdata`, `socket`, `initdb.log`, `server.log`.
    pub(super) dir: PathBuf,
    /// The directory of the Unix socket.
    pub(super) sockets: PathBuf,
    /// Set when we are root.
    pub(super) account: Option<Account>,
    /// The operating system's name of the account that runs PostgreSQL.
    pub(super) system_user: String,
}

impl Place {
    /// Finds or makes the directories for a data directory. Called under the transition lock.
    pub(super) fn find(data_dir: &Path) -> Result<Self, ClusterError> {
        let noted = read_note(&data_dir.join(CLUSTER_NOTE))?;
        let mut dir = noted.clone().unwrap_or_else(|| data_dir.join("cluster"));
        let account = if rustix::process::geteuid().is_root() { Some(account_for_root(&dir)?) } else { None };
        make_private(&dir, account.as_ref())?;
        if account.is_some() && fs::metadata(&dir).is_ok_and(|found| found.uid() == 0) {
            // Made by root, who was then interrupted.
            hand_over(&dir, account.as_ref())?;
        }
        if let Some(account) = &account
            && !reaches(account, &dir)
        {
            if noted.is_some() || dir.join("pgdata").exists() {
                return Err(ClusterError::Unreachable { dir, account: account.name.clone() });
            }
            dir = move_out_of_reach(data_dir, &dir, account)?;
        }
        let sockets = socket_directory(&dir, account.as_ref())?;
        let system_user = match &account {
            Some(account) => account.name.clone(),
            None => id(&["-un"]).ok_or(ClusterError::NoAccount)?,
        };
        Ok(Self { dir, sockets, account, system_user })
    }

    /// PostgreSQL's data directory.
    pub(super) fn pgdata(&self) -> PathBuf {
        self.dir.join("pgdata")
    }

    /// The socket itself.
    pub(super) fn socket(&self) -> PathBuf {
        socket_in(&self.sockets)
    }

    /// Writes a file of the cluster whole or not at all, and gives it to the account. As root we must not follow a link that
    /// the account may have put there.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), ClusterError> {
        let fresh = path.with_extension("new");
        // What a crash may have left.
        let _ = fs::remove_file(&fresh);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh).map_err(ClusterError::io("create", &fresh))?;
        self.hand_over(&file, &fresh)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(ClusterError::io("write", &fresh))?;
        fs::rename(&fresh, path).map_err(ClusterError::io("write", path))
    }

    /// Opens a file of the cluster for appending, with the same care.
    pub(super) fn append_to(&self, path: &Path) -> Result<File, ClusterError> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open(2) takes its flags as an int");
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(path)
            .map_err(ClusterError::io("open", path))?;
        self.hand_over(&file, path)?;
        Ok(file)
    }

    fn hand_over(&self, file: &File, path: &Path) -> Result<(), ClusterError> {
        let Some(account) = &self.account else { return Ok(()) };
        std::os::unix::fs::fchown(file, Some(account.uid), Some(account.gid)).map_err(ClusterError::io("change the owner of", path))
    }
}

/// The major version of the cluster in a data directory, if there is one.
pub(super) fn existing_version(pgdata: &Path) -> Option<u32> {
    fs::read_to_string(pgdata.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// A cluster that exists keeps its owner, whichever account that is.
fn account_for_root(dir: &Path) -> Result<Account, ClusterError> {
    if let Ok(owned) = fs::metadata(dir)
        && owned.uid() != 0
    {
        let name = id(&["-un", &owned.uid().to_string()]).ok_or(ClusterError::NoAccount)?;
        return Ok(Account { uid: owned.uid(), gid: owned.gid(), name });
    }
    for name in ACCOUNTS_FOR_ROOT {
        let number = |option| id(&[option, name]).and_then(|number| number.parse().ok());
        if let (Some(uid), Some(gid)) = (number("-u"), number("-g")) {
            return Ok(Account { uid, gid, name: name.to_owned() });
        }
    }
    Err(ClusterError::NoAccount)
}

/// `id(1)` asks whatever directory of accounts the machine uses, which reading `/etc/passwd` would not.
fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Whether a process of the account can start in the directory: asked by starting one.
fn reaches(account: &Account, dir: &Path) -> bool {
    let mut command = Command::new("/bin/sh");
    programs::prepare(&mut command, Some(account), dir);
    command.args(["-c", "test -w ."]).status().is_ok_and(|status| status.success())
}

/// A directory of random name that the account can reach, written down in the data directory.
fn move_out_of_reach(data_dir: &Path, unreachable: &Path, account: &Account) -> Result<PathBuf, ClusterError> {
    let parent = Path::new(PLACE_FOR_ROOT);
    DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(ClusterError::io("create", parent))?;
    let dir = parent.join(random_name()?);
    make_private(&dir, Some(account))?;
    if !reaches(account, &dir) {
        return Err(ClusterError::Unreachable { dir, account: account.name.clone() });
    }
    write_note(&data_dir.join(CLUSTER_NOTE), &dir)?;
    // It is empty; a leftover would only puzzle.
    let _ = fs::remove_dir(unreachable);
    tracing::info!(cluster.path = %dir.display(), "the account {} cannot reach {}, so the database lies elsewhere", account.name, unreachable.display());
    Ok(dir)
}

/// `socket` inside the cluster's directory, or, where that path is too long, a short one whose name nobody can guess.
fn socket_directory(dir: &Path, account: Option<&Account>) -> Result<PathBuf, ClusterError> {
    let inside = dir.join("socket");
    if fits(&inside) {
        make_private(&inside, account)?;
        return Ok(inside);
    }
    let note = dir.join(SOCKET_NOTE);
    if let Some(noted) = read_note(&note)?
        && make_private(&noted, account).is_ok()
        && is_private(&noted, account)
    {
        return Ok(noted);
    }
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| account.is_none() && dir.is_absolute() && dir.is_dir());
    let parent = runtime.into_iter().chain([PathBuf::from("/tmp")]).find(|parent| fits(&parent.join("frontdesk-0123456789abcdef")));
    let outside = parent.unwrap_or_else(|| PathBuf::from("/tmp")).join(format!("frontdesk-{}", random_name()?));
    DirBuilder::new().mode(0o700).create(&outside).map_err(ClusterError::io("create", &outside))?;
    hand_over(&outside, account)?;
    write_note(&note, &outside)?;
    Ok(outside)
}

fn socket_in(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

fn fits(dir: &Path) -> bool {
    socket_in(dir).as_os_str().as_bytes().len() <= SOCKET_PATH_MAX_BYTES
}

/// Makes the directory if it is absent. One that is there already keeps its owner and mode: PostgreSQL checks them itself.
fn make_private(dir: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => hand_over(dir, account),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(ClusterError::io("create", dir)(error)),
    }
}

/// A directory in a place where others may write counts only when it is ours, a real directory, and closed to others.
fn is_private(dir: &Path, account: Option<&Account>) -> bool {
    let owner = account.map_or(rustix::process::geteuid().as_raw(), |account| account.uid);
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == owner && found.permissions().mode() & 0o077 == 0)
}

fn hand_over(path: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    let Some(account) = account else { return Ok(()) };
    std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)).map_err(ClusterError::io("change the owner of", path))
}

fn random_name() -> Result<String, ClusterError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| ClusterError::io("name a directory below", Path::new("/"))(io::Error::other(error)))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read_note(note: &Path) -> Result<Option<PathBuf>, ClusterError> {
    match fs::read_to_string(note) {
        Ok(text) => Ok(Some(PathBuf::from(text.trim_end_matches('\n'))).filter(|path| path.is_absolute())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ClusterError::io("read", note)(error)),
    }
}

fn write_note(note: &Path, path: &Path) -> Result<(), ClusterError> {
    fs::write(note, format!("{}\n", path.display())).map_err(ClusterError::io("write", note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_longer_than_the_system_takes_does_not_fit() {
        assert!(fits(Path::new("/srv/frontdesk/data/cluster/socket")));
        assert!(fits(Path::new(&format!("/{}", "x".repeat(87)))));
        assert!(!fits(Path::new(&format!("/{}", "x".repeat(89)))));
    }

    #[test]
    fn a_directory_open_to_others_is_not_private() {
        assert!(!is_private(Path::new("/tmp"), None));
        assert!(!is_private(Path::new("/no/such/directory"), None));
    }
}
