"""Signatures follow Standard Webhooks 1.0.0, and no other signature is accepted."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

import base64
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from email.message import Message
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from unihooks._message.secrets import Secret
from unihooks._message.signing import Signer, VerifiedMessage, sign, valid_secrets, verify
from unihooks.exceptions import InvalidPayload, InvalidWebhook, VerificationError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "standard_webhooks.json").read_text())
GOOD = [vector for vector in VECTORS["vectors"] if vector.get("expected_valid", True)]
FORGED = [vector for vector in VECTORS["vectors"] if not vector.get("expected_valid", True)]
V1A = next(vector for vector in GOOD if vector["name"] == "sw-v1a-svix")
PRIVATE, PUBLIC = V1A["keys"][0]["secret"], V1A["keys"][0]["public"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1)
RAW_KEYS = st.binary(min_size=24, max_size=64)


def named(vector):
    return vector["name"]


def message(signature=None, *, id="evt_1", timestamp=SECONDS, body=b"{}", secrets=SECRET):
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(id, timestamp, body, secrets) if signature is None else signature,
    }


def rejected(headers, body=b"{}", secrets=SECRET, **options):
    with pytest.raises(VerificationError) as raised:
        verify(headers, body, secrets, **{"now": NOW, **options})
    return raised.value.name


@pytest.mark.parametrize("vector", GOOD, ids=named)
def test_published_vectors_are_signed_alike(vector):
    secrets = [key["secret"] for key in vector["keys"]]
    made = sign(vector["id"], vector["timestamp"], vector["payload"].encode(), secrets)
    assert made == vector["expected_signature"]
    assert sign(vector["id"], vector["timestamp"], vector["payload"], secrets) == made
    sealed = Signer([Secret(secret) for secret in secrets])
    assert sealed.sign(vector["id"], vector["timestamp"], vector["payload"].encode()) == made


@pytest.mark.parametrize("vector", GOOD, ids=named)
def test_published_vectors_verify_with_each_key(vector):
    now = datetime.fromtimestamp(vector["timestamp"], UTC)
    body = vector["payload"].encode()
    headers = message(vector["expected_signature"], id=vector["id"], timestamp=vector["timestamp"])
    for key in vector["keys"]:
        for secret in filter(None, (key["secret"], key.get("public"))):
            verified = verify(headers, body, secret, now=now)
            assert verified == VerifiedMessage(vector["id"], now, body)


@pytest.mark.parametrize("vector", FORGED, ids=named)
def test_published_forgeries_are_rejected(vector):
    headers = message(vector["expected_signature"], id=vector["id"], timestamp=vector["timestamp"])
    now = datetime.fromtimestamp(vector["timestamp"], UTC)
    secrets = [key["secret"] for key in vector["keys"]]
    assert rejected(headers, vector["payload"].encode(), secrets, now=now) == "webhook-signature"


@pytest.mark.parametrize("entry", VECTORS["invalid_secrets"], ids=lambda entry: entry["why"])
def test_malformed_secrets_are_refused_by_both(entry):
    with pytest.raises(InvalidWebhook):
        sign("evt_1", SECONDS, b"{}", entry["secret"])
    with pytest.raises(InvalidWebhook):
        verify(message(), b"{}", entry["secret"])


@given(IDS, st.integers(0, 10**10), st.text(), RAW_KEYS)
def test_signatures_equal_those_of_the_reference_library(message_id, timestamp, body, raw):
    secret = "whsec_" + base64.b64encode(raw).decode()
    body = body.encode("utf-8", "replace").decode()
    moment = datetime.fromtimestamp(timestamp, UTC)
    reference = standardwebhooks.Webhook(secret).sign(message_id, moment, body)
    assert sign(message_id, timestamp, body.encode(), secret) == reference


@given(st.binary())
def test_the_reference_library_accepts_what_is_signed_during_a_rotation(body):
    body = json.dumps(body.hex()).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = message(timestamp=now, body=body, secrets=[OTHER, SECRET])
    assert standardwebhooks.Webhook(SECRET).verify(body, headers) == json.loads(body)


@given(IDS, st.binary(), st.lists(RAW_KEYS, min_size=1, max_size=4), st.data())
def test_a_signed_message_verifies_with_any_of_its_secrets(message_id, body, raws, data):
    secrets = ["whsec_" + base64.b64encode(raw).decode() for raw in raws]
    headers = message(id=message_id, body=body, secrets=secrets)
    chosen = data.draw(st.sampled_from(secrets))
    assert verify(headers, body, chosen, now=NOW) == VerifiedMessage(message_id, NOW, body)


@given(st.binary(), st.binary())
def test_no_other_body_verifies(body, other):
    headers = message(body=body)
    if body != other:
        assert rejected(headers, other) == "webhook-signature"


@given(st.text())
def test_no_other_signature_verifies(signature):
    assert rejected(message(signature), secrets=[SECRET, PUBLIC]) == "webhook-signature"


@given(st.lists(st.sampled_from([SECRET, OTHER, PRIVATE]), min_size=1))
def test_entries_are_parted_by_one_space_and_never_repeated(secrets):
    entries = sign("evt_1", SECONDS, b"{}", secrets).split(" ")
    assert len(entries) == len(set(entries)) == len(set(secrets))
    assert all(entry.startswith(("v1,", "v1a,")) for entry in entries)


def test_a_timestamp_may_be_an_aware_datetime_of_any_zone():
    riyadh = NOW.astimezone(timezone(timedelta(hours=3))) + timedelta(microseconds=999_999)
    assert sign("evt_1", riyadh, b"", SECRET) == sign("evt_1", SECONDS, b"", SECRET)


@pytest.mark.parametrize(
    "timestamp", [NOW.replace(tzinfo=None), 1.5, "1", True, -1, None, 10**11, NOW.replace(year=1969)]
)
def test_any_other_timestamp_is_refused(timestamp):
    with pytest.raises(InvalidPayload) as raised:
        sign("evt_1", timestamp, b"", SECRET)
    assert raised.value.name == "timestamp"


@pytest.mark.parametrize("message_id", ["", "a.b", ".", "a b", "a\n", "é", "\x7f", None, 5, "a" * 256])
def test_an_id_with_dots_blanks_or_other_characters_is_refused(message_id):
    with pytest.raises(InvalidPayload) as raised:
        sign(message_id, SECONDS, b"", SECRET)
    assert raised.value.name == "message_id"


@pytest.mark.parametrize("body", [{}, None, 5, ["a"]])
def test_a_parsed_body_is_refused(body):
    with pytest.raises(InvalidPayload, match="not parsed"):
        sign("evt_1", SECONDS, body, SECRET)
    with pytest.raises(InvalidPayload, match="not parsed"):
        verify(message(), body, SECRET)


@pytest.mark.parametrize("body", [bytearray(b"{}"), memoryview(b"{}"), "{}"])
def test_a_body_may_be_any_bytes_or_text(body):
    assert verify(message(), body, SECRET, now=NOW).body == b"{}"


def test_no_secret_at_all_is_refused():
    for call in (lambda: sign("evt_1", 1, b"", []), lambda: verify(message(), b"{}", ())):
        with pytest.raises(InvalidWebhook, match="at least one"):
            call()


class Pairs:
    """Headers that are pairs and not a mapping, like those of werkzeug."""

    def __iter__(self):
        return iter(message().items())


def email_message():
    headers = Message()
    for name, value in message().items():
        headers[name.title()] = value
    return headers


FORMS = {
    "title case": {name.title(): value for name, value in message().items()},
    "upper case": {name.upper(): value for name, value in message().items()},
    "pairs": list(message().items()),
    "bytes": [(name.encode(), value.encode()) for name, value in message().items()],
    "other headers": {"host": "x", b"\xff": b"\xff", **message(), "content-type": None},
    "email": email_message(),
    "iterable": Pairs(),
}


@pytest.mark.parametrize("form", FORMS)
def test_headers_may_come_in_any_usual_form(form):
    assert verify(FORMS[form], b"{}", SECRET, now=NOW).id == "evt_1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_or_repeated_header_is_rejected(name):
    headers = message()
    assert rejected([*headers.items(), (name.title(), headers[name])]) == name
    assert rejected({**headers, name: ""}) == name
    del headers[name]
    assert rejected(headers) == name


def test_the_boundary_of_id_and_timestamp_cannot_be_moved():
    body = f"{SECONDS}.{{}}".encode()
    signature = sign("evt_1", 7, body, SECRET)
    assert rejected(message(signature, id="evt_1.7")) == "webhook-id"


@pytest.mark.parametrize(
    "timestamp",
    [f"{SECONDS}.0", f" {SECONDS}", f"0{SECONDS}", f"+{SECONDS}", "-1", "x", "١", "1e9", "9" * 30],
)
def test_a_timestamp_that_is_no_plain_integer_is_rejected(timestamp):
    assert rejected({**message(), "webhook-timestamp": timestamp}) == "webhook-timestamp"


@pytest.mark.parametrize("age,fresh", [(0, True), (300, True), (301, False), (10**9, False)])
def test_age_and_clock_difference_are_limited_to_the_tolerance(age, fresh):
    for sign_of_age in (1, -1):
        now = NOW + timedelta(seconds=age * sign_of_age)
        if fresh:
            assert verify(message(), b"{}", SECRET, now=now)
        else:
            assert rejected(message(), now=now) == "webhook-timestamp"


def test_the_tolerance_can_be_changed_but_never_to_nothing_by_accident():
    later = NOW + timedelta(hours=1)
    assert verify(message(), b"{}", SECRET, 3600, now=later)
    assert rejected(message(), tolerance=0, now=later) == "webhook-timestamp"
    assert rejected(message(), tolerance=float("nan")) == "webhook-timestamp"
    with pytest.raises(TypeError, match="tolerance must be a number"):
        verify(message(), b"{}", SECRET, tolerance=True, now=NOW)


def test_the_present_is_compared_with_when_no_time_is_given():
    now = int(datetime.now(UTC).timestamp())
    assert verify(message(timestamp=now), b"{}", SECRET).id == "evt_1"
    with pytest.raises(VerificationError):
        verify(message(timestamp=now - 400), b"{}", SECRET)


def test_unknown_and_broken_entries_are_passed_over():
    good = message()["webhook-signature"]
    noise = f"v2,abc v1 v1, v1a,%% v1a, , v1,é  {good}"
    assert verify(message(noise), b"{}", [PUBLIC, SECRET], now=NOW)


def test_more_signatures_than_any_sender_makes_are_rejected():
    good = message()["webhook-signature"]
    assert rejected(message(" ".join(["v1,x"] * 32 + [good]))) == "webhook-signature"


def test_a_secret_of_another_scheme_does_not_verify():
    assert rejected(message(), secrets=PUBLIC) == "webhook-signature"
    assert rejected(message(secrets=PRIVATE)) == "webhook-signature"


def test_a_public_key_cannot_sign():
    with pytest.raises(InvalidWebhook, match="only verify"):
        Signer([SECRET, PUBLIC])


def test_seed_and_full_private_key_give_one_signature():
    seed = "whsk_" + base64.b64encode(base64.b64decode(PRIVATE[5:])[:32]).decode()
    assert sign("evt_1", 1, b"", [seed, PRIVATE]) == sign("evt_1", 1, b"", PRIVATE)


def test_a_private_key_with_a_foreign_public_half_is_refused():
    raw = base64.b64decode(PRIVATE[5:])
    with pytest.raises(InvalidWebhook, match="public half"):
        Signer("whsk_" + base64.b64encode(raw[:32] + bytes(32)).decode())


def test_without_cryptography_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    for use in (lambda: Signer(PRIVATE), lambda: Secret.generate("v1a")):
        with pytest.raises(InvalidWebhook, match=r"unihooks\[crypto\]"):
            use()
    assert Signer(SECRET).sign("evt_1", 1, b"").startswith("v1,")


def test_neither_signer_nor_errors_show_a_secret():
    signer = Signer([SECRET, PRIVATE])
    assert SECRET[6:] not in repr(signer) + repr(signer._keys)
    assert str(base64.b64decode(SECRET[6:])) not in repr(signer._keys)


def test_valid_secrets_are_those_not_yet_expired():
    secrets = [
        Secret.generate(),
        Secret(SECRET, expires_at=NOW + timedelta(seconds=1)),
        Secret(OTHER, expires_at=NOW),
        Secret(OTHER, expires_at=NOW - timedelta(days=1)),
    ]
    assert valid_secrets(secrets, NOW) == secrets[:2]
