"""Show attempts, their requests and responses, as plain text, since receivers' bytes cannot be trusted."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterable, Sequence

from attrs import frozen

from unihooks._message.secrets import MASK
from unihooks._message.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from unihooks._model.log import Attempt
from unihooks._model.webhooks import Webhook
from unihooks.console.words.explanations import Explanation, explain_attempt
from unihooks.console.words.formats import indented
from unihooks.exceptions import UnihooksError

_OF_THE_CONNECTION = {"host", "content-length"}
_KEPT = "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


@frozen
class SignatureCheck:
    """The signature of an attempt, and the secret that made it.

    `secret` is `current`, `previous`, or None if no secret of the webhook (any
    longer) makes this signature.
    """

    message_id: str
    timestamp: str
    signatures: tuple[str, ...]
    secret: str | None


@frozen(kw_only=True)
class ShownAttempt:
    """An attempt as the page shows it: everything is text."""

    attempt: Attempt
    why: Explanation | None
    request_headers: tuple[tuple[str, str], ...]
    response_headers: tuple[tuple[str, str], ...]
    answer: str
    signature: SignatureCheck | None
    curl: str


def shown_attempt(attempt: Attempt, body: bytes, webhook: Webhook | None) -> ShownAttempt:
    """Return an attempt as pages show it."""
    return ShownAttempt(
        attempt=attempt,
        why=explain_attempt(attempt),
        request_headers=_pairs(attempt.request_headers),
        response_headers=_pairs(attempt.response_headers),
        answer=readable(attempt.response_body),
        signature=check_signature(attempt, body, webhook),
        curl=curl(attempt.url, attempt.request_headers, body),
    )


def _pairs(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((shown(name), shown(value)) for name, value in headers)


def readable(data: bytes) -> str:
    r"""Return bytes as text: JSON is indented, and what cannot be shown becomes a replacement character.

    >>> readable(b'{"a":1}')
    '{\n  "a": 1\n}'
    >>> readable(b"a\x00\xff")
    'a\ufffd\ufffd'
    """
    return shown(indented(data.decode(errors="replace")).replace("\r\n", "\n"))


def shown(text: str) -> str:
    """Replace control characters, and those that change the direction of the text after them."""
    kept = {one for one in set(text) if one.isprintable() or one in _KEPT or unicodedata.category(one) == "Zs"}
    return "".join(one if one in kept else "\N{REPLACEMENT CHARACTER}" for one in text)


def curl(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    r"""Return the request as a curl command; secrets have to be filled in.

    >>> print(curl("https://example.com/", [("x-key", "***"), ("a", "it's")], b"{}"))
    curl -sS -X POST https://example.com/ \
      -H 'x-key: FILL-IN' \
      -H 'a: it'"'"'s' \
      --data-raw '{}'
    """
    lines = [f"curl -sS -X POST {shlex.quote(shown(url))}"]
    for name, value in headers:
        if name.lower() not in _OF_THE_CONNECTION:
            given = "FILL-IN" if value == MASK else value
            lines.append(f"-H {shlex.quote(shown(f'{name}: {given}'))}")
    lines.append(f"--data-raw {shlex.quote(body.decode(errors='replace'))}")
    return " \\\n  ".join(lines)


def check_signature(attempt: Attempt, body: bytes, webhook: Webhook | None) -> SignatureCheck | None:
    """Check the signature of an attempt as a receiver would; None if the log lacks a part that this needs."""
    headers = {name.lower(): value for name, value in attempt.request_headers}
    message_id, timestamp = headers.get(ID_HEADER), headers.get(TIMESTAMP_HEADER)
    signatures = tuple(headers.get(SIGNATURE_HEADER, "").split())
    if not message_id or not timestamp or not signatures or not body:
        return None
    return SignatureCheck(message_id, timestamp, signatures, _signer(message_id, timestamp, body, signatures, webhook))


def _signer(
    message_id: str, timestamp: str, body: bytes, signatures: Sequence[str], webhook: Webhook | None
) -> str | None:
    for at, secret in enumerate(webhook.secrets if webhook is not None else ()):
        try:
            expected = sign(message_id, int(timestamp), body, secret)
        except (UnihooksError, ValueError, ImportError):
            continue
        if expected in signatures:
            return "previous" if at else "current"
    return None
