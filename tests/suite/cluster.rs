//! The private cluster from outside: real PostgreSQL programs in a directory that is removed at the end.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use frontdesk::cluster::{Cluster, ClusterError, Mode};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Nothing here needs much, and several clusters run at once. Data must outlive a killed process, not a power cut.
const SMALL: [(&str, &str); 3] = [("shared_buffers", "16MB"), ("max_connections", "10"), ("fsync", "off")];

/// A directory that PostgreSQL's account can reach when the tests run as root; none on a machine that has a database elsewhere
/// and no PostgreSQL to start.
fn data_dir() -> Option<TempDir> {
    if std::env::var_os("DATABASE_URL").is_some() && !Cluster::is_installed() {
        return None;
    }
    let data = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::set_permissions(data.path(), Permissions::from_mode(0o711)).expect("its mode can be changed");
    Some(data)
}

async fn open(data_dir: &Path, mode: Mode) -> Result<Cluster, ClusterError> {
    Cluster::open_with(data_dir, mode, &SMALL).await
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url()).await.expect("the cluster takes connections")
}

async fn remember(cluster: &Cluster, note: &'static str) {
    let mut connection = connect(cluster).await;
    sqlx::query("create table if not exists notes (note text)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into notes values ($1)").bind(note).execute(&mut connection).await.unwrap();
}

async fn remembered(cluster: &Cluster) -> Vec<String> {
    sqlx::query_scalar("select note from notes order by note").fetch_all(&mut connect(cluster).await).await.unwrap()
}

/// The process that this test started.
fn postmaster(cluster: &Cluster) -> Pid {
    let pid_file = std::fs::read_to_string(cluster.pgdata().join("postmaster.pid")).expect("PostgreSQL runs");
    Pid::from_raw(pid_file.lines().next().unwrap().parse().unwrap()).unwrap()
}

/// A process that has ended stays visible until its parent, here whatever runs the tests, collects it.
fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_err() || stat.contains(") Z ")
}

async fn wait_until_gone(pid: Pid) {
    for _ in 0..1000 {
        if has_ended(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid:?} does not end");
}

#[tokio::test]
async fn a_first_start_makes_a_safe_cluster_and_a_second_one_keeps_its_data() {
    let Some(data) = data_dir() else { return };
    let cluster = Cluster::open(data.path(), Mode::Serve).await.unwrap();
    let mut connection = connect(&cluster).await;
    let settings = "select current_setting('listen_addresses') || ',' || current_setting('fsync') || ',' || current_setting('server_encoding') \
                    || ',' || current_setting('unix_socket_permissions') || ',' || current_database() || ',' || datcollate \
                    from pg_database where datname = current_database()";
    let settings: String = sqlx::query_scalar(settings).fetch_one(&mut connection).await.unwrap();
    assert_eq!(settings, ",on,UTF8,0700,frontdesk,C");
    remember(&cluster, "kept").await;
    let pid = postmaster(&cluster);
    // An open session does not hold up a stop.
    cluster.stop().await.unwrap();
    assert!(has_ended(pid), "PostgreSQL has ended");
    drop(connection);

    let cluster = Cluster::open(data.path(), Mode::Serve).await.unwrap();
    assert_eq!(remembered(&cluster).await, ["kept"]);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_recovers_from_a_killed_postgresql_and_adopts_an_orphaned_one() {
    let Some(data) = data_dir() else { return };
    let cluster = open(data.path(), Mode::Serve).await.unwrap();
    remember(&cluster, "committed").await;
    let session = connect(&cluster).await;
    let killed = postmaster(&cluster);
    kill_process(killed, Signal::KILL).unwrap();
    drop(cluster);
    let cluster = open(data.path(), Mode::Serve).await.unwrap();
    assert_eq!(remembered(&cluster).await, ["committed"]);
    drop(session);

    // What a kill -9 of the server leaves: PostgreSQL without a user, and no locks.
    let orphan = postmaster(&cluster);
    let (released, adopted) = (data.path().join("serve.lock"), data.path().join("users.lock"));
    std::fs::remove_file(released).unwrap();
    std::fs::remove_file(adopted).unwrap();
    let adopting = open(data.path(), Mode::Serve).await.unwrap();
    assert_eq!(postmaster(&adopting), orphan);
    adopting.stop().await.unwrap();
    wait_until_gone(orphan).await;
}

#[tokio::test]
async fn a_process_id_that_belongs_to_another_program_does_not_stop_a_start() {
    let Some(data) = data_dir() else { return };
    let cluster = open(data.path(), Mode::Command).await.unwrap();
    let pgdata = cluster.pgdata();
    let pid_file = std::fs::read_to_string(pgdata.join("postmaster.pid")).unwrap();
    cluster.stop().await.unwrap();
    // After a power cut the number may be anybody's; here it is ours.
    let (_, rest) = pid_file.split_once('\n').unwrap();
    std::fs::write(pgdata.join("postmaster.pid"), format!("{}\n{rest}", std::process::id())).unwrap();
    let cluster = open(data.path(), Mode::Command).await.unwrap();
    connect(&cluster).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_command_uses_the_cluster_of_the_server_and_leaves_it_running() {
    let Some(data) = data_dir() else { return };
    let server = open(data.path(), Mode::Serve).await.unwrap();
    let pid = postmaster(&server);
    let command = open(data.path(), Mode::Command).await.unwrap();
    remember(&command, "from the command").await;
    assert_eq!(command.url(), server.url());
    command.stop().await.unwrap();
    assert_eq!(remembered(&server).await, ["from the command"]);
    assert_eq!(postmaster(&server), pid);
    server.stop().await.unwrap();
    wait_until_gone(pid).await;
}

#[tokio::test]
async fn the_last_of_several_commands_stops_the_cluster() {
    let Some(data) = data_dir() else { return };
    let (first, second) = tokio::join!(open(data.path(), Mode::Command), open(data.path(), Mode::Command));
    let (first, second) = (first.unwrap(), second.unwrap());
    let pid = postmaster(&first);
    first.stop().await.unwrap();
    remember(&second, "still there").await;
    // Dropped without a stop, as after a failure: it is asked to stop all the same.
    drop(second);
    wait_until_gone(pid).await;
    // And the next one need not know that the one before has only just ended.
    let third = open(data.path(), Mode::Command).await.unwrap();
    assert_eq!(remembered(&third).await, ["still there"]);
    third.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_server_on_one_data_directory_is_refused_with_the_process_id() {
    let Some(data) = data_dir() else { return };
    let server = open(data.path(), Mode::Serve).await.unwrap();
    let sentence = open(data.path(), Mode::Serve).await.unwrap_err().to_string();
    let begin = format!("another frontdesk server (process {}) uses the data directory ", std::process::id());
    assert!(sentence.starts_with(&begin) && !sentence.contains('\n'), "{sentence}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_with_a_long_and_strange_name_works() {
    let Some(data) = data_dir() else { return };
    let deep = data.path().join("it's, \"quoted\" & 100 % ünusual").join("x".repeat(100));
    let cluster = open(&deep, Mode::Command).await.unwrap();
    remember(&cluster, "here").await;
    let socket_directory = std::fs::read_to_string(cluster.pgdata().parent().unwrap().join("socket.path"));
    cluster.stop().await.unwrap();
    let again = open(&deep, Mode::Command).await.unwrap();
    assert_eq!(remembered(&again).await, ["here"]);
    again.stop().await.unwrap();
    if let Ok(path) = socket_directory {
        std::fs::remove_dir_all(path.trim_end()).unwrap();
    }
}

#[tokio::test]
async fn a_cluster_can_be_bound_to_the_life_of_its_process() {
    let Some(data) = data_dir() else { return };
    let mut cluster = open(data.path(), Mode::Serve).await.unwrap();
    cluster.stop_with_this_process().unwrap();
    remember(&cluster, "bound").await;
    let pid = postmaster(&cluster);
    cluster.stop().await.unwrap();
    wait_until_gone(pid).await;
}

#[tokio::test]
async fn for_root_a_data_directory_closed_to_other_accounts_works() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(closed) = data_dir() else { return };
    std::fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let data = closed.path().join("data");
    let cluster = open(&data, Mode::Command).await.unwrap();
    remember(&cluster, "elsewhere").await;
    cluster.stop().await.unwrap();
    let again = open(&data, Mode::Command).await.unwrap();
    assert_eq!(remembered(&again).await, ["elsewhere"]);
    again.stop().await.unwrap();
    let place = PathBuf::from(std::fs::read_to_string(data.join("cluster.path")).unwrap().trim_end());
    assert!(place.join("pgdata").is_dir() && !data.join("cluster").exists());
    std::fs::remove_dir_all(&place).unwrap();
    // Its parent goes too unless a real one lies beside it.
    let _ = std::fs::remove_dir(place.parent().unwrap());
}
