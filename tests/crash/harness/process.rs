//! Child processes, and the directory that they share.

use std::fs::DirEntry;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

/// A running process, and the thread that listens to it. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    listener: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts this binary anew as a program; `listen` gets each line that it writes.
    pub(crate) fn start(
        program: &str,
        arguments: &[String],
        mut listen: impl FnMut(String) + Send + 'static,
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.env("HOOKWIRE_PROGRAM", program).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let listener = thread::spawn(move || lines.for_each(|line| listen(line.expect("UTF-8"))));
        Self { child, listener: Some(listener) }
    }

    /// Kills it with SIGKILL, and returns once all that it had said is heard.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours to kill");
        self.end();
    }

    /// Stops it with SIGSTOP, and returns once all of it stands still.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        let threads = || std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it is there");
        let stands = |thread: std::io::Result<DirEntry>| {
            let stat = std::fs::read_to_string(thread.expect("a thread").path().join("stat"));
            stat.is_ok_and(|stat| stat.contains(") T "))
        };
        while !threads().all(stands) {
            thread::yield_now();
        }
    }

    /// Lets it go on after [`stop`](Self::stop).
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal {name}");
    }

    /// Waits until it ends by itself; it must end well.
    pub(crate) fn finish(mut self) {
        assert!(self.end().success(), "it ends by itself");
    }

    fn end(&mut self) -> ExitStatus {
        let listener = self.listener.take().expect("it ends once");
        listener.join().expect("every line is understood");
        self.child.wait().expect("it has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, but for a test that fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends this process with the one that started it, whatever becomes of that.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        // Nothing is ever written there, so reading ends when the other end is closed.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

/// A directory for what processes share, which goes with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hookwire-crash-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    /// The file of a store.
    pub(crate) fn place(&self) -> String {
        self.0.join("hooks.db").to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of a failed test may stay in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
