//! Queries: a parameter that an operation does not have is refused, whatever the operation.

use serde_json::Value;

use crate::support::Host;

/// Every operation but that of the document itself: method, path, and the parameters of its query.
fn operations(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("methods").clone();
        let path = path.replace("{id}", "1");
        item.into_iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), names(&operation)))
    };
    paths.iter().filter(|(path, _)| *path != "/openapi.json").flat_map(of).collect()
}

fn names(operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().expect("parameters");
    let in_query = parameters.iter().filter(|it| it["in"] == "query");
    in_query.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_parameter_that_an_operation_does_not_have_is_refused() {
    for (host, document) in
        [(Host::assist(), hookwire_axum::assist::openapi()), (Host::plain(), hookwire_axum::plain::openapi())]
    {
        let operations = operations(&document);
        assert!(operations.len() > 25, "{}", operations.len());
        for (method, path, names) in operations {
            let call =
                async |query: &str| host.acme().send(&method, &format!("{path}?{query}"), Value::Null).await;
            let refused = call("sinse=1").await;
            assert_eq!(refused.status, 400, "{method} {path}: {}", refused.text);
            assert!(
                refused.text.contains("there is no parameter `sinse`"),
                "{method} {path}: {}",
                refused.text
            );
            for name in names {
                let taken = call(&format!("{name}=1")).await;
                assert!(
                    !taken.text.contains("there is no parameter"),
                    "{method} {path}?{name}: {}",
                    taken.text
                );
            }
        }
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_not_told_of_parameters() {
    let stranger = Host::plain();
    assert_eq!(stranger.client("", "").get("/webhooks?sinse=1").await.status, 401);
}
