//! Keys, and a search for them in output that must not have them, in any usual encoding.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// The bytes that must not show: the first 24 of a key, in each form in which bytes are usually written. The public
/// half of a pair, which is no secret, begins behind them.
#[derive(Clone)]
pub(crate) struct Material {
    forms: Vec<Vec<u8>>,
}

impl Material {
    /// The key in a text such as `whsec_..`.
    pub(crate) fn in_text(text: &str) -> Self {
        let (_, encoded) = text.split_once('_').expect("a prefix");
        Self::of(&STANDARD.decode(encoded).expect("base64"))
    }

    pub(crate) fn of(key: &[u8]) -> Self {
        let part = &key[..24];
        let list = format!("{part:?}");
        let texts = [
            STANDARD.encode(part),
            URL_SAFE.encode(part),
            part.iter().map(|byte| format!("{byte:02x}")).collect(),
            part.iter().map(|byte| format!("{byte:02X}")).collect(),
            list.trim_matches(['[', ']']).to_owned(),
            part.escape_ascii().to_string(),
        ];
        let forms = texts.into_iter().map(String::into_bytes).chain([part.to_vec()]);
        Self { forms: forms.collect() }
    }

    /// Whether the key is among these bytes.
    pub(crate) fn shows_in(&self, bytes: impl AsRef<[u8]>) -> bool {
        let shows = |form: &Vec<u8>| bytes.as_ref().windows(form.len()).any(|part| part == form);
        self.forms.iter().any(shows)
    }
}

#[test]
fn a_key_is_found_in_every_form() {
    let key: Vec<u8> = (200..232).collect();
    let (found, text) = (Material::of(&key), format!("whsec_{}", STANDARD.encode(&key)));
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    for form in [&text, &hex, &format!("Secret({key:?})"), &format!("{}", key.escape_ascii())] {
        assert!(found.shows_in(form), "{form}");
    }
    assert!(found.shows_in(&key) && Material::in_text(&text).shows_in(&key));
    assert!(!found.shows_in(&key[1..]) && !Material::of(&[1; 32]).shows_in(&text));
}
