//! A test that runs in a process of its own, because it is about what a whole process has.

use std::io;
use std::process::Command;

/// Says in the other process that it is the one.
const MARK: &str = "HOOKWIRE_TEST_ALONE";

/// Runs the test of this name in another process, once `shell` was run there. Returns whether this process is that one,
/// which has to go on.
pub(crate) async fn is_alone(test: &'static str, shell: &'static str) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let run = move || again(test, shell).expect("it runs");
    let printed = tokio::task::spawn_blocking(run).await.expect("no panic");
    assert!(printed.contains("1 passed"), "{printed}");
    false
}

fn again(test: &str, shell: &str) -> io::Result<String> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} && exec \"$@\""), "sh"]);
    command.arg(std::env::current_exe()?).args(["--exact", test]);
    let ran = command.env(MARK, "1").output()?;
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr))
}
