//! Opening a file: its owner, its names, and what is left untouched.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hookwire::store::{OpenError, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use tokio::time::Instant;

use super::{Directory, create, open};

/// Names the file of the test below, in the process that [`locked_for_others`] starts.
const FILE: &str = "HOOKWIRE_TEST_LOCKED_FILE";

#[test]
fn a_file_that_nobody_has_locked_can_be_locked() {
    let own = Directory::new();
    let file = env::var_os(FILE).map_or_else(|| own.file(), PathBuf::from);
    let connection = Connection::open(file).expect("a database");
    connection.busy_timeout(Duration::ZERO).expect("no patience");
    connection.execute_batch("BEGIN IMMEDIATE").expect("it is free");
}

/// Whether another process finds the file locked. A process does not see its own locks.
fn locked_for_others(file: &PathBuf) -> bool {
    let mut other = Command::new(env::current_exe().expect("this binary"));
    other.args(["--exact", "sqlite::opening::a_file_that_nobody_has_locked_can_be_locked"]);
    let ran = other.env(FILE, file).output().expect("it runs");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(printed.contains("1 passed") || printed.contains("database is locked"), "{printed}");
    !ran.status.success()
}

#[tokio::test]
async fn a_database_of_the_host_that_is_tried_by_mistake_keeps_its_locks() {
    let directory = Directory::new();
    let file = directory.path("app.db");
    let app = Connection::open(&file).expect("a new file");
    app.execute_batch("CREATE TABLE device (name TEXT); BEGIN IMMEDIATE").expect("the host's own");
    assert!(locked_for_others(&file));
    let refused = open(&file).await.expect_err("somebody else's");
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
    assert!(locked_for_others(&file), "the host's lock is gone");
    app.execute_batch("INSERT INTO device VALUES ('LAB-4'); COMMIT").expect("committed");
    assert!(!locked_for_others(&file));
}

#[tokio::test]
async fn a_file_has_one_owner_by_whichever_path() {
    let directory = Directory::new();
    let other = directory.path("inner");
    fs::create_dir(&other).expect("made");
    let detours = [directory.path("inner/../hooks.db"), directory.path("./hooks.db")];
    let (first, second) = (open(&detours[0]).await.expect("a new file"), directory.file());
    for path in detours.iter().chain([&second]) {
        let refused = open(path).await.expect_err("it has an owner");
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
        assert!(refused.to_string().contains(&format!("{path:?}")), "by the name that was given: {refused}");
    }
    drop(first);
    open(&second).await.expect("free again");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_has_one_owner_by_whichever_symbolic_link() {
    use std::os::unix::fs::symlink;

    let directory = Directory::new();
    let (link, of_link, circle) =
        (directory.path("link"), directory.path("of-link"), directory.path("circle"));
    symlink("hooks.db", &link).expect("a link to what is not there yet");
    symlink(&link, &of_link).expect("a link to a link");
    symlink(&circle, &circle).expect("a link to itself");
    for (first, second) in [(&of_link, directory.file()), (&link, of_link.clone())] {
        let store = open(first).await.expect("by one name");
        create(&store).await;
        let refused = open(&second).await.expect_err("by another");
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    }
    let refused = open(&circle).await.expect_err("no file");
    assert!(matches!(refused, OpenError::NotWritable { .. }), "{refused:?}");
}

fn waiting_for(owner: Duration) -> SqliteOptions {
    SqliteStore::options().wait_for_owner(owner)
}

/// The time that one who waits may take to notice, on a busy machine.
const NOTICED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_file_that_is_waited_for_opens_the_moment_that_its_owner_gives_it_up() {
    let directory = Directory::new();
    let first = open(&directory.file()).await.expect("a new file");
    create(&first).await;
    let mut second = tokio::spawn(waiting_for(Duration::from_secs(60)).open(directory.file()));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "it has an owner: {early:?}");
    drop(first);
    let opened = tokio::time::timeout(NOTICED, second).await.expect("at once").expect("whole");
    create(&opened.expect("it is free")).await;
}

#[tokio::test]
async fn a_file_is_waited_for_as_long_as_was_said_and_no_longer() {
    let directory = Directory::new();
    let _owner = open(&directory.file()).await.expect("a new file");
    let (wait, began) = (Duration::from_millis(50), Instant::now());
    let refused = waiting_for(wait).open(directory.file()).await.expect_err("it has an owner");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    let took = began.elapsed();
    assert!(took >= wait && took < NOTICED, "{took:?}");
}

#[tokio::test]
async fn who_gives_up_waiting_does_not_take_the_file_later() {
    let directory = Directory::new();
    let first = open(&directory.file()).await.expect("a new file");
    let second = waiting_for(Duration::from_secs(60)).open(directory.file());
    assert!(tokio::time::timeout(Duration::from_millis(30), second).await.is_err());
    drop(first);
    open(&directory.file()).await.expect("free again");
}

/// Nobody can write to a directory as a file. Root, who runs tests, can write to a read-only file.
#[tokio::test]
async fn whichever_file_cannot_be_written_is_named() {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let directory = Directory::new();
        drop(open(&directory.file()).await.expect("a new file"));
        let blocked = directory.path(&format!("hooks.db{ending}"));
        // The lock stays when the store is closed.
        let _ = fs::remove_file(&blocked);
        fs::create_dir(&blocked).expect("in its place");
        let refused = open(&directory.file()).await.expect_err("not writable");
        let OpenError::NotWritable { path, .. } = &refused else { panic!("{ending}: {refused:?}") };
        assert_eq!(path, &blocked, "{refused}");
    }
}
