//! The look and the words that the host gives the page, the language of its caller, and the answer to what cannot be read.

use hookwire::testing::RecordingTransport;
use hookwire_axum::page::{Page, Shell, Texts};

use crate::page::Host;

fn words(lang: &str, dir: &str, none: &str) -> Texts {
    let mut texts = Texts::default();
    (texts.lang, texts.dir) = (lang.to_owned().into(), dir.to_owned().into());
    texts.no_webhooks = none.to_owned().into();
    texts.webhooks = none.to_owned().into();
    texts
}

#[tokio::test]
async fn a_caller_reads_the_page_in_the_language_of_the_locale() {
    let (arabic, brazil) = ("\u{644}\u{627}", "Nenhum");
    let page = Page::new().translation(words("ar", "rtl", arabic)).translation(words("pt-BR", "ltr", brazil));
    let page = page.told_by(|_, lang| (lang == "ar").then(|| format!("{lang}: {lang}")));
    let host = Host::with(RecordingTransport::new(), page);
    for (locale, lang, dir, text) in [
        ("ar", "ar", "rtl", arabic),
        ("ar-EG", "ar", "rtl", arabic),
        ("pt-br", "pt-BR", "ltr", brazil),
        ("pt-PT", "en", "ltr", "There are no webhooks yet."),
        ("", "en", "ltr", "There are no webhooks yet."),
    ] {
        let browser = host.browser_in(locale);
        let shown = browser.get("").await;
        shown.has(&format!("<html lang=\"{lang}\" dir=\"{dir}\">")).has(text);
    }
    let refused = host.browser_in("ar-EG").post("/new", &[("do", "save")]).await;
    refused.has("ar: ar");
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_by_the_page_itself() {
    let host = Host::with(RecordingTransport::new(), Page::new());
    for path in
        ["/x", "/99999999999999999999999", "/x/edit", "/operations/7", "/1/deliveries?state=a&state=b"]
    {
        let shown = host.owner().get(path).await;
        assert!([400, 404].contains(&shown.status), "{path}: {}", shown.status);
        shown.has("<h1>").has("style.css").lacks("urn:hookwire");
    }
}

#[tokio::test]
async fn the_host_gives_the_look_the_words_and_the_frame() {
    let layout = |shell: Shell<'_>| {
        format!(
            "<html lang={} dir={} data-nonce={}>{}<h1>Acme</h1>{}",
            shell.lang, shell.dir, shell.nonce, shell.nav, shell.body
        )
    };
    let mut texts = Texts::default();
    (texts.lang, texts.dir) = ("he".into(), "rtl".into());
    texts.no_webhooks = "\u{5d0}\u{5d9}\u{5df}".into();
    let page = Page::new().layout(layout).texts(texts).framed_by("https://app.example.com");
    let host = Host::with(RecordingTransport::new(), page);
    let shown = host.owner().get("").await;
    shown.has("<html lang=he dir=rtl ").has("<h1>Acme</h1>").has("\u{5d0}\u{5d9}\u{5df}");
    let policy = shown.headers["content-security-policy"].to_str().expect("text");
    let nonce = shown.html.split("data-nonce=").nth(1).and_then(|it| it.split('>').next()).expect("a nonce");
    assert!(
        policy.contains("default-src 'none'") && policy.contains(&format!("script-src 'nonce-{nonce}'")),
        "{policy}"
    );
    assert!(policy.ends_with("frame-ancestors https://app.example.com"), "{policy}");
    assert!(!shown.headers.contains_key("x-frame-options"));
    let framed = Host::new().owner().get("").await;
    assert!(
        framed.headers["content-security-policy"].to_str().expect("text").ends_with("frame-ancestors 'none'")
    );
    assert_eq!(framed.headers["cache-control"], "no-store");
}
