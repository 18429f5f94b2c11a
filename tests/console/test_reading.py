"""With the permission READ alone, no page offers what would be refused: every link and every form is followed."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from unihooks.console import Permission, Viewer
from unihooks.console.http import rendering

_MOST_PAGES = 150
# What is said in a page and leads nowhere in it.
_ELSEWHERE = ("mailto:", "#")


class Offers(HTMLParser):
    """The links and forms of a page; forms with the fields that a browser would send, with JavaScript or without."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[tuple[str, str, list[tuple[str, str]]]] = []
        self._fields: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = []
            if given.get("method", "get") == "get" or "action" in given:
                self.forms.append((given.get("action", ""), given.get("method", "get"), self._fields))
        self.links += [given[name] for name in ("href", "hx-get", "data-poll") if tag != "link" and given.get(name)]
        self.forms += [(given[name], "post", self._fields) for name in ("hx-post", "formaction") if given.get(name)]
        if tag in ("input", "button", "select", "textarea") and given.get("name"):
            self._fields.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._fields = [] if tag == "form" else self._fields


async def crawl(browser, start: str = "/") -> dict[str, int]:
    """Follow every link from page to page, and then submit every form; return the status of each."""
    seen: dict[str, int] = {}
    places: set[str] = set()
    waiting, forms = [start], {}
    while waiting and len(seen) < _MOST_PAGES:
        where = waiting.pop(0)
        answer = await browser.client.get(where)
        seen[f"GET {urlsplit(where).path}"] = answer.status_code
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        offers = Offers()
        offers.feed(answer.text)
        for link in offers.links:
            _add(waiting, places, str(answer.url), link)
        for action, method, fields in offers.forms:
            place = urljoin(str(answer.url), action)
            if method == "get":
                _add(waiting, places, place, "")
            else:
                forms.setdefault(urlsplit(place).path, (place, fields))
    for path, (place, fields) in forms.items():
        headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        sent = await browser.client.post(place, content=str(httpx.QueryParams(fields)), headers=headers)
        seen[f"POST {path}"] = sent.status_code
    return seen


def _add(waiting: list[str], places: set[str], base: str, link: str) -> None:
    where = urljoin(base, link).partition("#")[0]
    parts = urlsplit(where)
    # Of pages that differ in their query alone, a few are enough.
    kinds = (f"{parts.path}?{'&'.join(sorted(one.partition('=')[0] for one in parts.query.split('&')))}",)
    if link.startswith(_ELSEWHERE) or parts.netloc != "console.example.com" or places.issuperset(kinds):
        return
    places.update(kinds)
    waiting.append(where)


def wrong(found: dict[str, int]) -> dict[str, int]:
    """Return the refused requests; a form may show its errors, or its object may be gone because of an earlier form."""
    refused = (403, 405, 500)
    return {
        place: status
        for place, status in found.items()
        if status in refused or (status >= 400 and place.startswith("GET "))
    }


@pytest.fixture
def lived_in(dispatcher, receiver, webhook, add_webhook, emit):
    """Return a webhook with deliveries in all states, a disabled endpoint, and a job."""
    receiver.answer(200, 500, 404)
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    off = add_webhook("Audit", host="audit.example.com")
    emit(3, {"sender": {"id": 7}}, subject="chat/7")
    dispatcher.webhooks.disable_endpoint(off.id, off.endpoints[0].id, tenant="acme")
    dispatcher.jobs.replay(tenant="acme", state="failed")
    return webhook


async def test_a_viewer_with_read_alone_is_offered_nothing_that_is_refused(browse, lived_in):
    found = await crawl(browse(permissions="read"))
    assert wrong(found) == {}
    # It has been everywhere.
    paths = {urlsplit(place.partition(" ")[2]).path for place in found}
    wanted = {"/", "/deliveries", "/events", "/jobs", "/reference", f"/webhooks/{lived_in.id}"}
    assert wanted <= paths, sorted(paths)
    assert any(path.startswith("/deliveries/dlv_") for path in paths)


@pytest.mark.parametrize("permission", ["write", "send", "secrets", "operate"])
async def test_viewer_with_one_more_permission_is_offered_nothing_that_is_refused(browse, lived_in, permission):
    """Each permission counts by itself: what needs two is offered to viewers who have both."""
    found = await crawl(browse(permissions=f"read,{permission}"))
    assert wrong(found) == {}


async def test_the_crawl_would_find_a_refused_offer(browse, lived_in, monkeypatch):
    surroundings = rendering._surroundings
    everything = Viewer("acme", "Ada", set(Permission))
    monkeypatch.setattr(rendering, "_surroundings", lambda request: surroundings(request) | {"viewer": everything})
    found = await crawl(browse(permissions="read"))
    refused = {place for place, status in found.items() if status == 403}
    assert any(place.startswith("GET ") for place in refused)
    assert any(place.startswith("POST /webhooks/") for place in refused)
