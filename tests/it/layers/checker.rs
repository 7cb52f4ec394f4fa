//! The rules of the layers, and which module breaks which of them.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;

use super::mentions::{Mention, Place, Reader};

/// The rule of a layer. Its own modules may always be mentioned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    /// Decisions without effects, which see these layers only.
    Pure(&'static [&'static str]),
    /// A seam, which sees everything but these.
    Seam(&'static [&'static str]),
}

/// The layers that have rules; those above them (`service`, `dispatcher`, ..) see everything.
pub(super) const LAYERS: [(&str, Layer); 15] = [
    ("assist", Layer::Pure(&["model", "registry"])),
    ("delivery", Layer::Pure(&["model", "retry"])),
    ("envelope", Layer::Pure(&["model"])),
    ("handshake", Layer::Pure(&["model"])),
    ("model", Layer::Pure(&[])),
    ("openapi", Layer::Pure(&["envelope", "model"])),
    ("plain", Layer::Pure(&["model"])),
    ("registry", Layer::Pure(&["model"])),
    ("retry", Layer::Pure(&["model"])),
    ("routing", Layer::Pure(&["model", "registry"])),
    ("sealing", Layer::Pure(&["model"])),
    ("signature", Layer::Pure(&["model"])),
    ("signer", Layer::Seam(&["dispatcher", "service", "store", "transport"])),
    ("store", Layer::Seam(&["dispatcher", "service", "transport"])),
    ("transport", Layer::Seam(&["dispatcher", "service", "store"])),
];

/// Crates that do I/O, wait, draw random numbers or run what does; `tokio` stands for `tokio_rustls` too.
const CRATES: [&str; 10] = [
    "async_trait",
    "fastrand",
    "futures",
    "getrandom",
    "hyper",
    "rand",
    "rusqlite",
    "rustls",
    "tokio",
    "uuid",
];

/// Modules of `std` that reach out of the process or start something in it.
const MODULES: [&str; 5] = ["env", "fs", "os", "process", "thread"];

/// Names that do so wherever they come from.
const NAMES: [&str; 10] = [
    "RandomState",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "stderr",
    "stdin",
    "stdout",
];

/// Traits of the prelude.
const PRELUDE: [&str; 9] = [
    "DoubleEndedIterator",
    "ExactSizeIterator",
    "Fn",
    "FnMut",
    "FnOnce",
    "Iterator",
    "Send",
    "Sync",
    "Unpin",
];

const STD: [&str; 3] = ["alloc", "core", "std"];

/// The layer that a module is in: `model` for `model::attempt`.
pub(super) fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// Every rule that the source of `module` breaks, with the line.
pub(super) fn faults(module: &str, source: &str) -> Vec<String> {
    let Ok(tokens) = source.parse::<TokenStream>() else {
        return vec![format!("{module}: does not parse")];
    };
    let Some((_, layer)) = LAYERS.iter().find(|(name, _)| *name == top(module)) else {
        return vec![format!("{module}: is in no layer that has rules")];
    };
    let mentions = Reader::read(module, tokens).mentions;
    let imports = imports(&mentions);
    let faults = mentions.iter().flat_map(|mention| {
        let found = [effect(*layer, mention), object(*layer, mention, &imports), reach(*layer, mention)];
        found.into_iter().flatten().map(move |fault| (mention.line, fault))
    });
    faults.map(|(line, fault)| format!("{module}:{line}: {fault}")).collect()
}

/// Returns the path that each imported name stands for.
fn imports(mentions: &[Mention]) -> BTreeMap<&str, &[String]> {
    let imported = mentions.iter().filter_map(|mention| Some((mention.imported()?, mention.path.as_slice())));
    imported.collect()
}

/// A pure layer waits for nothing, reads no clock, draws nothing, and does no I/O.
fn effect(layer: Layer, mention: &Mention) -> Option<String> {
    let path: Vec<_> = mention.path.iter().map(String::as_str).collect();
    let what = match path[..] {
        _ if matches!(layer, Layer::Seam(_)) || mention.place == Place::Dyn => return None,
        ["async" | "await"] => "is asynchronous",
        [_, .., "now"] | [.., "elapsed"] if path.len() > 1 => "reads the clock",
        [".elapsed"] => "reads the clock",
        ["include!"] | ["#[path]"] => "brings in a source from elsewhere",
        [std, module, ..] if STD.contains(&std) && MODULES.contains(&module) => "reaches out of the process",
        [std, "*"] | [std, "net", "*"] if STD.contains(&std) => "hides what it imports",
        [std] if STD.contains(&std) && mention.place != Place::Code => "hides what it imports",
        _ if path.iter().any(|name| NAMES.contains(name)) => "reaches out of the process",
        [name, ..] if is_effectful(name, mention) => "is a crate with effects",
        _ => return None,
    };
    Some(format!("`{}` {what}", path.join("::")))
}

fn is_effectful(name: &str, mention: &Mention) -> bool {
    let is_named = |stem| name == stem || name.starts_with(&format!("{stem}_"));
    // A name by itself is a variable or a field.
    let is_path = mention.path.len() > 1 || mention.place != Place::Code;
    is_path && CRATES.into_iter().any(is_named)
}

/// A pure layer has no trait objects but those of `std`.
fn object(layer: Layer, mention: &Mention, imports: &BTreeMap<&str, &[String]>) -> Option<String> {
    if matches!(layer, Layer::Seam(_)) || mention.place != Place::Dyn {
        return None;
    }
    let name = mention.path.first()?.as_str();
    let head = imports.get(name).and_then(|path| path.first()).map_or(name, String::as_str);
    let known = STD.contains(&head) || (head == name && mention.path.len() == 1 && PRELUDE.contains(&name));
    (!known).then(|| format!("`dyn {}` is no trait object of std", mention.path.join("::")))
}

/// A pure layer sees the layers below it, a seam all but those above and beside it; nobody leads through
/// the root, whose names come from everywhere.
fn reach(layer: Layer, mention: &Mention) -> Option<String> {
    let path = mention.absolute()?;
    let to = path.first().map_or("", String::as_str);
    let own = mention.module.first().is_some_and(|own| own == to);
    let is_name = to.is_empty() || to == "*" || to.starts_with(char::is_uppercase);
    let allowed = match layer {
        Layer::Pure(below) => below.contains(&to),
        Layer::Seam(barred) => !barred.contains(&to) && !is_name,
    };
    (!own && !allowed).then(|| format!("`{}` leads to `crate::{to}`", mention.path.join("::")))
}
