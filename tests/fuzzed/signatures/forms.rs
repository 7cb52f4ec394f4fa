use hookwire::model::{MessageId, SignatureScheme, Timestamp};
use hookwire::signature::{
    GitHubVerifier, HUB_SIGNATURE, KeyRing, Message, STRIPE_SIGNATURE, SigningKey, StripeVerifier, Verifier,
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use http::{HeaderMap, HeaderName};

use super::Arrival;

/// How many entries of a header are read.
const MAX_ENTRIES: usize = 32;

/// How far off a time may be, in seconds.
const TOLERANCE: i64 = 300;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    GitHub,
    Stripe,
    V1,
    V1a,
}

impl Form {
    pub(crate) const fn scheme(self) -> SignatureScheme {
        match self {
            Self::GitHub => SignatureScheme::GitHub,
            Self::Stripe => SignatureScheme::Stripe,
            Self::V1 => SignatureScheme::V1,
            Self::V1a => SignatureScheme::V1a,
        }
    }

    pub(crate) const fn header(self) -> HeaderName {
        match self {
            Self::GitHub => HUB_SIGNATURE,
            Self::Stripe => STRIPE_SIGNATURE,
            Self::V1 | Self::V1a => WEBHOOK_SIGNATURE,
        }
    }

    pub(crate) fn accepts(self, arrival: &Arrival) -> bool {
        let Arrival { keys, headers, body, now, .. } = arrival;
        let texts: Vec<_> = keys.iter().map(|key| key.expose().to_string()).collect();
        match self {
            Self::GitHub => GitHubVerifier::new(texts).verify(headers, body).is_ok(),
            Self::Stripe => StripeVerifier::new(texts).verify(headers, body, *now).is_ok(),
            Self::V1 | Self::V1a => {
                let keys = keys.iter().map(SigningKey::verifying_key);
                Verifier::new(keys).verify(headers, body, *now).is_ok()
            }
        }
    }

    /// The time that the headers name, as text.
    fn time(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::GitHub => None,
            Self::Stripe => {
                let mut times = values(single(headers, &STRIPE_SIGNATURE)?, "t");
                times.next().filter(|_| times.next().is_none())
            }
            Self::V1 | Self::V1a => single(headers, &WEBHOOK_TIMESTAMP),
        }
    }

    pub(crate) fn sent_at(self, headers: &HeaderMap) -> Option<Timestamp> {
        let text = self.time(headers)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Timestamp::from_secs)
    }

    /// The entries that are read, as they are written.
    fn entries(self, headers: &HeaderMap) -> Vec<String> {
        let Some(text) = single(headers, &self.header()) else { return Vec::new() };
        match self {
            Self::GitHub => text.strip_prefix("sha256=").map(str::to_ascii_lowercase).into_iter().collect(),
            Self::Stripe => values(text, "v1").map(str::to_ascii_lowercase).collect(),
            Self::V1 | Self::V1a => text.split(' ').take(MAX_ENTRIES).map(str::to_owned).collect(),
        }
    }

    /// What must have been signed for these headers and this body to be right.
    fn content(self, headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
        let dotted = |texts: &[&str]| texts.iter().flat_map(|it| it.bytes().chain(*b".")).collect::<Vec<_>>();
        let start = match self {
            Self::GitHub => Vec::new(),
            Self::Stripe => dotted(&[self.time(headers)?]),
            Self::V1 | Self::V1a => dotted(&[single(headers, &WEBHOOK_ID)?, self.time(headers)?]),
        };
        Some([start.as_slice(), body].concat())
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().filter(|text| !text.is_empty())
}

fn values<'a>(text: &'a str, key: &'static str) -> impl Iterator<Item = &'a str> {
    let parts = text.split(',').take(MAX_ENTRIES);
    parts.filter_map(move |part| part.strip_prefix(key)?.strip_prefix('='))
}

/// A message as it left, with what each key made for it.
pub(crate) struct Signed {
    form: Form,
    keys: [SigningKey; 2],
    content: Vec<u8>,
    entries: [Vec<String>; 2],
    at: Timestamp,
    body: Vec<u8>,
    headers: HeaderMap,
}

impl Signed {
    pub(crate) fn new(
        form: Form,
        keys: [SigningKey; 2],
        id: &MessageId,
        at: Timestamp,
        body: Vec<u8>,
    ) -> Self {
        let message = Message { scheme: form.scheme(), id, at, body: &body };
        let headers = |ring: &KeyRing| message.headers(&ring.sign(&message)).expect("signed");
        let [old, new] = &keys;
        let ring = KeyRing::new(old.clone()).rotate(new.clone(), std::time::Duration::from_secs(60), at);
        let entries = [old, new].map(|key| form.entries(&headers(&KeyRing::new(key.clone()))));
        let (headers, content) = (headers(&ring), message.content().into_owned());
        Self { form, keys, content, entries, at, body, headers }
    }

    /// The same as it arrives unchanged, at once, at a receiver that knows both keys.
    pub(crate) fn arrival(&self) -> Arrival {
        let (headers, body) = (self.headers.clone(), self.body.clone());
        Arrival { form: self.form, keys: self.keys.to_vec(), headers, body, now: self.at }
    }

    /// Whether what arrived is to be taken: the same content, within its time, with an entry by a key that the
    /// receiver knows.
    pub(crate) fn vouches_for(&self, arrival: &Arrival) -> bool {
        let form = self.form;
        let time = form.sent_at(&arrival.headers).map(|at| (arrival.now.as_secs() - at.as_secs()).abs());
        let in_time = matches!(form, Form::GitHub) || time.is_some_and(|off| off <= TOLERANCE);
        let same = form.content(&arrival.headers, &arrival.body) == Some(self.content.clone());
        let known = |nth: usize| {
            let text = self.keys[nth].expose();
            arrival.keys.iter().any(|key| *key.expose() == *text)
        };
        let arrived = form.entries(&arrival.headers);
        let signed = (0..2).any(|nth| known(nth) && arrived.iter().any(|it| self.entries[nth].contains(it)));
        in_time && same && signed
    }
}
