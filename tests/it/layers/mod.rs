//! The rules of the layers hold in every source of `src`, read token by token, and no files of a crate need each other
//! in a circle.
//!
//! `checker` holds the rules of the layers, `files` those of files, and `mentions` reads sources; `planted` and
//! `planted_files` break each rule to see it caught.

mod checker;
mod files;
mod mentions;
mod planted;
mod planted_files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use checker::{LAYERS, faults, top};
use files::{Files, is_within};
use mentions::Reader;

/// Sources by their module: `model::attempt` for `src/model/attempt.rs`.
type Sources = BTreeMap<String, String>;

#[test]
fn every_layer_keeps_its_rules() {
    let sources = sources(src());
    let ruled = sources.iter().filter(|(module, _)| LAYERS.iter().any(|(layer, _)| *layer == top(module)));
    let faults: Vec<_> = ruled.flat_map(|(module, source)| faults(module, source)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// A test of files that it does not find would pass for ever.
#[test]
fn every_layer_that_exists_is_read() {
    let sources = sources(src());
    let read: BTreeSet<_> = sources.keys().map(|module| top(module)).collect();
    assert!(read.contains("model"));
    for (layer, _) in LAYERS {
        let exists = src().join(layer).exists() || src().join(format!("{layer}.rs")).exists();
        assert_eq!(read.contains(layer), exists, "{layer}");
    }
    assert!(sources.keys().filter(|module| top(module) == "model").count() > 10);
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    let circles = of_each_crate(Files::circles);
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// Inside a folder, a file names the file that it needs, and not the folder that hands its names on.
#[test]
fn no_file_goes_through_the_face_of_its_own_folder() {
    let found = of_each_crate(Files::through_faces);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn of_each_crate(check: impl Fn(&Files) -> Vec<String>) -> Vec<String> {
    let crates = crates().into_iter().flat_map(|(name, src)| {
        let sources = sources(&src);
        let files = Files::read(sources.iter().map(|(module, source)| (module.as_str(), source.as_str())));
        check(&files).into_iter().map(|fault| format!("{name}: {fault}")).collect::<Vec<_>>()
    });
    crates.collect()
}

/// The libraries, each with the folder of its sources.
pub(crate) fn crates() -> Vec<(String, PathBuf)> {
    let mut crates = vec![("hookwire".to_owned(), src().to_owned())];
    for entry in fs::read_dir(src().with_file_name("crates")).expect("the folder of the other crates") {
        let entry = entry.expect("an entry of the folder of crates");
        crates.push((entry.file_name().to_string_lossy().into_owned(), entry.path().join("src")));
    }
    crates
}

fn src() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// The sources of a library, without modules that only tests compile.
pub(crate) fn sources(src: &Path) -> Sources {
    let mut sources = Sources::new();
    collect(src, src, &mut sources);
    let tests: Vec<_> = sources.iter().flat_map(|(module, source)| test_modules(module, source)).collect();
    sources.retain(|module, _| !tests.iter().any(|test| module == test || is_within(module, test)));
    sources
}

fn collect(src: &Path, dir: &Path, sources: &mut Sources) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            collect(src, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(module(src, &path), fs::read_to_string(&path).expect("a source in UTF-8"));
        }
    }
}

fn module(src: &Path, path: &Path) -> String {
    let below = path.strip_prefix(src).expect("a path in src").with_extension("");
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    match parts.split_last() {
        Some((last, folders)) if last == "mod" || (last == "lib" && folders.is_empty()) => folders.join("::"),
        _ => parts.join("::"),
    }
}

fn test_modules(module: &str, source: &str) -> Vec<String> {
    let tokens = source.parse().expect("a source that parses");
    let tests = Reader::read(module, tokens).test_modules;
    tests.into_iter().map(|test| if module.is_empty() { test } else { format!("{module}::{test}") }).collect()
}
