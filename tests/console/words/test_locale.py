"""Every message has its Arabic translation, and the compiled file is up to date."""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from io import BytesIO

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from console_browser import text_of

from unihooks._model.operational_product import OPERATIONAL
from unihooks.console import create_console
from unihooks.console.words import formats, locale

FOLDER = files("unihooks.console") / "locale/ar/LC_MESSAGES"
PLACE = re.compile(r"%\(\w+\)[sd]")
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {
    "**/templates/**.html": {
        "newstyle_gettext": "true",
        "trim_blocks": "true",
        "lstrip_blocks": "true",
        "silent": "false",
        "extensions": "jinja2.ext.i18n,jinja2.ext.do",
    }
}
KEYWORDS = {"_": None, "gettext": None, "later": None, "ngettext": (1, 2), "nlater": (1, 2)}


@pytest.fixture(scope="module")
def arabic():
    return read_po(BytesIO((FOLDER / "console.po").read_bytes()), locale="ar")


def extracted():
    with as_file(files("unihooks.console")) as folder:
        found = extract_from_dir(folder, METHODS, OPTIONS, keywords=KEYWORDS)
        return {message for _, _, message, _, _ in found}


def said(catalog):
    """Return the translations in a catalog by message; a plural is listed under its singular."""
    return {
        message.id[0] if message.pluralizable else message.id: tuple(message.string)
        if message.pluralizable
        else message.string
        for message in catalog
        if message.id
    }


def test_every_message_is_translated_and_no_other(arabic):
    assert {message.id for message in arabic if message.id} == extracted()


def test_every_translation_is_complete_and_keeps_its_places(arabic):
    for message in arabic:
        if not message.id:
            continue
        strings = message.string if message.pluralizable else (message.string,)
        assert all(strings), message.id
        assert not message.fuzzy
        ids = message.id if message.pluralizable else (message.id,)
        allowed = {place for one in ids for place in PLACE.findall(one)}
        for string in strings:
            assert set(PLACE.findall(string)) <= allowed, message.id
        # A singular may say "one" in words; all others name the number.
        assert message.pluralizable or set(PLACE.findall(message.string)) == allowed, message.id


def test_compiled_messages_agree_with_their_source(arabic):
    compiled = read_mo(BytesIO((FOLDER / "console.mo").read_bytes()))
    assert said(compiled) == said(arabic)


@pytest.mark.parametrize(
    "count, text", [(1, "ثانية واحدة"), (2, "ثانيتين"), (3, "3 ثوانٍ"), (11, "11 ثانية"), (59, "59 ثانية")]
)
def test_arabic_numbers_take_their_own_forms(count, text):
    from datetime import timedelta

    locale.use("ar")
    try:
        assert formats.span(timedelta(seconds=count)) == text
    finally:
        locale.use("en")


@pytest.mark.parametrize("event", list(OPERATIONAL), ids=lambda event: event.name)
def test_operational_events_are_described_in_the_viewers_language(arabic, event):
    for text in (OPERATIONAL.title, OPERATIONAL.description, event.title, event.description):
        assert arabic.get(text).string


async def test_the_picker_offers_operational_events_in_the_viewers_language(browser, catalog, webhook):
    catalog.offer_operational_events()
    english = text_of(await browser.get(f"/webhooks/{webhook.id}/settings/events"))
    assert "Events about your webhooks themselves." in english
    assert "Endpoint disabled endpoint.disabled" in english
    for page in (f"/webhooks/{webhook.id}/settings/events?lang=ar", "/events?lang=ar"):
        arabic = text_of(await browser.get(page))
        assert "عُطّلت نقطة نهاية endpoint.disabled" in arabic
        # The host's own titles are the host's to translate.
        assert "Message received message.received" in arabic
    assert "عُطّلت نقطة نهاية" in text_of(await browser.get("/deliveries?lang=ar"))


ARABIC = {
    "WhatsApp": "واتساب",
    "Message received": "وصلت رسالة",
    "Somebody wrote to you": "كتب إليك أحد",
    "Who wrote": "من كتب",
}


async def test_titles_of_the_catalog_are_translated_by_the_host(browse, dispatcher, authenticate, webhook):
    asked = set()

    def translate(text, language):
        asked.add((text, language))
        return ARABIC.get(text, text) if language == "ar" else text

    browser = browse(app=create_console(dispatcher, authenticate=authenticate, translate=translate))
    events = text_of(await browser.get("/events?lang=ar"))
    assert all(text in events for text in ARABIC.values())
    picker = text_of(await browser.get(f"/webhooks/{webhook.id}/settings/events?lang=ar"))
    assert "وصلت رسالة" in picker
    assert "واتساب" in picker
    for path in (f"/webhooks/{webhook.id}/settings", f"/webhooks/{webhook.id}/test", "/deliveries"):
        assert "وصلت رسالة" in text_of(await browser.get(f"{path}?lang=ar"))
    assert "Message received" in text_of(await browser.get("/events?lang=en"))
    assert ("Message received", "ar") in asked
    assert all(text for text, _ in asked)


def test_translate_must_be_a_function(dispatcher, authenticate):
    with pytest.raises(TypeError, match="translate must be a function"):
        create_console(dispatcher, authenticate=authenticate, translate=ARABIC)


async def test_descriptions_of_operational_payloads_are_in_arabic(browser, catalog):
    catalog.offer_operational_events()
    assert "خطاف الويب الذي حدث له ذلك." in text_of(await browser.get("/events?lang=ar"))


@pytest.mark.parametrize(
    "value, text",
    [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (123_456, "123 kB"), (2_000_000, "2.0 MB"), (5e12, "5,000 GB")],
)
def test_sizes_have_units_that_every_language_writes_alike(value, text):
    assert formats.size(value) == text
