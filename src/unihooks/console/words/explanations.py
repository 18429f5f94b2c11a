"""Explain in plain words why a delivery has not arrived, and what to do about it."""

from __future__ import annotations

import re

from attrs import frozen

from unihooks._base.sentences import recognized
from unihooks._contract.leasing import ENDPOINT_REMOVED, ERASED, HELD_TOO_LONG, WEBHOOK_DELETED
from unihooks._management.log import CANCELLED_BY_HAND
from unihooks._model.log import Attempt, Delivery, DeliveryState
from unihooks.console.words.locale import gettext, later
from unihooks.transport import OWN_FAULT


@frozen
class Explanation:
    """An explanation of what happened, and of what the viewer can do about it; `advice` may be empty."""

    what: str
    advice: str = ""


def explain(delivery: Delivery, last: Attempt | None) -> Explanation | None:
    """Explain a delivery by its state and its last attempt; None if it was delivered."""
    if delivery.state is DeliveryState.DELIVERED:
        return None
    if delivery.held:
        return _explanation(_HELD)
    if delivery.state is DeliveryState.CANCELLED:
        return _explanation(_CANCELLED.get(delivery.reason or "", _CANCELLED_ELSE))
    if last is None or delivery.reason == OWN_FAULT:
        return _explanation(_OWN_FAULT if delivery.reason == OWN_FAULT else _UNSENT[delivery.state])
    found = explain_attempt(last)
    if found is None or delivery.state is not DeliveryState.FAILED:
        return found
    return Explanation(found.what, f"{found.advice} {gettext(_NO_RETRY)}".strip())


def explain_attempt(attempt: Attempt) -> Explanation | None:
    """Explain why an attempt failed; None if it succeeded."""
    if attempt.succeeded:
        return None
    if attempt.status_code is not None:
        return _explanation(_status(attempt.status_code), status=attempt.status_code)
    return explain_error(attempt.error or "")


def explain_error(error: str) -> Explanation:
    """Explain why an attempt got no response."""
    code = sentence.code if (sentence := recognized(error)) else ""
    return _explanation(next((texts for codes, texts in _ERRORS if re.fullmatch(codes, code)), _ERROR_ELSE))


def _explanation(sentences: tuple[str, str], **parts: object) -> Explanation:
    what, advice = (gettext(one) if one else "" for one in sentences)
    return Explanation(what % parts if parts else what, advice)


def _status(code: int) -> tuple[str, str]:
    if code in _STATUSES:
        return _STATUSES[code]
    return _FAMILIES.get(code // 100, _FAMILIES[4])


_NO_RETRY = later("No retries are left: replay it once the cause is fixed.")
_HELD = (
    later("It is on hold: the webhook is inactive, or the endpoint is disabled."),
    later("Activate the webhook or enable the endpoint to send it. After 5 days on hold it is cancelled."),
)
_WAITING = (later("It has not been attempted yet."), "")
_OWN_FAULT = (
    later("We could not reach the internet, so nothing was sent."),
    later("There is nothing that you have to do: it is sent as soon as we can."),
)
_NOT_RENDERED = (
    later("The body could not be rendered from this event, so nothing was sent."),
    later("See the reason, and correct the payload mapping. Then recover the missed events."),
)
_UNSENT = {DeliveryState.PENDING: _WAITING, DeliveryState.FAILED: _NOT_RENDERED}
_CANCELLED_ELSE = (later("It was cancelled before it could be delivered."), later("Replay it to send it again."))
_CANCELLED: dict[str, tuple[str, str]] = {
    CANCELLED_BY_HAND: (later("It was cancelled by hand."), later("Replay it to send it again.")),
    ENDPOINT_REMOVED: (later("Its endpoint was removed from the webhook."), ""),
    WEBHOOK_DELETED: (later("Its webhook was deleted."), ""),
    HELD_TOO_LONG: (
        later("It was on hold for 5 days, because the webhook was inactive or the endpoint disabled."),
        later("Activate the webhook or enable the endpoint, then replay it."),
    ),
    ERASED: (later("The event was erased, and its content is gone."), ""),
}
_STATUSES = {
    400: (
        later("Your system returned 400: it could not read the request."),
        later("See its response below. It may expect other property names: the payload mapping can rename properties."),
    ),
    401: (
        later("Your system returned 401: it requires authentication."),
        later("Check the custom headers of the webhook, such as Authorization, or the signature check."),
    ),
    403: (
        later("Your system returned 403: it refuses access."),
        later("Check the custom headers, the allow-list of the firewall and the signature check."),
    ),
    404: (
        later("Your system returned 404: there is nothing at this URL."),
        later("Check the path of the endpoint's URL."),
    ),
    405: (
        later("Your system returned 405: it does not accept POST requests at this URL."),
        later("Check the path, and that the route accepts POST."),
    ),
    408: (
        later("Your system returned 408: it waited too long for the request."),
        later("Check the proxy in front of it."),
    ),
    410: (
        later("Your system returned 410: it wants no more requests at this URL, so the endpoint was disabled."),
        later("Enable the endpoint again if this was not intended."),
    ),
    413: (
        later("Your system returned 413: the request is too large for it."),
        later("Raise its limit (a payload has at most 256 KiB), or remove properties with the payload mapping."),
    ),
    415: (
        later("Your system returned 415: it does not accept JSON."),
        later("Make it accept the content type application/json."),
    ),
    429: (
        later("Your system returned 429: it receives too many requests."),
        later("Raise its limit, or subscribe to fewer events. The next attempt waits as long as it asks."),
    ),
}
_FAMILIES = {
    1: (later("Your system returned %(status)s, which is not a final status."), later("Return a 2xx status.")),
    3: (
        later("Your system returned %(status)s, a redirect. Redirects are never followed."),
        later("Set the endpoint's URL to the address that it redirects to."),
    ),
    4: (
        later("Your system returned %(status)s: it refused the request."),
        later("See its response below, and its own log from that time."),
    ),
    5: (
        later("Your system returned %(status)s: it had an internal error."),
        later("See its own log from that time."),
    ),
}
_ERROR_ELSE = (
    later("The request could not be completed."),
    later("Send a test event to see whether it works now."),
)
# By the code of what an attempt ended with.
_ERRORS: tuple[tuple[str, tuple[str, str]], ...] = (
    (
        "not-reachable",
        (
            later("The endpoint could not be reached: its name has no public address, or nothing answers there."),
            later("Check the host name, the port and the firewall, which must let our addresses in from the internet."),
        ),
    ),
    ("own-fault", _OWN_FAULT),
    (
        "timed-out-(before|sending|waiting)",
        (
            later("Your system took too long to respond."),
            later("Return a 2xx status as soon as the event is stored, and do the work afterwards."),
        ),
    ),
    (
        "certificate-.*",
        (
            later("The certificate of your system was not accepted."),
            later("Use a certificate for this host from a public authority, with its intermediate certificates."),
        ),
    ),
    (
        "timed-out-in-handshake|closed-in-handshake|handshake-.*|tls-.*",
        (
            later("No encrypted connection to your system could be made."),
            later("Make it support TLS 1.2 or newer on this port."),
        ),
    ),
    (
        "(closed|reset)-(early|in-headers)|no-answer",
        (
            later("Your system closed the connection before it responded."),
            later("See its log, and check the proxy in front of it."),
        ),
    ),
    (
        "answer-.*|headers-too-large|no-status-line|impossible-status|protocol-switched|too-many-interim",
        (
            later("What came back is not a valid HTTP response."),
            later("Check that the URL leads to a web server that speaks HTTP/1.1."),
        ),
    ),
)
