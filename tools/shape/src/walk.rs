//! Finds and reads the sources; what they measure is the matter of [`measure`](crate::measure).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use crate::measure::{File, Tree, root_names, test_modules};

/// Sources by their path from the root, with `/` between the parts.
type Sources = BTreeMap<String, String>;

/// Reads and measures the repository at `root`.
pub(crate) fn tree(root: &Path) -> Result<Tree> {
    let mut sources = Sources::new();
    collect(root, root, &mut sources)?;
    if !sources.contains_key("src/lib.rs") {
        return Err(Error::other(format!("{} has no src/lib.rs", root.display())));
    }
    measure(&sources)
}

fn collect(root: &Path, dir: &Path, sources: &mut Sources) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !is_skipped(&path) {
            collect(root, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(name(root, &path), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Build output and hidden folders are not ours.
fn is_skipped(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == "target" || name.to_string_lossy().starts_with('.'))
}

fn name(root: &Path, path: &Path) -> String {
    let below: PathBuf = path.strip_prefix(root).unwrap_or(path).into();
    below.to_string_lossy().replace('\\', "/")
}

fn measure(sources: &Sources) -> Result<Tree> {
    let tests = test_paths(sources)?;
    let mut tree = Tree::default();
    for (path, source) in sources {
        if is_library(path) && !tests.iter().any(|test| is_below(path, test)) {
            tree.library.push(File::read(path, source).map_err(|error| unparsed(path, &error))?);
        } else {
            tree.others.push(File::unread(path, source));
        }
    }
    let lib = sources.get("src/lib.rs").map_or("", String::as_str);
    tree.root_names = root_names(lib).map_err(|error| unparsed("src/lib.rs", &error))?;
    Ok(tree)
}

/// The modules (without `.rs`) of the libraries that only tests compile.
fn test_paths(sources: &Sources) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for (path, source) in sources.iter().filter(|(path, _)| is_library(path)) {
        let modules = test_modules(source).map_err(|error| unparsed(path, &error))?;
        paths.extend(modules.iter().map(|module| format!("{}/{module}", children(path))));
    }
    Ok(paths)
}

/// Where the children of a module live: `src/a` for both `src/a.rs` and `src/a/mod.rs`.
fn children(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    ["/mod", "/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem)
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether a path is in `src` or `crates/*/src`.
fn is_library(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("src") => true,
        Some("crates") => parts.nth(1) == Some("src"),
        _ => false,
    }
}

fn unparsed(path: &str, error: &syn::Error) -> Error {
    Error::other(format!("{path}:{}: {error}", error.span().start().line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(sources: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let owned = sources.iter().map(|(path, source)| (path.to_string(), source.to_string()));
        let tree = measure(&owned.collect()).unwrap();
        let paths = |files: &[File]| files.iter().map(|file| file.path.clone()).collect();
        (paths(&tree.library), paths(&tree.others))
    }

    #[test]
    fn only_the_libraries_are_measured_in_full() {
        let paths =
            ["src/lib.rs", "crates/a/src/lib.rs", "crates/a/tests/x.rs", "tests/it/main.rs", "build.rs"];
        let (library, others) = measured(&paths.map(|path| (path, "")));
        assert_eq!(library, ["crates/a/src/lib.rs", "src/lib.rs"]);
        assert_eq!(others, ["build.rs", "crates/a/tests/x.rs", "tests/it/main.rs"]);
    }

    #[test]
    fn files_of_test_modules_are_not_the_library() {
        let (library, others) = measured(&[
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "#[cfg(test)] mod tests; mod tests_of_others;"),
            ("src/a/tests.rs", ""),
            ("src/a/tests/deep.rs", ""),
            ("src/a/tests_of_others.rs", ""),
            ("src/b/mod.rs", "#[cfg(test)] mod tests;"),
            ("src/b/tests.rs", ""),
        ]);
        assert_eq!(library, ["src/a.rs", "src/a/tests_of_others.rs", "src/b/mod.rs", "src/lib.rs"]);
        assert_eq!(others, ["src/a/tests.rs", "src/a/tests/deep.rs", "src/b/tests.rs"]);
    }

    #[test]
    fn a_source_that_does_not_parse_is_named() {
        let sources = Sources::from([("src/a.rs".to_owned(), "\nfn (".to_owned())]);
        let error = measure(&sources).unwrap_err().to_string();
        assert!(error.starts_with("src/a.rs:2: "), "{error}");
    }

    #[test]
    fn this_repository_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tree = tree(&root).unwrap();
        assert!(tree.library.iter().any(|file| file.path == "src/lib.rs"));
        assert!(tree.others.iter().any(|file| file.path == "tools/shape/src/walk.rs"));
    }
}
