//! Small crates with cycles or with imports through the re-exports of a folder, and some that come close but have
//! neither.

use super::files::Files;

#[track_caller]
fn circles(sources: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(Files::read(sources.iter().copied()).circles(), expected, "{sources:#?}");
}

#[track_caller]
fn through_faces(sources: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(Files::read(sources.iter().copied()).through_faces(), expected, "{sources:#?}");
}

#[test]
fn circles_are_found() {
    circles(&[("a", "use crate::b::B;"), ("b", "\nfn f() { crate::a::f() }")], &["a:1 -> b:2 -> a"]);
    circles(
        &[("a", "use super::b;"), ("b", "m! { super::c::X }"), ("c", "use crate::a;")],
        &["a:1 -> b:1 -> c:1 -> a"],
    );
    circles(&[("f", "mod a; struct F(a::A);"), ("f::a", "use super::F;")], &["f:1 -> f::a:1 -> f"]);
    circles(
        &[("a", "use crate::b as c; fn f() { c::f() }"), ("b", "use crate::a::{A as B};")],
        &["a:1 -> b:1 -> a"],
    );
}

#[test]
fn each_circle_is_told_once() {
    let sources = [
        ("a", "use crate::b::B;"),
        ("b", "use crate::a::A;"),
        ("c", "use crate::a::A; use crate::d::D;"),
        ("d", "use crate::c::C;"),
    ];
    circles(&sources, &["a:1 -> b:1 -> a", "c:1 -> d:1 -> c"]);
}

#[test]
fn circles_through_reexports_are_found() {
    let root = ("", "mod f; pub use f::A;");
    let face = ("f", "mod a; mod b; pub use a::A; pub(crate) use b::{B, b};");
    circles(
        &[root, face, ("f::a", "use super::B;"), ("f::b", "use crate::A;")],
        &["f::a:1 -> f::b:1 -> f::a"],
    );
    circles(
        &[root, face, ("f::a", "use crate::f;\nfn g() { f::b() }"), ("f::b", "use super::a;")],
        &["f::a:2 -> f::b:1 -> f::a"],
    );
    // What a folder's face re-exports, and needs itself too.
    circles(
        &[("f", "mod a; pub use a::A;\ntype F = Vec<A>;"), ("f::a", "use super::F;")],
        &["f:2 -> f::a:1 -> f"],
    );
    // Features choose between two files of one name.
    let either = ("f", "#[cfg(x)] pub use a::X; #[cfg(not(x))] pub use b::X;");
    circles(
        &[either, ("f::a", ""), ("f::b", "use crate::c;"), ("c", "use crate::f::X;")],
        &["c:1 -> f::b:1 -> c"],
    );
}

#[test]
fn what_is_no_circle_is_not_found() {
    // Declaring a file and handing on its names are no needs.
    circles(
        &[
            ("", "pub mod f; pub use f::A;"),
            ("f", "mod a; pub use a::A; fn f() {}"),
            ("f::a", "use super::f;"),
        ],
        &[],
    );
    circles(&[("a", "use crate::b::B;"), ("b", "#[cfg(test)] mod tests { use crate::a::A; }")], &[]);
    circles(
        &[("a", "use crate::b::B;"), ("b", "//! See `crate::a`.\nuse a::X; fn f(a: u8) { a.f(); self.a }")],
        &[],
    );
    circles(&[("a", "use crate::b::B; use crate::c::C;"), ("b", "use crate::c::C;"), ("c", "")], &[]);
    circles(&[("a", "use crate::a::A; use self::A; impl Self::X {}"), ("b", "use hookwire::b::B;")], &[]);
    circles(&[("a", "use crate::b::B;"), ("b", "macro_rules! m { () => { $crate::a::f() } }")], &[]);
}

#[test]
fn imports_through_the_face_of_the_own_folder_are_found() {
    let face = ("f", "mod a; pub(crate) mod b; pub use a::A; pub(crate) use b::c::C;");
    let files = [face, ("f::a", ""), ("f::b", "pub mod c; mod d;"), ("f::b::c", "")];
    let found = |file, source, expected: &str| {
        through_faces(&[&files[..], &[(file, source)]].concat(), &[expected]);
    };
    found("f::e", "use super::A;", "f::e:1: `super::A` leads through `f` to `f::a`");
    found("f::e", "fn f() { crate::f::A::f() }", "f::e:1: `crate::f::A::f` leads through `f` to `f::a`");
    found("f::b::d", "use super::super::A;", "f::b::d:1: `super::super::A` leads through `f` to `f::a`");
    found("f::b::d", "use super::super::C;", "f::b::d:1: `super::super::C` leads through `f` to `f::b::c`");
    found("f::a", "use super::{b::c, C};", "f::a:1: `super::C` leads through `f` to `f::b::c`");
    found("f::e", "mod m { use super::super::A; }", "f::e:1: `super::super::A` leads through `f` to `f::a`");
}

#[test]
fn imports_through_the_root_are_found() {
    let sources = [("", "mod f; pub use f::F;"), ("f", ""), ("a", "use crate::F;")];
    through_faces(&sources, &["a:1: `crate::F` leads through `crate` to `f`"]);
}

#[test]
fn other_imports_are_not_found() {
    let face = ("f", "mod a; mod b; pub use a::A; use crate::g::G; struct F; fn f(a: A) {}");
    let other = ("g", "mod a; pub use a::G;");
    let files = [face, ("f::a", "pub struct A;"), other, ("g::a", "")];
    let clean = |file, source| through_faces(&[&files[..], &[(file, source)]].concat(), &[]);
    clean("f::b", "use super::a::A; use super::F; use crate::f::a; fn f(A: u8) {}");
    clean("f::b", "use crate::g::G; use super::G;");
    clean("h", "use crate::f::A; use crate::f::{self, F}; fn g() { f::A::new() }");
    clean("f::b::c", "use super::super::a::A; use super::super::F;");
    clean("f::b", "macro_rules! m { () => { $crate::f::A } }");
    clean("f::b", "#[cfg(test)] mod tests { use super::super::A; }");
}
