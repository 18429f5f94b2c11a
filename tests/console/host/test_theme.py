"""The host's look and words: legible colours, corners, fonts, density and texts."""

from __future__ import annotations

import re
from itertools import product

import pytest
from console_browser import text_of

from unihooks.console import Theme, create_console
from unihooks.console.host.theme import _GROUNDS, _TEXTS, contrast, text_on
from unihooks.console.http.assets import _FOLDER, STYLES

ACCENTS = ["#0a7d5a", "#f5c400", "#000000", "#ffffff", "#ff0000", "#7f7f7f", "#3d55d8"]


def pairs_in(css: str, token: str) -> tuple[str, str]:
    """Return the light and the dark colour of a token."""
    value = re.search(rf"{token}:\s*(?:light-dark\(([^)]+)\)|(#\w+))", css)
    found = (value[1] or f"{value[2]},{value[2]}").replace(" ", "").replace("#fff,", "#ffffff,").split(",")
    return found[0], found[1]


@pytest.fixture
def style(dispatcher, authenticate, browse):
    async def read(**settings) -> str:
        browser = browse(app=create_console(dispatcher, authenticate=authenticate, **settings))
        return (await browser.get("/static/console.css")).text

    return read


@pytest.mark.parametrize("accent", ACCENTS)
def test_links_and_buttons_can_be_read_in_any_accent(accent):
    css = Theme().css(accent)
    for at, (link, ground) in enumerate(product(pairs_in(css, "--link"), _GROUNDS)):
        assert contrast(link, _GROUNDS[ground][at // len(_GROUNDS)]) >= 4.5
    assert contrast(text_on(accent), accent) >= 4.5


async def test_accent_may_differ_between_light_and_dark(style):
    assert "--primary:light-dark(#0a7d5a,#12996f)" in await style(accent=("#0a7d5a", "#12996f"))
    assert "--primary:#0a7d5a;" in await style(accent="#0a7d5a")


def test_bars_of_success_do_not_look_like_those_of_failure():
    for accent in ("#e4572e", "#c2185b", "#ff0000"):
        assert "--bar:var(--muted-foreground)" in Theme().css(accent)
    for accent in ("#0a7d5a", "#3d55d8", "#f5c400", "#7a4a4a"):
        assert "--bar" not in Theme().css(accent)
    assert "--bar:#123456" in Theme(colors={"chart": "#123456"}).css("#ff0000")


def test_own_colours_are_those_that_hosts_are_measured_against():
    tokens = (_FOLDER / STYLES[0]).read_text(encoding="utf-8")
    names = {"background": "--background", "card": "--card", "text": "--foreground", "muted_text": "--muted-foreground"}
    names |= {"good": "--good", "bad": "--bad", "warning": "--busy"}
    for name, pair in {**_GROUNDS, **_TEXTS}.items():
        assert pairs_in(tokens, names[name]) == pair


async def test_theme_sets_colours_corners_fonts_and_density(style, dispatcher, authenticate, browse):
    theme = Theme(
        colors={"background": ("#fafafa", "#101010"), "link": ("#1a1a8c", "#aaaaff")},
        radius=4,
        font='"Acme Sans", system-ui',
        mono_font="Menlo, monospace",
        density="compact",
    )
    css = await style(theme=theme, accent="#0a7d5a")
    for rule in ("--background:light-dark(#fafafa,#101010)", "--radius:0.25rem", '--font:"Acme Sans", system-ui'):
        assert rule in css
    assert "--link:light-dark(#1a1a8c,#aaaaff)" in css
    page = await browse(app=create_console(dispatcher, authenticate=authenticate, theme=theme)).get("/")
    assert 'class="system compact"' in page.text


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"colors": {"text": "#bbbbbb"}}, "text on background has a contrast of 1.8 in the light theme"),
        ({"colors": {"link": ("#1a1a8c", "#1a1a8c")}}, "link on background has a contrast of 1.4 in the dark theme"),
        ({"colors": {"shadow": "#000000"}}, "not 'shadow'"),
        ({"colors": {"card": "red"}}, "card must be a colour"),
        ({"colors": {"card": ("#ffffff",)}}, "card must be a colour"),
        ({"radius": 40}, "radius must be from 0 to 24"),
        ({"font": "x;}body{display:none"}, "font must be names"),
        ({"density": "dense"}, "density must be"),
    ],
)
def test_values_that_cannot_be_shown_or_read_are_refused(settings, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Theme(**settings)


async def test_texts_are_the_hosts_own_in_its_languages(dispatcher, authenticate, browse):
    texts = {"Add webhook": {"ar": "ربط نظام"}, "Webhooks": "Notifications", "Actions for %(name)s": "%(name)s: menu"}
    browser = browse(app=create_console(dispatcher, authenticate=authenticate, texts=texts, help_url="/help"))
    english, arabic = await browser.get("/new"), await browser.get("/new", headers={"accept-language": "ar"})
    assert "Notifications" in text_of(english)
    assert "Add webhook" in text_of(english)
    assert "ربط نظام" in text_of(arabic)
    assert '<a class="btn" data-variant="ghost" data-size="sm" href="/help">Help</a>' in english.text


@pytest.mark.parametrize(
    "texts, says",
    [
        ({"Add a hook": "x"}, "the console says nowhere 'Add a hook'"),
        ({"Add webhook": {"fr": "x"}}, "not 'fr'"),
        ({"Add webhook": "%(count)s"}, "has a part that"),
    ],
)
def test_texts_that_would_not_be_shown_are_refused(dispatcher, authenticate, texts, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        create_console(dispatcher, authenticate=authenticate, texts=texts)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x"])
def test_help_leads_to_a_page(dispatcher, authenticate, url):
    with pytest.raises(ValueError, match="help_url"):
        create_console(dispatcher, authenticate=authenticate, help_url=url)
