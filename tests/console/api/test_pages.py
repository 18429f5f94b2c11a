"""A page of large items ends at 1 MB, in both directions, and is read a few items at a time."""

from __future__ import annotations

import json

import pytest

from unihooks import Webhook
from unihooks.console.api.pages import _SLICE

MOST = 1_000_000


@pytest.fixture
def events(dispatcher) -> list[str]:
    """Return the ids of events of 200 KB and a few bytes in turn, newest first."""
    large = "x" * 200_000
    payloads = [{"text": large if at % 2 else "", "at": at} for at in range(24)]
    made = dispatcher.emit_many([("chat", "message.sent", payload) for payload in payloads], tenant="acme")
    return [event.id for event in reversed(made)]


@pytest.fixture
def slices(dispatcher, monkeypatch) -> list[int]:
    """Return how many events are read at a time."""
    store, read = dispatcher.settings.store, []
    list_events = store.list_events

    def counting(tenant, filters, window):
        found = list_events(tenant, filters, window)
        read.append(len(found))
        return found

    monkeypatch.setattr(store, "list_events", counting)
    return read


async def walked(api, path: str, direction: str, **query) -> list[list[dict]]:
    pages, cursor = [], {}
    while True:
        answer = await api.get(path, **query, **cursor)
        assert len(answer.content) <= MOST + 10_000
        page = answer.json()
        pages.append(page["items"])
        if page[direction] is None:
            return pages
        cursor = {"cursor": page[direction]}


def ids(pages) -> list[str]:
    return [item["id"] for page in pages for item in page]


async def test_pages_of_large_events_end_at_a_megabyte_and_miss_none(api, events):
    pages = await walked(api, "/events", "next", limit=250)
    assert ids(pages) == events
    assert all(len(page) > 1 for page in pages)
    assert len(pages) == 3


async def test_large_pages_can_be_walked_back(api, events):
    first = (await api.get("/events", limit=23)).json()
    pages = [first["items"]]
    while len(ids(pages)) < 23:
        first = (await api.get("/events", limit=23 - len(ids(pages)), cursor=first["next"])).json()
        pages.append(first["items"])
    cursor = (await api.get("/events", cursor=first["next"])).json()["previous"]
    back = []
    while cursor:
        page = (await api.get("/events", limit=250, cursor=cursor)).json()
        back.insert(0, page["items"])
        cursor = page["previous"]
    assert ids(back) == events[:23]
    assert len(back) == 3


async def test_events_are_read_a_few_at_a_time(api, events, slices):
    await api.get("/events", limit=250)
    assert max(slices) <= _SLICE + 1


async def test_single_item_larger_than_a_page_is_shown_alone(api, events, monkeypatch):
    monkeypatch.setattr("unihooks.console.api.pages._MOST_BYTES", 100_000)
    assert ids(await walked(api, "/events", "next")) == events
    assert max(map(len, await walked(api, "/events", "next"))) == 1


async def test_small_items_fill_pages_as_asked(api, dispatcher):
    dispatcher.emit_many([("chat", "message.sent", at) for at in range(50)], tenant="acme")
    page = (await api.get("/events", limit=49)).json()
    assert [event["payload"] for event in page["items"]] == list(range(49, 0, -1))
    assert (page["previous"], len((await api.get("/events", cursor=page["next"])).json()["items"])) == (None, 1)


@pytest.mark.parametrize("sort", ["newest", "oldest", "name"])
async def test_pages_of_large_webhooks_end_too_in_every_order(api, dispatcher, monkeypatch, sort):
    monkeypatch.setattr("unihooks.console.api.pages._MOST_BYTES", 15_000)
    for at in range(12):
        dispatcher.webhooks.add(
            Webhook(name=f"{at % 5}", description="x" * 2_000, endpoints=[f"https://e{at}.example.com/"]), tenant="acme"
        )
    whole = [one.id for one in dispatcher.webhooks.list(tenant="acme", sort=sort)]
    pages = await walked(api, "/webhooks", "next", sort=sort)
    assert (ids(pages), len(pages) > 1) == (whole, True)
    first = (await api.get("/webhooks", sort=sort)).json()
    second = (await api.get("/webhooks", sort=sort, cursor=first["next"])).json()
    assert (await api.get("/webhooks", sort=sort, cursor=second["previous"])).json()["items"] == first["items"]


async def test_payloads_are_shown_as_they_are(api, dispatcher):
    payload = {"a": [1, 2.5, None, True, {"b": "\u00e4"}], "c": ""}
    event = dispatcher.emit("chat", "message.sent", payload, tenant="acme")
    assert json.loads((await api.get(f"/events/{event.id}")).content)["payload"] == payload
