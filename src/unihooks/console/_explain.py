"""Say in plain words why a delivery stands as it does, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from unihooks._contract.leasing import ENDPOINT_REMOVED, ERASED, HELD_TOO_LONG, WEBHOOK_DELETED
from unihooks._management.log import CANCELLED_BY_HAND
from unihooks._model.log import Attempt, Delivery, DeliveryState
from unihooks.console._locale import gettext, later
from unihooks.transport._errors import NOT_REACHABLE


@frozen
class Explanation:
    """Be what happened, and what the viewer can do; `advice` may be empty."""

    what: str
    advice: str = ""


def explain(delivery: Delivery, last: Attempt | None) -> Explanation | None:
    """Explain a delivery by its state and its last attempt; None where all is well."""
    if delivery.state is DeliveryState.DELIVERED:
        return None
    if delivery.held:
        return _told(_HELD)
    if delivery.state is DeliveryState.CANCELLED:
        return _told(_CANCELLED.get(delivery.reason or "", _CANCELLED_ELSE))
    if last is None:
        return _told(_MAPPING) if delivery.state is DeliveryState.FAILED else _told(_WAITING)
    told = explain_attempt(last)
    if told is None or delivery.state is not DeliveryState.FAILED:
        return told
    return Explanation(told.what, f"{told.advice} {gettext(_NO_RETRY)}".strip())


def explain_attempt(attempt: Attempt) -> Explanation | None:
    """Explain why an attempt failed; None if it succeeded."""
    if attempt.succeeded:
        return None
    if attempt.status_code is not None:
        return _told(_status(attempt.status_code), status=attempt.status_code)
    error = attempt.error or ""
    return _told(next((told for fits, told in _ERRORS if fits(error)), _ERROR_ELSE))


def _told(sentences: tuple[str, str], **parts: object) -> Explanation:
    what, advice = (gettext(one) if one else "" for one in sentences)
    return Explanation(what % parts if parts else what, advice)


def _status(code: int) -> tuple[str, str]:
    if code in _STATUSES:
        return _STATUSES[code]
    return _FAMILIES.get(code // 100, _FAMILIES[4])


_NO_RETRY = later("No retry is left: replay it once the cause is gone.")
_HELD = (
    later("It waits: the webhook is inactive, or the endpoint is disabled."),
    later("Activate the webhook or enable the endpoint, and it goes on. After 5 days of waiting it is cancelled."),
)
_WAITING = (later("It has not been attempted yet."), "")
_MAPPING = (
    later("The payload mapping could not be applied to this event, so nothing was sent."),
    later("Correct the mapping. Later events follow it at once; this one can be recovered."),
)
_CANCELLED_ELSE = (later("It was cancelled before it could be delivered."), later("Replay it to send it again."))
_CANCELLED = {
    CANCELLED_BY_HAND: (later("Somebody has cancelled it."), later("Replay it to send it again.")),
    ENDPOINT_REMOVED: (later("Its endpoint was removed from the webhook."), ""),
    WEBHOOK_DELETED: (later("Its webhook was deleted."), ""),
    HELD_TOO_LONG: (
        later("It waited for 5 days while the webhook was inactive or the endpoint disabled."),
        later("Activate or enable first, then replay it."),
    ),
    ERASED: (later("The event was erased: its content is gone."), ""),
}
_STATUSES = {
    400: (
        later("Your system answered 400: it could not read the request."),
        later("Look at its answer below. Often it expects other properties: the payload mapping can rename them."),
    ),
    401: (
        later("Your system answered 401: it asks for authentication."),
        later("Check the custom headers of the webhook, such as Authorization, or the signature check."),
    ),
    403: (
        later("Your system answered 403: it does not let the request in."),
        later("Check the custom headers, the firewall's allow-list and the signature check."),
    ),
    404: (
        later("Your system answered 404: there is nothing at this address."),
        later("Check the path of the endpoint's URL."),
    ),
    405: (
        later("Your system answered 405: it does not take POST requests at this address."),
        later("Check the path, and that the route takes POST."),
    ),
    408: (
        later("Your system answered 408: it waited too long for the request."),
        later("Check the proxy in front of it."),
    ),
    410: (
        later("Your system answered 410: it wants nothing more at this address, so the endpoint was disabled."),
        later("Enable the endpoint again if that was not meant."),
    ),
    413: (
        later("Your system answered 413: the request is too large for it."),
        later("Raise its limit (a payload has at most 256 KiB), or remove properties with the payload mapping."),
    ),
    415: (
        later("Your system answered 415: it does not take JSON."),
        later("Let it take the content type application/json."),
    ),
    429: (
        later("Your system answered 429: it has too many requests."),
        later("Let it take more, or ask for less with fewer events; the next attempt waits as long as it asks."),
    ),
}
_FAMILIES = {
    1: (later("Your system answered %(status)s, which is no final answer."), later("Answer with a 2xx status.")),
    3: (
        later("Your system answered %(status)s, a redirect. Redirects are never followed."),
        later("Use the address that it redirects to as the endpoint's URL."),
    ),
    4: (
        later("Your system answered %(status)s: it refused the request."),
        later("Look at its answer below, and at its own log of that time."),
    ),
    5: (
        later("Your system answered %(status)s: something went wrong inside it."),
        later("Look at its own log of that time."),
    ),
}
_ERROR_ELSE = (
    later("The request could not be completed."),
    later("Send a test event to see whether it works by now."),
)


def _starts(text: str) -> Callable[[str], bool]:
    return lambda error: error.startswith(text)


def _holds(text: str) -> Callable[[str], bool]:
    return lambda error: text in error


_ERRORS: tuple[tuple[Callable[[str], bool], tuple[str, str]], ...] = (
    (
        _starts(NOT_REACHABLE),
        (
            later("The address could not be reached: its name has no public address, or nothing answers there."),
            later("Check the host name, the port and the firewall: it must be open to our addresses on the internet."),
        ),
    ),
    (
        _starts("timed out"),
        (
            later("Your system took too long to answer."),
            later("Answer with 2xx as soon as the event is stored, and do the work afterwards."),
        ),
    ),
    (
        _holds("certificate"),
        (
            later("The certificate of your system is not acceptable."),
            later("Use one of a public authority that names this host, with its intermediate certificates."),
        ),
    ),
    (
        _holds("TLS"),
        (
            later("No encrypted connection could be made with your system."),
            later("Let it speak TLS 1.2 or newer on this port."),
        ),
    ),
    (
        _holds("connection"),
        (
            later("Your system closed the connection before it answered."),
            later("Look at its log, and at the proxy in front of it."),
        ),
    ),
    (
        _starts("the answer"),
        (
            later("What came back is not an HTTP answer that could be understood."),
            later("Check that the URL leads to a web server that speaks HTTP/1.1."),
        ),
    ),
)
