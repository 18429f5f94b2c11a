"""Only `reveal` shows a secret."""

import contextlib
import copy
import json
import pickle
import pprint
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks._message.secrets import Secret, check_signing_secret, decode_key, signature_kind
from unihooks._message.signing import sign
from unihooks.exceptions import InvalidWebhook, UnihooksError

CANARY = "canary-3f9a"
VECTORS = json.loads((Path(__file__).parents[1] / "data" / "standard_webhooks.json").read_text())


@attrs.frozen
class Holder:
    secret: Secret


SHOWN = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda s: f"{s} {s!r} {s:>40}",
    "percent": lambda s: "%s %r" % (s, s),  # noqa: UP031
    "asdict": lambda s: str(attrs.asdict(Holder(s))),
    "holder": lambda s: repr(Holder(s)),
    "cattrs": lambda s: str(cattrs.unstructure(Holder(s))),
    "json": lambda s: json.dumps(s, default=str),
    "pprint": lambda s: pprint.pformat([s, {s: s}]),
    "state": lambda s: str(s.__getstate__()),
    "reduce": lambda s: str(s.__reduce__()) + str(s.__reduce_ex__(2)),
    "redacted": lambda s: str(pickle.loads(pickle.dumps(s))),
    "deepcopy": lambda s: str(copy.deepcopy([s])),
}


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_showing_a_secret_shows_its_text(way):
    shown = SHOWN[way](Secret(CANARY, expires_at=datetime.now(UTC)))
    assert CANARY not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_does_not_hold_the_text(protocol):
    assert CANARY.encode() not in pickle.dumps(Holder(Secret(CANARY)), protocol)


def test_an_unpickled_secret_is_redacted_and_says_so_when_opened():
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    back = pickle.loads(pickle.dumps(Secret(CANARY, expires_at=expires)))
    assert (str(back), back.expires_at) == ("***", expires)
    assert back != Secret("***")
    assert Secret("***") != back
    assert {back: 1}[back] == 1
    with pytest.raises(UnihooksError, match="load it from the store again"):
        back.reveal()


def test_a_secret_has_no_dict_is_not_json_and_cannot_be_changed():
    secret = Secret(CANARY)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError) as raised:
        json.dumps(secret)
    assert CANARY not in str(raised.value)
    for name in ("expires_at", "created_at", "reveal", "other"):
        with pytest.raises(AttributeError):
            setattr(secret, name, None)


def test_copies_in_the_process_keep_the_text():
    secret = Secret(CANARY)
    assert copy.copy(secret).reveal() == copy.deepcopy(secret).reveal() == CANARY


@given(st.text(), st.text())
def test_secrets_are_equal_exactly_when_their_texts_are(one, other):
    assert (Secret(one) == Secret(other)) is (one == other)
    assert hash(Secret(one)) == hash(Secret(one))
    assert Secret(one) != one


def test_times_do_not_count_for_equality():
    assert Secret("a", expires_at=datetime.now(UTC)) == Secret("a")


def test_the_hash_is_not_that_of_the_text():
    assert hash(Secret(CANARY)) != hash(CANARY)


def test_lone_surrogates_do_not_break_a_secret():
    assert Secret("\ud800") == Secret("\ud800")
    assert hash(Secret("\ud800")) == hash(Secret("\ud800"))


def test_times_are_kept_in_utc():
    riyadh = timezone(timedelta(hours=3))
    secret = Secret("a", expires_at=datetime(2030, 1, 1, 3, tzinfo=riyadh))
    assert secret.expires_at.isoformat() == "2030-01-01T00:00:00+00:00"
    assert secret.created_at is None


NAIVE = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize("time", [NAIVE, "2030-01-01", 5])
def test_a_time_without_zone_is_refused(time):
    for name in ("expires_at", "created_at"):
        with pytest.raises(InvalidWebhook) as raised:
            Secret("a", **{name: time})
        assert raised.value.name == name


@pytest.mark.parametrize("value", [None, b"bytes", 5, ["a"]])
def test_only_text_can_be_a_secret(value):
    with pytest.raises(InvalidWebhook):
        Secret(value)


def test_a_generated_ed25519_secret_is_a_whole_key_pair_that_signs():
    made = Secret.generate("v1a")
    assert (signature_kind(made), signature_kind(Secret.generate(kind="v1"))) == ("v1a", "v1")
    assert len(decode_key(made)[1]) == 64
    assert sign("evt_1", 1, b"", made).startswith("v1a,")
    assert made != Secret.generate("v1a")


@pytest.mark.parametrize("kind", ["v2", "", None, "whsec_", ["v1"]])
def test_an_unknown_kind_of_secret_is_refused(kind):
    with pytest.raises(InvalidWebhook) as raised:
        Secret.generate(kind)
    assert raised.value.name == "kind"


def test_generated_secrets_are_32_random_bytes_and_differ():
    made = {Secret.generate() for _ in range(50)}
    assert len(made) == 50
    assert all(decode_key(secret)[0] == "whsec_" for secret in made)
    assert {len(decode_key(secret)[1]) for secret in made} == {32}


GOOD = sorted({key["secret"] for vector in VECTORS["vectors"] for key in vector["keys"]})


@pytest.mark.parametrize("secret", GOOD)
def test_published_secrets_are_accepted(secret):
    check_signing_secret(secret)
    check_signing_secret(Secret(secret))


BAD = [entry["secret"] for entry in VECTORS["invalid_secrets"]] + [
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
    "whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw",
    "whsec_" + "é" * 32,
    "whsec_\ud800",
    "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsk_",
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    None,
    b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
]


@pytest.mark.parametrize("secret", BAD)
def test_a_malformed_signing_secret_is_refused_without_being_shown(secret):
    with pytest.raises(InvalidWebhook) as raised:
        check_signing_secret(secret)
    assert raised.value.name == "secret"
    shown = "".join(traceback.format_exception_only(raised.value))
    assert not secret or len(secret) < 8 or str(secret) not in shown
    assert raised.value.__cause__ is None


@given(st.text() | st.text().map("whsec_{}".format) | st.text().map("whsk_{}".format))
def test_the_check_raises_nothing_but_invalid_webhook(text):
    with contextlib.suppress(InvalidWebhook):
        check_signing_secret(text)
