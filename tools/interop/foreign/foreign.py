"""Signs and verifies by code that is not hookwire's: a JSON list of tasks in, a list of answers out.

Each class imports its library itself, because some take seconds to load.
"""

import base64
import hashlib
import hmac
import json
import sys
from datetime import datetime, timezone


class Refused(Exception):
    pass


def content(headers, body):
    return f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body


def raw(key):
    return base64.b64decode(key.split("_", 1)[1])


def entries(headers, version):
    listed = (entry.split(",", 1) for entry in headers["webhook-signature"].split(" "))
    return [base64.b64decode(text) for found, text in listed if found == version]


def digest(key, text):
    return hmac.new(key, text, hashlib.sha256)


class StandardWebhooks:
    """The library of Standard Webhooks."""

    def __init__(self):
        import standardwebhooks

        self.webhook, self.options = standardwebhooks.Webhook, {"json_parse": False}
        self.refusal = standardwebhooks.WebhookVerificationError

    def verify(self, key, headers, body):
        self.webhook(key).verify(body, headers, **self.options)

    def sign(self, key, headers, body):
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=timezone.utc)
        entry = self.webhook(key).sign(headers["webhook-id"], at, body.decode())
        return {**headers, "webhook-signature": entry}


class Svix(StandardWebhooks):
    """Svix's own library."""

    def __init__(self):
        from svix import webhooks

        self.webhook, self.options = webhooks.Webhook, {}
        self.refusal = webhooks.WebhookVerificationError


class Hmac:
    """`v1` as its text has it, over any bytes."""

    refusal = Refused

    def verify(self, key, headers, body):
        tag = digest(raw(key), content(headers, body)).digest()
        if not any(hmac.compare_digest(tag, entry) for entry in entries(headers, "v1")):
            raise Refused

    def sign(self, key, headers, body):
        tag = digest(raw(key), content(headers, body)).digest()
        return {**headers, "webhook-signature": "v1," + base64.b64encode(tag).decode()}


class Cryptography:
    """`v1a` as its text has it, by the ed25519 of `cryptography`."""

    def __init__(self):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.ed25519, self.refusal = ed25519, (InvalidSignature, Refused)

    def verify(self, key, headers, body):
        signatures = entries(headers, "v1a")
        if len(signatures) != 1:
            raise Refused
        public = self.ed25519.Ed25519PublicKey.from_public_bytes(raw(key))
        public.verify(signatures[0], content(headers, body))

    def sign(self, key, headers, body):
        seed, public = raw(key)[:32], raw(key)[32:]
        private = self.ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        if private.public_key().public_bytes_raw() != public:
            raise ValueError("the halves of the key do not belong together")
        entry = base64.b64encode(private.sign(content(headers, body))).decode()
        return {**headers, "webhook-signature": "v1a," + entry}


class GitHub:
    """GitHub's form as its documentation has it."""

    refusal = Refused

    def verify(self, key, headers, body):
        expected = "sha256=" + digest(key.encode(), body).hexdigest()
        if not hmac.compare_digest(expected, headers["x-hub-signature-256"]):
            raise Refused

    def sign(self, key, headers, body):
        return {**headers, "x-hub-signature-256": "sha256=" + digest(key.encode(), body).hexdigest()}


class Stripe:
    """Stripe's own library."""

    def __init__(self):
        import stripe

        self.signature, self.refusal = stripe.WebhookSignature, stripe.SignatureVerificationError

    def verify(self, key, headers, body):
        self.signature.verify_header(body, headers["stripe-signature"], key, tolerance=300)

    def sign(self, key, headers, body):
        at = int(headers["webhook-timestamp"])
        header = self.signature.generate_signature_header(body.decode(), key, at)
        return {**headers, "stripe-signature": header}


class OpenApi:
    """The validator of documents of OpenAPI."""

    def __init__(self):
        import openapi_spec_validator
        from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

        self.validate, self.refusal = openapi_spec_validator.validate, OpenAPIValidationError

    def verify(self, _key, _headers, body):
        self.validate(json.loads(body))


class CloudEvents:
    """The SDK of CloudEvents: whether it reads the event that the key says, as JSON."""

    def __init__(self):
        from cloudevents.core.bindings import http
        from cloudevents.core.exceptions import CloudEventValidationError
        from cloudevents.core.formats.json import JSONFormat

        self.http, self.format, self.refusal = http, JSONFormat(), (CloudEventValidationError, Refused)

    def verify(self, key, headers, body):
        event = self.http.from_http(self.http.HTTPMessage(headers, body), self.format)
        read = {
            "specversion": event.get_specversion(),
            "id": event.get_id(),
            "source": event.get_source(),
            "type": event.get_type(),
            "time": round(event.get_time().timestamp() * 1000),
            "datacontenttype": event.get_datacontenttype(),
            "data": event.get_data(),
        }
        if headers["content-type"] != self.format.get_content_type() or read != json.loads(key):
            raise Refused


LIBRARIES = {
    "cloudevents": CloudEvents,
    "standardwebhooks": StandardWebhooks,
    "svix": Svix,
    "hmac": Hmac,
    "cryptography": Cryptography,
    "github": GitHub,
    "stripe": Stripe,
    "openapi": OpenApi,
}


def answer(library, task):
    body = base64.b64decode(task["body"])
    if task["act"] == "sign":
        return library.sign(task["key"], task["headers"], body)
    try:
        library.verify(task["key"], task["headers"], body)
    except library.refusal:
        return False
    return True


def answers(tasks):
    libraries = {name: LIBRARIES[name]() for name in {task["library"] for task in tasks}}
    return [answer(libraries[task["library"]], task) for task in tasks]


json.dump(answers(json.load(sys.stdin)), sys.stdout)
