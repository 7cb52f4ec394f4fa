//! The OpenAPI documents that are checked in are those that are served.

use std::path::Path;

use serde_json::Value;

use crate::support::Host;

/// Compares a document with the file, which `UPDATE=1` writes anew.
fn assert_checked_in(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(document).expect("JSON"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let checked_in = std::fs::read_to_string(&path).expect("it is there");
    assert!(
        checked_in == text,
        "openapi/{name} is another one; UPDATE=1 cargo test -p hookwire-axum writes it anew"
    );
}

#[tokio::test]
async fn the_documents_that_are_served_are_checked_in() {
    for (host, name) in [(Host::assist(), "assist.json"), (Host::plain(), "plain.json")] {
        let served = host.acme().get("/openapi.json").await;
        assert_eq!(served.status, 200);
        assert_checked_in(name, &served.body);
    }
}

/// Every schema that is referred to is there, and every one that is there is referred to.
#[test]
fn the_documents_refer_to_what_they_have() {
    for document in [hookwire_axum::assist::openapi(), hookwire_axum::plain::openapi()] {
        let text = document.to_string();
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(text.contains(&format!("#/components/schemas/{name}\"")), "nothing refers to {name}");
        }
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().expect("a reference");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}

/// Whatever has a path in the router is in the document. That the document has no more is shown by calling all of it.
#[test]
fn every_route_is_in_the_document() {
    let document = hookwire_axum::plain::openapi();
    let paths = document["paths"].as_object().expect("paths");
    let source = include_str!("../../src/routes.rs");
    let routes: Vec<_> = source.split(".route(\"").skip(1).filter_map(|it| it.split('"').next()).collect();
    assert!(routes.len() > 20, "{routes:?}");
    let missing: Vec<_> = routes.iter().filter(|it| !paths.contains_key(**it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
