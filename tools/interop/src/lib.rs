//! Runs verifiers and signers that are not hookwire's, for the tests of this crate.
//!
//! `scripts/interop` installs them, and tells by two environment variables where.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// A request as it arrives: headers and body.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a plain pair, for tests alone")]
pub struct Arrival {
    /// The headers.
    pub headers: HeaderMap,
    /// The exact bytes of the body.
    pub body: Vec<u8>,
}

/// The runtime of a library that is not ours.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "those that scripts/interop installs")]
pub enum Runtime {
    /// The environment of `foreign.mjs`.
    Node,
    /// The environment of `foreign.py`.
    Python,
}

/// A library that is not ours, in its runtime.
#[derive(Clone, Copy, Debug)]
pub struct Foreign(Runtime, &'static str);

impl Foreign {
    /// The library that goes by `name` in the source for this runtime.
    pub const fn new(runtime: Runtime, name: &'static str) -> Self {
        Self(runtime, name)
    }

    /// Whether it verifies each of `arrivals` by `key`.
    ///
    /// # Panics
    ///
    /// When the library is not installed, or does anything but accept or refuse.
    pub fn verify(self, key: &str, arrivals: &[Arrival]) -> Vec<bool> {
        let answers = self.ask("verify", key, arrivals);
        answers.iter().map(|it| it.as_bool().expect("true or false")).collect()
    }

    /// The arrivals with the headers that it signs them by.
    ///
    /// # Panics
    ///
    /// When the library is not installed, or fails to sign.
    pub fn sign(self, key: &str, arrivals: &[Arrival]) -> Vec<Arrival> {
        let answers = self.ask("sign", key, arrivals);
        let signed = arrivals.iter().zip(&answers);
        signed.map(|(it, answer)| Arrival { headers: headers(answer), body: it.body.clone() }).collect()
    }

    fn ask(self, act: &str, key: &str, arrivals: &[Arrival]) -> Vec<Value> {
        let task = |it: &Arrival| {
            let body = STANDARD.encode(&it.body);
            json!({"act": act, "library": self.1, "key": key, "headers": object(&it.headers), "body": body})
        };
        let tasks: Value = arrivals.iter().map(task).collect();
        let answer = talk(self.0.start(), &tasks);
        let answers: Vec<Value> = serde_json::from_slice(&answer).expect("a list of answers");
        assert_eq!(answers.len(), arrivals.len(), "an answer to each task");
        answers
    }
}

impl Runtime {
    fn start(self) -> Child {
        let (program, script) = match self {
            Self::Node => (OsString::from("node"), installed("INTEROP_NODE").join("foreign.mjs")),
            Self::Python => {
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/foreign.py");
                (installed("INTEROP_PYTHON").into(), source)
            }
        };
        let mut command = Command::new(&program);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
    }
}

#[allow(clippy::disallowed_methods, reason = "scripts/interop tells by them what it installed where")]
fn installed(variable: &str) -> PathBuf {
    let hint = "run scripts/interop, which installs the other verifiers and then runs these tests";
    env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: {hint}")).into()
}

fn talk(mut child: Child, tasks: &Value) -> Vec<u8> {
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(tasks.to_string().as_bytes()).expect("it reads all tasks first");
    drop(stdin);
    let output = child.wait_with_output().expect("it was started");
    assert!(output.status.success(), "the other side failed; its error stands above");
    output.stdout
}

fn object(headers: &HeaderMap) -> Value {
    let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn headers(object: &Value) -> HeaderMap {
    let pairs = object.as_object().expect("headers").iter();
    let header = |(name, value): (&String, &Value)| {
        let name = HeaderName::try_from(name).expect("a name");
        (name, HeaderValue::from_str(value.as_str().expect("text")).expect("a value"))
    };
    pairs.map(header).collect()
}
