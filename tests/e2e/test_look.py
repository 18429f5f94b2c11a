"""The visible result: the host's colours in their places, one base line, phones, and loading states."""

from __future__ import annotations

import socket
import threading

import pytest

from unihooks import EventSubscription, Webhook
from unihooks.console import Theme, create_console

from .conftest import EXAMPLE, viewer_from_cookie

PHONE = {"width": 390, "height": 800}
ACCENT = {"light": (10, 125, 90), "dark": (18, 153, 111)}


def rgb(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip("rgb()").split(","))


def style(page, selector: str, name: str, pseudo: str | None = None) -> str:
    script = "([one, name, pseudo]) => getComputedStyle(document.querySelector(one), pseudo)[name]"
    return page.evaluate(script, [selector, name, pseudo])


@pytest.fixture
def webhook(site) -> Webhook:
    made = site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "*")],
            status="active",
        ),
        tenant="acme",
    )
    for _ in range(3):
        site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme", subject="chat/7")
    site.dispatcher.drain()
    return made


@pytest.fixture
def branded(site, chromium):
    """Open pages of a console with the host's look."""
    import uvicorn

    theme = Theme(radius=2, density="compact", colors={"card": ("#fffdf5", "#1b1a17")})
    console = create_console(
        site.dispatcher, authenticate=viewer_from_cookie, accent=("#0a7d5a", "#12996f"), theme=theme, help_url="/help"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(console, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        contexts = []

        def open_page(path: str, **options):
            contexts.append(chromium.new_context(reduced_motion="reduce", **options))
            contexts[-1].add_cookies([{"name": "tenant", "value": "acme", "url": url}])
            page = contexts[-1].new_page()
            page.goto(url + path)
            return page

        yield open_page
        for context in contexts:
            context.close()
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accent_is_on_buttons_links_switches_focus_and_charts(branded, webhook, scheme):
    page = branded("/", color_scheme=scheme)
    assert rgb(style(page, ".title .btn", "backgroundColor")) == ACCENT[scheme]
    assert style(page, ".card", "borderTopLeftRadius") == "4px"
    page = branded(f"/webhooks/{webhook.id}", color_scheme=scheme)
    link = style(page, "main a.text", "color")
    assert rgb(link) != rgb(style(page, "main", "color"))
    # Links are the accent, made darker or lighter to be read; focus and charts have their colour.
    assert rgb(link)[1] == max(rgb(link))
    page.locator("main a.text").first.focus()
    assert style(page, "main a.text", "outlineColor") == link
    page = branded("/new", color_scheme=scheme)
    page.locator("input[role=switch]").first.check()
    assert rgb(style(page, "input[role=switch]:checked", "backgroundColor")) == ACCENT[scheme]


def test_card_stands_out_from_the_page_in_the_dark(site, browse, webhook):
    page = browse(color_scheme="dark")
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    card, ground = (sum(rgb(style(page, one, "backgroundColor"))) for one in (".card", "body"))
    border = sum(rgb(style(page, ".card", "borderTopColor")))
    assert ground < card < border


def test_without_javascript_the_theme_of_the_system_is_followed(site, browse, webhook):
    page = browse(color_scheme="dark", java_script_enabled=False)
    page.goto(f"{site.url}/")
    shown = page.screenshot(clip={"x": 2, "y": 300, "width": 4, "height": 4})
    page.emulate_media(color_scheme="light")
    assert page.screenshot(clip={"x": 2, "y": 300, "width": 4, "height": 4}) != shown
    # What JavaScript does by itself has a button without it.
    assert page.locator(".no-js").first.is_visible()


BASELINES = """(row) => [...row.querySelectorAll("td")].map((cell) => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT, (one) =>
    one.textContent.trim() && one.parentElement.checkVisibility() && !one.parentElement.closest(".sr-only")
      ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP).nextNode();
  if (!text) return null;
  const mark = document.createElement("span");
  mark.style.cssText = "display: inline-block; width: 0; height: 0; vertical-align: baseline";
  const line = document.createElement("span");
  text.replaceWith(line);
  line.append(mark, text);
  return mark.getBoundingClientRect().bottom;
}).filter((one) => one !== null)"""


@pytest.mark.parametrize("path", ["/", "/deliveries"])
def test_text_and_code_of_a_row_share_their_ground_line(site, browse, webhook, path):
    page = browse()
    page.goto(site.url + path)
    grounds = page.locator("tbody tr").first.evaluate(BASELINES)
    assert len(grounds) >= 4
    assert max(grounds) - min(grounds) < 1.5


def test_fields_of_a_phone_are_not_zoomed_and_filters_are_a_sheet_without_javascript_too(site, browse, webhook):
    page = browse(viewport=PHONE, java_script_enabled=False)
    page.goto(f"{site.url}/deliveries")
    assert not page.locator("select[name=state]").is_visible()
    page.locator(".sheet-opener").click()
    assert page.locator("select[name=state]").is_visible()
    for field in page.locator(".sheet .input, .sheet .select").all():
        assert field.evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") >= 16
    page.go_back()
    assert not page.locator("select[name=state]").is_visible()


def test_rows_of_a_phone_take_few_lines(site, browse, webhook):
    page = browse(viewport=PHONE)
    page.goto(f"{site.url}/deliveries")
    assert max(row.bounding_box()["height"] for row in page.locator("tbody tr").all()) < 110


def test_step_bar_follows_the_step(site, browse):
    page = browse()
    page.goto(f"{site.url}/new")
    assert page.locator(".steps [aria-current=step]").inner_text().endswith("Details")
    page.fill("#name", "CRM sync")
    page.fill("[name=endpoint_url]", site.receiver.url_for("/hooks", host="crm.example.com"))
    page.locator(".bar button[value=next]").click()
    page.locator(".steps [aria-current=step]", has_text="Events").wait_for()
    assert page.locator(".steps .ok").count() == 1


def test_line_on_top_and_the_busy_button_show_that_something_is_under_way(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/test")
    waiting = []
    page.route("**/test", lambda route: waiting.append(route) if route.request.method == "POST" else route.continue_())
    page.locator("#send .btn").first.click()
    page.locator("#progress:not([hidden])").wait_for()
    page.locator("#send .btn[aria-busy=true]").wait_for()
    waiting[0].continue_()
    page.locator("#progress").wait_for(state="hidden")
    assert page.locator("[aria-busy=true]").count() == 0


@pytest.mark.parametrize("locale, folded, open_", [("en", "-45deg", "45deg"), ("ar", "45deg", "-45deg")])
def test_what_is_folded_has_an_arrow_that_points_down_when_it_is_open(site, browse, webhook, locale, folded, open_):
    page = browse(locale=locale)
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    summary = page.locator("details.as-table > summary")
    points = "wanted => getComputedStyle(document.querySelector('.as-table > summary'), '::before').rotate === wanted"
    page.wait_for_function(points, arg=folded)
    summary.click()
    page.wait_for_function(points, arg=open_)
