"""The entries for a new webhook are kept as a draft, for its viewer alone, until it becomes a webhook."""

from __future__ import annotations

import re

import pytest
from console_browser import CANARY, fields_of, text_of

from unihooks.console import Permission, Viewer, create_console
from unihooks.console.draft.draft import FIELDS, STEP_OF, STEPS
from unihooks.console.host.rates import Limiter, Rate, Rates
from unihooks.exceptions import StoreError
from unihooks.testing import FakeClock

URL = "https://crm.example.com/hooks"


async def begun(browser, go: str = "next", name: str = "CRM"):
    """Enter the details of a new draft, go on, and return the page that this leads to."""
    return await browser.press(await browser.get("/new"), go, {"name": name, "endpoint_url": URL})


async def keep(browser, page, changes):
    """Save a page as its script does."""
    browser.client.headers["hx-request"] = "true"
    answer = await browser.press(page, "keep", changes)
    del browser.client.headers["hx-request"]
    return answer


@pytest.fixture
def clock(dispatcher) -> FakeClock:
    clock = FakeClock()
    dispatcher.settings.store.use_clock(clock)
    return clock


def test_every_field_of_a_draft_is_sent_by_the_page_of_one_step():
    assert set(STEP_OF) <= set(FIELDS)
    assert set(STEP_OF.values()) <= set(STEPS)


async def test_each_step_has_its_own_url_that_shows_the_input(browser):
    answer = await begun(browser)
    assert re.fullmatch(r"/new/drf_\w{26}/events", answer.url.path)
    await browser.press(answer, "next", {"event": "whatsapp message.read"})
    details = await browser.get(answer.url.path.replace("events", "details"))
    assert {("name", "CRM"), ("endpoint_url", URL)} <= set(fields_of(details))
    assert ("event", "whatsapp message.read") in fields_of(await browser.get(answer.url.path))
    # A reload of the page that a button led to shows it again, without another form that is sent.
    added = await browser.press(details, "add-endpoint")
    assert added.history[0].status_code == 303
    assert len([value for name, value in fields_of(await browser.get(added.url.path)) if name == "endpoint_url"]) == 2


async def test_a_visit_alone_keeps_nothing(browser):
    for _ in range(7):
        assert (await browser.get("/new")).url.path.endswith("/details")
    await browser.press(await browser.get("/new"), "next")
    assert "Unfinished webhooks" not in (await browser.get("/")).text


async def test_a_draft_is_offered_on_the_list_and_continues_where_it_was(browser, browse):
    answer = await begun(browser)
    await browser.press(answer, "next", {"event": "whatsapp message.read"})
    page = await browser.get("/")
    assert "Unfinished webhooks" in page.text
    assert "CRM" in text_of(page)
    path = re.search(r'href="(/new/drf_\w+)"', page.text)[1]
    assert (await browser.get(path)).url.path == f"{path}/events"
    assert "Unfinished" not in (await browser.get("/?search=CRM")).text
    assert "Unfinished" not in (await browse(permissions="read").get("/")).text
    offered = await browser.get("/new")
    assert "Continue where you left off?" in offered.text
    assert (await browser.get("/new?fresh=1")).url.path.split("/")[2] != path.split("/")[2]


async def test_a_discarded_draft_is_gone(browser):
    answer = await begun(browser)
    answer = await browser.press(answer, "discard")
    assert answer.url.path == "/"
    assert "The draft is discarded." in answer.text
    assert "Unfinished" not in answer.text


async def test_at_most_five_drafts_are_kept(browser):
    for number in range(5):
        await browser.press(await browser.get("/new?fresh=1"), "next", {"name": f"Draft {number}"})
    full = await browser.get("/new?fresh=1")
    assert "the most that are kept" in text_of(full)
    path = re.search(r"/new/drf_\w+", full.text)[0]
    # A page that was opened before.
    opened = f"{path[:-3]}ZZZ/details"
    answer = await browser.post(opened, {"name": "Sixth", "endpoint_url": URL, "endpoint_id": "", "go": "next"})
    assert answer.status_code == 422
    assert "You have 5 unfinished webhooks already" in text_of(answer)
    assert {("name", "Sixth"), ("endpoint_url", URL)} <= set(fields_of(answer))
    await browser.press(await browser.get(f"{path}/details"), "discard")
    assert (await browser.press(answer, "next")).url.path.endswith("/events")


async def test_a_draft_is_forgotten_a_day_after_it_was_last_saved(browser, clock):
    answer = await begun(browser)
    path = answer.url.path
    clock.advance(23 * 3_600)
    await browser.press(answer, "next", {"event": "whatsapp message.read"})
    clock.advance(23 * 3_600)
    assert (await browser.get(path)).status_code == 200
    clock.advance(3_601)
    gone = await browser.get(path)
    assert gone.status_code == 404
    assert "A draft is kept for a day after it was last saved." in gone.text
    assert "Unfinished" not in (await browser.get("/")).text


async def test_drafts_belong_to_their_viewer(browser, browse, dispatcher):
    def by_id(request) -> Viewer:
        return Viewer(request.headers["x-tenant"], "Ada", set(Permission), id=request.headers["x-person"])

    answer = await begun(browser, name="Secret plan")
    path = answer.url.path.replace("events", "details")
    app = create_console(dispatcher, authenticate=by_id)
    for other in (browse("other"), browse("acme", app=app, **{"x-person": "u2"})):
        page = await other.get(path)
        assert ("name", "") in fields_of(page)
        await other.post(path, {"go": "discard"})
        assert "Secret plan" not in (await other.get("/")).text
    assert ("name", "Secret plan") in fields_of(await browser.get(path))


async def test_drafts_of_viewers_without_an_id_stay_in_their_browser(browser, browse, dispatcher):
    answer = await begun(browser, name="Secret plan")
    path = answer.url.path.replace("events", "details")
    namesake = browse("acme")
    assert "Secret plan" not in (await namesake.get("/")).text
    assert ("name", "") in fields_of(await namesake.get(path))
    await namesake.post(path, {"go": "discard"})
    assert ("name", "Secret plan") in fields_of(await browser.get(path))
    assert "Secret plan" in (await browser.get("/")).text


async def test_a_viewer_with_an_id_finds_drafts_in_each_browser(browse, dispatcher):
    app = create_console(dispatcher, authenticate=lambda request: Viewer("acme", "Ada", set(Permission), id="u1"))
    one, other = browse("acme", app=app), browse("acme", app=app)
    await one.press(await one.get("/new"), "next", {"name": "Secret plan", "endpoint_url": URL})
    assert "Secret plan" in (await other.get("/")).text


async def test_values_of_headers_are_kept_and_never_shown_again(browser, dispatcher):
    answer = await begun(browser, "step:headers")
    first = {"header_name": ["Authorization", "X-Gone"], "header_value": [CANARY, "x"], "header_choice": ["new", "new"]}
    answer = await browser.press(answer, "add-header", first)
    assert CANARY not in answer.text
    row = {"header_name": ["Authorization", "X-Gone", "X-New"], "header_value": ["", "", "fresh"]}
    answer = await browser.press(answer, "next", {**row, "header_choice": ["keep", "remove", "new"]})
    for step in ("headers", "review", "details"):
        assert CANARY not in (await browser.get(answer.url.path.replace("review", step))).text
    await browser.press(answer, "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert added.headers.revealed() == [("Authorization", CANARY), ("X-New", "fresh")]


async def test_a_value_that_is_typed_replaces_the_one_that_is_kept(browser, dispatcher):
    answer = await begun(browser, "step:headers")
    row = {"header_name": "Authorization", "header_value": CANARY, "header_choice": "new"}
    answer = await browser.press(answer, "add-header", row)
    answer = await browser.press(answer, "step:review", {**row, "header_value": "typed", "header_choice": "keep"})
    await browser.press(answer, "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert added.headers.revealed() == [("Authorization", "typed")]


async def test_two_tabs_on_one_draft_are_distinguished(browser):
    path = (await begun(browser)).url.path
    details = path.replace("events", "details")
    one, two = await browser.get(details), await browser.get(details)
    await browser.press(one, "next", {"name": "From one"})
    answer = await browser.press(two, "next", {"name": "From two"})
    assert answer.status_code == 422
    assert "changed in another tab" in text_of(answer)
    assert ("name", "From two") in fields_of(answer)
    assert ("name", "From one") in fields_of(await browser.get(details))
    assert (await browser.press(answer, "next")).url.path == path
    assert ("name", "From two") in fields_of(await browser.get(details))


async def test_the_name_of_a_header_is_corrected_without_typing_its_value_again(browser, dispatcher):
    answer = await begun(browser, "step:headers")
    row = {"header_name": "Bad Name", "header_value": CANARY, "header_choice": "new"}
    refused = await browser.press(answer, "next", row)
    assert (refused.status_code, ("header_name", "Bad Name") in fields_of(refused)) == (422, True)
    assert CANARY not in (await browser.get(answer.url.path)).text
    answer = await browser.press(refused, "next", {"header_name": "X-Good"})
    await browser.press(answer, "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert added.headers.revealed() == [("X-Good", CANARY)]


@pytest.mark.parametrize("often", [False, True], ids=["another tab", "too often"])
async def test_a_value_of_a_header_that_could_not_be_kept_stays_in_its_field(
    browser, browse, dispatcher, authenticate, often
):
    answer = await begun(browser, "step:headers")
    row = {"header_name": "Authorization", "header_value": CANARY, "header_choice": "new"}
    path = (await browser.press(answer, "add-header", row)).url.path
    rates = Rates(drafts=Limiter(Rate(1, 3_600)))
    limited = browse(app=create_console(dispatcher, authenticate=authenticate, rates=rates))
    limited.client.cookies = browser.client.cookies
    here = limited if often else browser
    one, two = await here.get(path), await here.get(path)
    await here.press(one, "next", {"header_value": f"{CANARY} of one"})
    refused = await here.press(await here.get(path) if often else two, "next", {"header_value": "typed in two"})
    assert (refused.status_code, CANARY in refused.text) == (422, False)
    assert ("header_value", "typed in two") in fields_of(refused)
    if not often:
        await browser.press(await browser.press(refused, "step:review"), "save")
        (added,) = dispatcher.webhooks.list(tenant="acme")
        assert added.headers.revealed() == [("Authorization", "typed in two")]


async def test_two_tabs_on_two_steps_or_with_the_same_values_do_not_disturb_each_other(browser):
    path = (await begun(browser)).url.path
    details, events = await browser.get(path.replace("events", "details")), await browser.get(path)
    assert (await browser.press(details, "next", {"name": "Changed"})).status_code == 200
    assert (await browser.press(events, "next", {"event": "whatsapp message.read"})).url.path.endswith("/payload")
    assert (await browser.press(details, "next", {"name": "Changed"})).url.path == path
    assert ("event", "whatsapp message.read") in fields_of(await browser.get(path))


async def test_a_draft_that_is_gone_can_be_saved_anew_from_its_page(browser):
    page = await begun(browser, "add-endpoint")
    await browser.post(page.url.path, {"go": "discard"})
    answer = await browser.press(page, "next", {"name": "Still here"})
    assert answer.status_code == 422
    assert ("name", "Still here") in fields_of(answer)
    assert (await browser.press(answer, "next")).url.path.endswith("/events")


async def test_a_script_saves_a_page_or_gets_the_reason(browser):
    page = await begun(browser, "step:details")
    other = await browser.get(page.url.path)
    answer = await keep(browser, page, {"name": "Kept"})
    assert answer.json() == {"version": 2}
    assert (await keep(browser, page, {"name": "Kept on"})).json() == {"version": 3}
    refused = await keep(browser, other, {"name": "Other"})
    assert refused.status_code == 409
    assert "changed in another tab" in refused.json()["sentence"]
    assert ("name", "Kept on") in fields_of(await browser.get(page.url.path))


async def test_saves_are_rate_limited(browse, dispatcher, authenticate):
    rates = Rates(drafts=Limiter(Rate(2, 600)))
    app = create_console(dispatcher, authenticate=authenticate, rates=rates)
    browser = browse(app=app)
    page = await browser.press(await browser.get("/new"), "step:details", {"name": "1", "endpoint_url": URL})
    page = await browser.press(page, "add-endpoint", {"name": "2"})
    refused = await keep(browser, page, {"name": "3"})
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
    answer = await browser.press(page, "next", {"name": "3"})
    assert "Too many saves" in text_of(answer)
    assert ("name", "3") in fields_of(answer)
    # What changes nothing is no save.
    assert (await browser.press(page, "step:events")).url.path.endswith("/events")
    assert (await browse("other", app=app).get("/new")).status_code == 200


async def test_too_much_is_refused_with_words(browser):
    page = await browser.get("/new")
    answer = await browser.press(page, "next", {"name": "CRM", "description": "x" * 600_000})
    assert "This is too long to be kept." in text_of(answer)


@pytest.mark.parametrize("typed", ["crm.example.com", "crm.example.com/hooks?a=b", "http://crm.example.com/x"])
async def test_a_url_without_https_is_completed_with_one_button(browser, typed):
    page = await browser.press(await browser.get("/new"), "next", {"name": "CRM", "endpoint_url": typed})
    assert "Add https://?" in page.text
    page = await browser.press(page, "https:0")
    assert ("endpoint_url", f"https://{typed.removeprefix('http://')}") in fields_of(page)
    assert "Add https://?" not in page.text


@pytest.mark.parametrize(
    "typed", ["", "nonsense", "ftp://crm.example.com", "https://10.0.0.1", "10.0.0.1", "a b.example"]
)
async def test_nothing_is_offered_that_would_not_do(browser, typed):
    page = await browser.press(await browser.get("/new"), "next", {"name": "CRM", "endpoint_url": typed})
    assert page.status_code == 422
    assert "Add https://?" not in page.text


async def test_pasted_lines_become_rows(browser):
    page = await begun(browser, "add-endpoint")
    pasted = "https://a.example.com/\n  b.example.com, https://c.example.com/\n"
    page = await browser.press(page, "paste:1", {"pasted": pasted})
    found = [value for name, value in fields_of(page) if name == "endpoint_url"]
    assert found == [URL, "https://a.example.com/", "b.example.com", "https://c.example.com/"]
    page = await browser.press(page, "step:headers")
    page = await browser.press(page, "add-header")
    page = await browser.press(page, "paste-headers:0", {"pasted": "X-One: 1\nX-Two: a: b\nnonsense"})
    assert [value for name, value in fields_of(page) if name == "header_name"] == ["X-One", "X-Two"]


@pytest.mark.parametrize("path", ["/new/%00", "/new/%00/details", "/new/%00/receiver"])
async def test_an_id_that_no_store_can_keep_is_not_found(browser, dispatcher, monkeypatch, path):
    def refuse(key):
        # As PostgreSQL does.
        raise StoreError(f"{key.id!r} cannot be stored")

    monkeypatch.setattr(dispatcher.settings.store, "get_state", refuse)
    assert (await browser.get(path)).status_code == 404
