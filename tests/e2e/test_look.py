"""The visible result: the host's colours in their places, one base line, phones, and loading states."""

from __future__ import annotations

import pytest
from attrs import evolve
from console_pages import PHONE, browsing
from console_site import serving, viewer_from_cookie

from unihooks import Webhook
from unihooks.console import Theme, create_console

ACCENT = {"light": (10, 125, 90), "dark": (18, 153, 111)}


def rgb(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip("rgb()").split(","))


def style(page, selector: str, name: str, pseudo: str | None = None) -> str:
    script = "([one, name, pseudo]) => getComputedStyle(document.querySelector(one), pseudo)[name]"
    return page.evaluate(script, [selector, name, pseudo])


@pytest.fixture
def webhook(site) -> Webhook:
    """Give a webhook with three deliveries of one subject."""
    webhook = site.add_webhook()
    site.emit(3, subject="chat/7")
    return webhook


@pytest.fixture
def branded(site, chromium):
    """Open pages of a console with the host's look."""
    theme = Theme(radius=2, density="compact", colors={"card": ("#fffdf5", "#1b1a17")})
    console = create_console(
        site.dispatcher, authenticate=viewer_from_cookie, accent=("#0a7d5a", "#12996f"), theme=theme, help_url="/help"
    )
    with serving(console) as url, browsing(chromium, evolve(site, url=url)) as browse:

        def open_page(path: str, **options):
            page = browse(reduced_motion="reduce", **options)
            page.goto(url + path)
            return page

        yield open_page


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


@pytest.mark.parametrize("locale, folded, open_", [("en", "-45deg", "45deg"), ("ar", "45deg", "-45deg")])
def test_what_is_folded_has_an_arrow_that_points_down_when_it_is_open(site, browse, webhook, locale, folded, open_):
    page = browse(locale=locale)
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    summary = page.locator("details.as-table > summary")
    points = "wanted => getComputedStyle(document.querySelector('.as-table > summary'), '::before').rotate === wanted"
    page.wait_for_function(points, arg=folded)
    summary.click()
    page.wait_for_function(points, arg=open_)
