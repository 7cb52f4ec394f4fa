//! The `Location` of a 3xx answer, without its query, as attempts keep it.

use http::header::LOCATION;
use http::{Response, Uri};
use url::Url;

/// The bytes of a URL that are kept: enough for any that a person has to read.
const MAX_BYTES: usize = 1024;

/// Returns where a 3xx answer to a request for `url` points, to be shown and stored.
///
/// User, password, query and fragment are left out, because they may be secret.
pub(super) fn redirect_target<T>(url: &Uri, response: &Response<T>) -> Option<String> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    let base = Url::parse(&url.to_string()).ok()?;
    let mut target = base.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()?;
    if !matches!(target.scheme(), "http" | "https") {
        return None;
    }
    target.set_query(None);
    target.set_fragment(None);
    target.set_username("").ok()?;
    target.set_password(None).ok()?;
    let mut text = String::from(target);
    // A URL is ASCII once it is parsed.
    text.truncate(MAX_BYTES);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(status: u16, location: &str) -> Option<String> {
        let response = Response::builder().status(status).header(LOCATION, location).body(());
        let url = Uri::from_static("https://hooks.example.com/a/hook?key=1");
        redirect_target(&url, &response.expect("a response"))
    }

    #[test]
    fn a_target_is_told_without_what_may_be_secret() {
        for (location, told) in [
            ("https://same.example.com/hook/?token=x", "https://same.example.com/hook/"),
            ("https://user:hidden@same.example.com/#hidden", "https://same.example.com/"),
            ("/login?next=hidden", "https://hooks.example.com/login"),
            ("next", "https://hooks.example.com/a/next"),
            ("//other.example.com:8443", "https://other.example.com:8443/"),
            ("http://other.example.com/a b", "http://other.example.com/a%20b"),
            ("?hidden", "https://hooks.example.com/a/hook"),
        ] {
            assert_eq!(target(301, location).as_deref(), Some(told), "{location}");
        }
    }

    #[test]
    fn what_is_no_redirect_to_a_url_of_http_has_no_target() {
        assert_eq!(target(200, "https://same.example.com/"), None);
        assert_eq!(target(201, "https://same.example.com/"), None);
        for location in ["mailto:a@example.com", "javascript:x", "https://", "https://[::"] {
            assert_eq!(target(302, location), None, "{location}");
        }
        let url = Uri::from_static("https://hooks.example.com/");
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        assert_eq!(redirect_target(&url, &response), None);
        response.headers_mut().insert(LOCATION, http::HeaderValue::from_bytes(b"/\xff").expect("a value"));
        assert_eq!(redirect_target(&url, &response), None);
    }

    #[test]
    fn a_long_target_is_cut() {
        let told = target(302, &format!("/{}", "e%20".repeat(10_000)));
        assert_eq!(told.map(|it| it.len()), Some(MAX_BYTES));
    }
}
