//! The stylesheet and the script, as files.

type File = ([(&'static str, &'static str); 2], &'static str);

pub(super) async fn style() -> File {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

pub(super) async fn script() -> File {
    file("text/javascript; charset=utf-8", include_str!("script.js"))
}

const fn file(kind: &'static str, text: &'static str) -> File {
    ([("content-type", kind), ("cache-control", "public, max-age=3600")], text)
}
