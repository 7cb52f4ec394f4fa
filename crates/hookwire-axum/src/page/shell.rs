//! [`Page`]: the host's part of the page, and the answer around each body.

use std::fmt;
use std::sync::Arc;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::texts::Texts;

/// The look of the page, its words, and what only the host knows.
///
/// ```
/// use hookwire_axum::page::{Page, Shell};
///
/// fn layout(shell: Shell<'_>) -> String {
///     let Shell { title, nav, body, .. } = shell;
///     format!("<!doctype html><title>{title}</title>{nav}<main>{body}</main>")
/// }
///
/// let page = Page::new().layout(layout).address("192.0.2.7");
/// # let _ = page;
/// ```
#[derive(Clone)]
pub struct Page {
    layout: Arc<Layout>,
    told: Arc<Told>,
    texts: Arc<Texts>,
    translations: Vec<Arc<Texts>>,
    framed_by: Option<String>,
    pub(super) addresses: Vec<String>,
}

type Layout = dyn Fn(Shell<'_>) -> String + Send + Sync;
type Told = dyn Fn(&hookwire::plain::Violation, &str) -> Option<String> + Send + Sync;

/// The parts of a page, for a [layout](Page::layout). All but the nonce are HTML.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shell<'a> {
    /// The title.
    pub title: &'a str,
    /// Links to the parts of the page.
    pub nav: &'a str,
    /// The body.
    pub body: &'a str,
    /// Where the stylesheet is.
    pub stylesheet: &'a str,
    /// Where the script is. All works without it; with it, results come in place, and lists are kept up to date.
    pub script: &'a str,
    /// The nonce that scripts and styles of the layout need, by the `Content-Security-Policy` of the answer.
    pub nonce: &'a str,
    /// The language, for the attribute `lang`.
    pub lang: &'a str,
    /// The direction of text, for the attribute `dir`.
    pub dir: &'a str,
}

impl Page {
    /// Creates a page with a look of its own, in English, that no other page may frame.
    pub fn new() -> Self {
        Self {
            layout: Arc::new(plain_layout),
            told: Arc::new(|_, _| None),
            texts: Arc::new(Texts::default()),
            translations: Vec::new(),
            framed_by: None,
            addresses: Vec::new(),
        }
    }

    /// Sets the function that writes the HTML document around each body: the host's own header, menu and footer.
    ///
    /// The stylesheet takes its colours and fonts from the custom properties `--hw-accent`, `--hw-text`, `--hw-muted`,
    /// `--hw-back`, `--hw-panel`, `--hw-line`, `--hw-bad`, `--hw-good` and `--hw-font`, which the layout may set.
    #[must_use]
    pub fn layout(self, layout: impl Fn(Shell<'_>) -> String + Send + Sync + 'static) -> Self {
        Self { layout: Arc::new(layout), ..self }
    }

    /// Sets the words.
    #[must_use]
    pub fn texts(self, texts: Texts) -> Self {
        Self { texts: Arc::new(texts), ..self }
    }

    /// Adds words in another language, that of their [`lang`](Texts::lang). Callers get them by their
    /// [locale](crate::Caller::locale).
    #[must_use]
    pub fn translation(mut self, texts: Texts) -> Self {
        self.translations.push(Arc::new(texts));
        self
    }

    /// Sets the words for what is wrong with an input, in the language that the second argument names, where they are not
    /// those of hookwire, which are English.
    #[must_use]
    pub fn told_by(
        self,
        told: impl Fn(&hookwire::plain::Violation, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { told: Arc::new(told), ..self }
    }

    /// Lets pages of an origin, such as `https://app.example.com`, show this one in a frame.
    #[must_use]
    pub fn framed_by(self, origin: impl Into<String>) -> Self {
        Self { framed_by: Some(origin.into()), ..self }
    }

    /// Adds an address from which requests are sent, so that users can let it through their firewalls.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    pub(super) fn tell(
        &self,
        violation: hookwire::plain::Violation,
        lang: &str,
    ) -> hookwire::plain::Violation {
        violation.told_by(|it| (self.told)(it, lang))
    }

    /// Returns the words for a caller with this locale: those with the same tag, or with its first part, or the page's.
    pub(super) fn texts_for(&self, locale: Option<&str>) -> &Arc<Texts> {
        let Some(locale) = locale else { return &self.texts };
        let language = locale.split('-').next().unwrap_or_default();
        let with = |tag: &str| self.translations.iter().find(|it| it.lang.eq_ignore_ascii_case(tag));
        with(locale).or_else(|| with(language)).unwrap_or(&self.texts)
    }

    /// Answers with a document, in these words.
    pub(super) fn answer(&self, texts: &Texts, base: &str, title: &str, body: &Markup) -> Response {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let escaped = |text: &str| html! { (text) }.into_string();
        let (title, nav) = (escaped(title), nav(texts, base));
        let (stylesheet, script) = (format!("{base}/style.css"), format!("{base}/script.js"));
        let (lang, dir) = (escaped(&texts.lang), escaped(&texts.dir));
        let shell = Shell {
            title: &title,
            nav: &nav.0,
            body: &body.0,
            stylesheet: &escaped(&stylesheet),
            script: &escaped(&script),
            nonce: &nonce,
            lang: &lang,
            dir: &dir,
        };
        let document = (self.layout)(shell);
        (self.headers(&nonce), document).into_response()
    }

    fn headers(&self, nonce: &str) -> HeaderMap {
        let ancestors = self.framed_by.as_deref().unwrap_or("'none'");
        let policy = format!(
            "default-src 'none'; style-src 'self' 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self' data:; \
             font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        // An origin that is no header value frames nothing.
        let policy = HeaderValue::try_from(policy);
        headers.insert(
            CONTENT_SECURITY_POLICY,
            policy.unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
        );
        if self.framed_by.is_none() {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("framed_by", &self.framed_by).finish_non_exhaustive()
    }
}

/// The links to the parts of the page.
fn nav(texts: &Texts, base: &str) -> Markup {
    html! {
        nav aria-label=(texts.webhooks) {
            a href=(home(base)) { (texts.webhooks) }
            a href={ (base) "/explain" } { (texts.explain) }
            a href={ (base) "/dry-run" } { (texts.dry_run) }
        }
    }
}

/// Returns the path of the list of webhooks.
pub(super) fn home(base: &str) -> &str {
    if base.is_empty() { "/" } else { base }
}

/// The layout of a page that the host gives none.
fn plain_layout(shell: Shell<'_>) -> String {
    let raw = |text: &str| PreEscaped(text.to_owned());
    html! {
        (DOCTYPE)
        html lang=(raw(shell.lang)) dir=(raw(shell.dir)) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (raw(shell.title)) }
                link rel="stylesheet" href=(raw(shell.stylesheet));
                script src=(raw(shell.script)) nonce=(shell.nonce) defer {}
            }
            body {
                div class="hw" {
                    header { (raw(shell.nav)) }
                    main { (raw(shell.body)) }
                }
            }
        }
    }
    .into_string()
}

/// Answers with a status other than 200.
pub(super) fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}
