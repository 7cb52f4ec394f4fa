//! A secret as it is shown, and how a receiver verifies by it.

use maud::{Markup, html};

use super::texts::Texts;

/// A secret, and how a receiver uses it.
pub(super) fn secret(texts: &Texts, secret: &str) -> Markup {
    html! {
        section class="secret" {
            h2 { (texts.secret) }
            p { (texts.secret_once) }
            pre { code { (secret) } }
            p { (texts.secret_use) }
            (receiver_code())
        }
    }
}

/// How a receiver verifies, in three languages.
fn receiver_code() -> Markup {
    html! {
        @for (language, code) in RECEIVERS {
            details { summary { (language) } pre { code { (code) } } }
        }
    }
}

const RECEIVERS: [(&str, &str); 3] = [
    (
        "Rust",
        "// cargo add standardwebhooks\n\
         let webhook = standardwebhooks::Webhook::new(&secret)?;\n\
         webhook.verify(&body, &headers)?; // the exact bytes of the body; answer 401 if it fails",
    ),
    (
        "Python",
        "# pip install standardwebhooks\n\
         from standardwebhooks import Webhook\n\
         Webhook(secret).verify(body, headers)  # the exact bytes of the body; answer 401 if it raises",
    ),
    (
        "TypeScript",
        "// npm install standardwebhooks\n\
         import { Webhook } from \"standardwebhooks\";\n\
         new Webhook(secret).verify(body, headers); // the exact bytes of the body; answer 401 if it throws",
    ),
];
