"""Responses that echo a secret are stored without it, in the forms in which receivers commonly echo."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks._message.redaction import Redactor

TOKEN = "tok_9f8e7d6c5b4a"
ODD = "p\"a/s<s>\\w&o r'd+x=%1"
DIGEST = "6629fae49393a05397450978507c4ef1"


def masked(value: str, echo: str | bytes, *, cut: bool = False) -> bytes:
    echoed = echo if isinstance(echo, bytes) else echo.encode()
    return Redactor([value], []).redacted(echoed, cut=cut)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "value, echo, kept",
    [
        (f"Bearer {TOKEN}", f"got Bearer {TOKEN}!", b"got ***!"),
        (f"Bearer {TOKEN}", f"token {TOKEN} expired", b"token *** expired"),
        (f"Token token={TOKEN}", f"bad {TOKEN}.", b"bad ***."),
        (f'Token token="{TOKEN}"', f"bad {TOKEN}", b"bad ***"),
        (f"{TOKEN} v2", f"bad {TOKEN}", b"bad ***"),
        (f"id=abc,key={TOKEN}", f"bad key {TOKEN}", b"bad key ***"),
        (f"key={TOKEN};v=1", TOKEN, b"***"),
        (f"user:{TOKEN}", TOKEN, b"***"),
        (basic("svc", "Hunter2pass"), "svc with Hunter2pass is unknown", b"svc with *** is unknown"),
        (basic("svc", "Hunter2pass"), "(svc:Hunter2pass)", b"(***)"),
        (basic("svc", "p:w:Hunter2"), "p:w:Hunter2", b"***"),
        (f'Digest u="bob", response="{DIGEST}"', json.dumps(f'Digest u="bob", response="{DIGEST}"'), b'"***"'),
        (f'Digest u="bob", response="{DIGEST}"', DIGEST, b"***"),
        (TOKEN, TOKEN.upper(), b"***"),
        (f"Bearer {TOKEN}", f"BEARER {TOKEN.upper()} {TOKEN}", b"*** ***"),
        (TOKEN, base64.b64encode(TOKEN.encode()).decode(), b"***"),
        (TOKEN, TOKEN.encode().hex(), b"***"),
        (TOKEN, TOKEN.encode().hex().upper(), b"***"),
        (f"{TOKEN} a", f"{TOKEN}{TOKEN}", b"***"),
    ],
)
def test_values_and_their_parts_are_masked(value, echo, kept):
    assert masked(value, echo) == kept


@pytest.mark.parametrize(
    "escape",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003E").replace("&", "\\u0026"),
        html.escape,
        lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#034;"),
        lambda text: html.escape(json.dumps(text)),
        lambda text: html.escape(html.escape(text)),
        lambda text: quote(text, safe=""),
        quote,
        quote_plus,
        lambda text: quote(text, safe="").lower(),
        lambda text: quote(quote(text, safe="")),
        lambda text: "".join(f"&#{ord(one)};" if not one.isalnum() else one for one in text),
        str.upper,
    ],
)
def test_escaped_values_are_masked(escape):
    for part in (ODD, "a+b/c==123", "https://x.example/?a=b&c=d"):
        echo = escape(part)
        found = masked(part, f"<{echo}>")
        assert found.startswith(b"<")
        assert found.endswith(b">")
        assert set(found.decode()) <= set('<>*"\\&quot;amp')


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("part", [TOKEN, "\x3e\x3f>?>?>?>?>", "secret-with-more-letters"])
def test_base64_of_a_text_around_a_value_is_masked(before, encode, part):
    echo = encode(f"{before}{part}".encode())
    assert masked(f"v {part}", b"x: " + echo) == b"x: ***"
    assert masked(f"v {part}", b"x: " + quote(echo).encode()) == b"x: ***"


@pytest.mark.parametrize("size", range(4, 16))
@pytest.mark.parametrize("escape", [str, str.upper, json.dumps, html.escape, quote])
def test_start_of_a_value_at_the_end_of_a_cut_response_is_masked(size, escape):
    part = f'{TOKEN[:9]}/"<{TOKEN}'
    echo = escape(part).strip('"')[:size]
    assert masked(part, f"{'x' * 100} {echo}", cut=True) == b"x" * 100 + b" ***"
    encoded = base64.b64encode(part.encode()).decode()[:size]
    assert masked(part, f"- {encoded}", cut=True) == b"- ***"
    assert masked(part, f"{'x' * 100} {TOKEN[:3]}!", cut=True).endswith(b"!")


def test_start_of_a_value_stays_in_a_complete_response():
    assert masked("gzip-s3cr3t", "gzip") == b"gzip"


@pytest.mark.parametrize("text", [b"", b"ok", b'{"ok":true}', b"Bearer", b"Basic c3Zj", b"token=", b"user svc"])
def test_other_text_is_kept_as_it_is(text):
    for value in (f"Bearer {TOKEN}", basic("svc", "Hunter2pass"), f"Token token={TOKEN}"):
        redactor = Redactor([value], ["whsec"])
        assert redactor.redacted(text) is text


def test_short_values_are_kept_since_they_occur_by_chance():
    assert masked("abcde", "abcde") == b"abcde"


def test_signing_secrets_are_masked_too():
    secret = base64.b64encode(bytes(range(200, 232))).decode()
    redactor = Redactor([], [secret])
    for echo in (secret, f"whsec_{secret}", json.dumps(secret).replace("/", "\\/"), quote(secret, safe="")):
        assert redactor.redacted(echo.encode()) in (b"***", b"whsec_***", b'"***"')


@given(st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=6, max_size=600))
def test_every_value_is_found_as_it_is_escaped_and_encoded(value):
    for echo in (value, json.dumps(value)[1:-1], html.escape(value), quote(value, safe=""), value.encode().hex()):
        assert masked(value, f" {echo} ") == b" *** "


def test_long_values_with_escapes_are_masked_whole():
    value = "a/" * 2_000
    assert masked(value, f"[{json.dumps(value)}]".replace("/", "\\/")).startswith(b'["***')
    assert b"a\\/" not in masked(value, f"[{json.dumps(value)}]".replace("/", "\\/"))


def test_parts_are_bounded_since_each_costs_time_with_every_response():
    values = [",".join(f"word{at:04}" for at in range(400))]
    redactor = Redactor(values, [])
    assert len(redactor._anchors) <= 6 * 64
    assert redactor.redacted(f"{values[0]} word0001".encode()) == b"*** ***"
