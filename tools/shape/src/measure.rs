//! What a source text measures, as values: nothing here reads a file.
//!
//! A body is measured where it is written as Rust; functions inside a `macro_rules!` are tokens until
//! somebody calls it, and are not.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItem, Item, ItemMod, ItemUse, Meta, TraitItem, UseTree, Visibility};

/// All that the limits are about.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The files of the libraries, without those of their tests.
    pub(crate) library: Vec<File>,
    /// Every other `.rs` file: only its length and its sign matter.
    pub(crate) others: Vec<File>,
    /// The names that `pub use` puts at the root of `src/lib.rs`.
    pub(crate) root_names: Vec<String>,
}

impl Tree {
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.library.iter().chain(&self.others)
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = (&File, &Body)> {
        self.library.iter().flat_map(|file| file.bodies.iter().map(move |body| (file, body)))
    }

    /// The lengths of all bodies, ascending.
    pub(crate) fn body_lengths(&self) -> Vec<usize> {
        let mut lengths: Vec<_> = self.bodies().map(|(_, body)| body.lines).collect();
        lengths.sort_unstable();
        lengths
    }
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) lines: usize,
    /// Whether it says in a `//!` line what it is for.
    pub(crate) has_sign: bool,
    pub(crate) bodies: Vec<Body>,
}

impl File {
    /// A file of which only the length and the sign are of interest.
    pub(crate) fn unread(path: &str, source: &str) -> Self {
        Self {
            path: path.to_owned(),
            lines: source.lines().count(),
            has_sign: has_sign(source),
            bodies: Vec::new(),
        }
    }

    pub(crate) fn read(path: &str, source: &str) -> syn::Result<Self> {
        let bodies = bodies(&syn::parse_file(source)?);
        Ok(Self { bodies, ..Self::unread(path, source) })
    }
}

/// The body of one function, braces included; on one line it measures 1.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Whether a source begins with a `//!` line that says something; attributes and comments may stand before it.
fn has_sign(source: &str) -> bool {
    let is_before = |line: &&str| {
        line.is_empty() || line.starts_with("#![") || (line.starts_with("//") && !line.starts_with("//!"))
    };
    let first = source.lines().map(str::trim).find(|line| !is_before(line));
    first.and_then(|line| line.strip_prefix("//!")).is_some_and(|text| !text.trim().is_empty())
}

/// The value below which `percent` of the sorted values lie (nearest rank); 0 of none.
pub(crate) fn percentile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn bodies(file: &syn::File) -> Vec<Body> {
    let mut found = Bodies(Vec::new());
    found.visit_file(file);
    found.0
}

struct Bodies(Vec<Body>);

impl Bodies {
    fn add(&mut self, name: &syn::Ident, block: &Block) {
        let (first, last) = (block.span().start().line, block.span().end().line);
        self.0.push(Body { name: name.to_string(), line: name.span().start().line, lines: last - first + 1 });
    }
}

impl<'ast> Visit<'ast> for Bodies {
    fn visit_item(&mut self, item: &'ast Item) {
        if item_attrs(item).is_some_and(is_test) {
            return;
        }
        if let Item::Fn(function) = item {
            self.add(&function.sig.ident, &function.block);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(method) = item {
            if is_test(&method.attrs) {
                return;
            }
            self.add(&method.sig.ident, &method.block);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(method) = item
            && let Some(block) = &method.default
        {
            self.add(&method.sig.ident, block);
        }
        visit::visit_trait_item(self, item);
    }
}

/// The modules that a source declares for tests only and keeps in another file: `#[cfg(test)] mod tests;`.
pub(crate) fn test_modules(source: &str) -> syn::Result<Vec<String>> {
    let elsewhere = |module: &ItemMod| module.content.is_none() && is_test(&module.attrs);
    let items = syn::parse_file(source)?.items.into_iter();
    Ok(items
        .filter_map(|item| match item {
            Item::Mod(module) if elsewhere(&module) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect())
}

/// The names that `pub use` re-exports at the root of a source; a glob counts as the name `*`.
pub(crate) fn root_names(source: &str) -> syn::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in &syn::parse_file(source)?.items {
        if let Item::Use(ItemUse { vis: Visibility::Public(_), tree, attrs, .. }) = item
            && !is_test(attrs)
        {
            leaves(tree, &mut names);
        }
    }
    Ok(names)
}

fn leaves(tree: &UseTree, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => leaves(&path.tree, names),
        UseTree::Name(name) => names.push(name.ident.to_string()),
        UseTree::Rename(rename) => names.push(rename.rename.to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
        // A glob, or syntax of the future: neither says how many names it brings.
        _ => names.push("*".to_owned()),
    }
}

fn item_attrs(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        _ => return None,
    })
}

/// Whether something is compiled for tests only: `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args().is_ok_and(|meta| needs_test(&meta))
        }
        _ => false,
    })
}

fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let parts =
                list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated);
            parts.is_ok_and(|parts| parts.iter().any(needs_test))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(source: &str) -> Vec<(String, usize)> {
        let file = File::read("x.rs", source).unwrap();
        file.bodies.into_iter().map(|body| (body.name, body.lines)).collect()
    }

    #[test]
    fn a_body_counts_its_braces() {
        assert_eq!(measured("fn one() {}"), [("one".to_owned(), 1)]);
        assert_eq!(measured("fn three(\n    a: u8,\n) {\n    a;\n}\n"), [("three".to_owned(), 3)]);
    }

    #[test]
    fn methods_trait_defaults_and_nested_functions_count() {
        let source = "impl X { fn a() { fn b() {} } }\ntrait T { fn c(); fn d() {} }\nmod m { fn e() {} }";
        let names: Vec<_> = measured(source).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "d", "e"]);
    }

    #[test]
    fn a_planted_long_function_is_found_where_it_stands() {
        let source = format!("// first\nfn long() {{\n{}}}\n", "    work();\n".repeat(98));
        let file = File::read("x.rs", &source).unwrap();
        assert_eq!((file.bodies[0].line, file.bodies[0].lines), (2, 100));
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let source = "#[cfg(test)] mod tests { fn a() {} }\n#[cfg(all(test, unix))] fn b() {}\n\
                      #[test] fn c() {}\nimpl X { #[cfg(test)] fn d() {} }\n#[cfg(test)] impl Y { fn e() {} }\n\
                      #[cfg(any(test, unix))] fn kept() {}\n#[cfg(not(test))] fn kept_too() {}";
        let names: Vec<_> = measured(source).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["kept", "kept_too"]);
    }

    #[test]
    fn test_modules_in_other_files_are_named() {
        let source = "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod here {}\n";
        assert_eq!(test_modules(source).unwrap(), ["tests"]);
    }

    #[test]
    fn root_names_are_the_leaves_of_pub_use() {
        let source = "pub use a::{B, c::D as E};\npub use http;\nuse x::Y;\npub(crate) use z::Z;\npub use g::*;\n\
                      #[cfg(test)] pub use t::T;";
        assert_eq!(root_names(source).unwrap(), ["B", "E", "http", "*"]);
    }

    #[test]
    fn a_sign_is_the_first_line_of_a_file_that_says_what_it_is_for() {
        let has_sign = |source| File::unread("x.rs", source).has_sign;
        assert!(has_sign("//! Reads.\nuse a::B;"));
        assert!(has_sign("// A licence.\n#![no_std]\n\n//! Reads."));
        for without in [
            "",
            "use a::B;\n//! Reads.",
            "/// Reads.\nfn f() {}",
            "// Reads.",
            "//!\n",
            "mod m { //! Reads.\n}",
        ] {
            assert!(!has_sign(without), "{without}");
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<_> = (1..=10).collect();
        assert_eq!([50, 90, 99].map(|percent| percentile(&sorted, percent)), [5, 9, 10]);
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile(&[], 50), 0);
    }
}
