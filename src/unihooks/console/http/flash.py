"""Report once, on the next page, what was done: a signed cookie carries it there, for a minute."""

from __future__ import annotations

import hmac
import time
from urllib.parse import unquote

from starlette.requests import Request

from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.http.cookies import cookie_header, cookie_of
from unihooks.console.words.locale import later

COOKIE = "webhooks_done"
_SECONDS = 60
_LONGEST_TIME = 20
SENTENCES = {
    "activated": later("The webhook is active: events from now on are sent to its endpoints."),
    "deactivated": later("The webhook is inactive: nothing is sent, and pending deliveries are on hold."),
    "saved": later("Your changes are saved and apply to all events from now on."),
    "duplicated": later("This is the copy: it is inactive. Change what differs, then activate it."),
    "duplicated_before": later("This copy exists already, unchanged. To get another one, change its name first."),
    "deleted": later("The webhook is deleted. Its delivery log is kept until its retention ends."),
    "discarded": later("The draft is discarded."),
    "disabled": later("The endpoint is disabled: its pending deliveries are on hold."),
    "throttled": later("Each endpoint now gets at most that many deliveries per second."),
    "unthrottled": later("This webhook no longer limits how fast its endpoints get deliveries."),
    "enabled": later("The endpoint is enabled again, and its deliveries on hold are being sent."),
    "replayed": later("A new delivery with the same content is being sent."),
    "replayed_possible": later("Some are being sent. The others have no endpoint or no content any more."),
    "replayed_none": later("None of them can be sent: they have no endpoint or no content any more."),
    "none_selected": later("Select the deliveries to replay first."),
    "replayed_all": later("The new deliveries are being sent."),
    "replayed_some": later("Some of the deliveries are being sent. For the rest, replay later or as a job."),
    "cancelled": later("The delivery is cancelled: there will be no further attempts."),
    "recovered": later("The events that this webhook missed are being sent."),
    "recovered_some": later("Some of what this webhook missed is being sent. For the rest, recover later or as a job."),
    "job_started": later("The job waits for a worker, and then continues by itself."),
    "job_stopped": later("The job is stopped. What it has sent again stays."),
    "before": later("This form was already sent, so nothing was done again."),
}


def cookie_for(request: Request, settings: ConsoleSettings, code: str, where: str) -> str:
    """Return a `Set-Cookie` value that makes the page at the path `where` show the result."""
    expires = int(time.time()) + _SECONDS
    value = f"{code}.{expires}.{_mac(request, settings, code, expires, unquote(where.partition('?')[0]))}"
    return cookie_header(request, settings, COOKIE, value, seconds=_SECONDS)


def code_for(request: Request, settings: ConsoleSettings) -> str | None:
    """Return the result that the page of this request has to show, if there is one."""
    code, _, rest = (cookie_of(request, settings, COOKIE) or "").partition(".")
    expires, _, mac = rest.partition(".")
    is_time = expires.isdecimal() and len(expires) < _LONGEST_TIME
    if code not in SENTENCES or not is_time or not mac.isascii() or int(expires) < time.time():
        return None
    right = _mac(request, settings, code, int(expires), request.scope["path"])
    return code if hmac.compare_digest(mac, right) else None


def spent(request: Request, settings: ConsoleSettings) -> str:
    """Return a `Set-Cookie` value that ends the message."""
    return cookie_header(request, settings, COOKIE, "", seconds=0)


def _mac(request: Request, settings: ConsoleSettings, code: str, expires: int, path: str) -> str:
    # Signed for this browser and page: nobody else's link or cookie can claim that something was done.
    key = f"{request.state.csrf_cookie}\0{settings.secret or ''}".encode()
    return hmac.digest(key, f"done\0{code}\0{expires}\0{path}".encode(), "sha256").hex()
