//! The guide has every line that is logged at `info` and above.

use crate::layers::{crates, sources};

/// Returns what a call of a macro says, up to the first clause's end or to what is filled in. The message comes last.
fn message(call: &str) -> &str {
    let ends = call.match_indices('"').find(|(at, _)| call[at + 1..].trim_start().starts_with(')'));
    let (end, _) = ends.expect("a call ends with its message");
    let text = call[..end].rsplit('"').next().unwrap_or_default();
    text.split([';', '{']).next().unwrap_or_default()
}

fn messages(source: &str) -> impl Iterator<Item = &str> {
    ["warn!(", "info!("].into_iter().flat_map(|name| source.split(name).skip(1)).map(message)
}

#[test]
fn the_guide_has_every_line() {
    let guide = include_str!("../../src/guide/operations.rs");
    let sources: Vec<_> = crates().iter().flat_map(|(_, src)| sources(src).into_values()).collect();
    let all: Vec<_> = sources.iter().flat_map(|source| messages(source)).collect();
    assert!(all.len() > 15, "{all:?}");
    let missing: Vec<_> = all.iter().filter(|message| !guide.contains(**message)).collect();
    assert!(missing.is_empty(), "the guide's page on operations does not tell of {missing:?}");
}

#[test]
fn a_line_is_found_however_it_is_written() {
    let source =
        "warn!(%id, \"one (1)\"); info!(\n  error = \"why\",\n  \"two; so\"\n); warn!(\"three: {X}\")";
    assert_eq!(messages(source).collect::<Vec<_>>(), ["one (1)", "three: ", "two"]);
}
