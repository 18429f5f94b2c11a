from __future__ import annotations

import pytest

from unihooks import PayloadMapping
from unihooks._message.rendering import Rendered, Rendering, RenderingFailed

MAPPING = PayloadMapping(remove=["sender", "a[*].b"], rename={"text": "body", "x['y z']": "ü"})


def test_a_webhook_without_a_mapping_gets_the_events_own_bytes():
    assert Rendering.of(PayloadMapping()) is None
    assert Rendering.of(MAPPING) == Rendering(MAPPING)


def test_a_rendering_applies_the_mapping_and_encodes_as_an_emit_does():
    body = '{"sender":1,"text":"grüße","body":0}'.encode()
    rendered = Rendering(PayloadMapping(remove=["sender"], rename={"text": "body"})).render(body)
    assert rendered.body == '{"body":"grüße"}'.encode()
    assert rendered.warnings == ("renaming 'text' to 'body' replaced a property of that name",)


def test_a_stored_rendering_makes_the_same_bytes():
    rendering = Rendering(MAPPING)
    stored = Rendering.from_definition(rendering.definition)
    body = b'{"a":[{"b":1,"c":2}],"x":{"y z":1},"sender":0}'
    assert stored.render(body) == rendering.render(body) == Rendered('{"a":[{"c":2}],"x":{"ü":1}}'.encode())
    assert (stored.id, stored.definition) == (rendering.id, rendering.definition)


def test_its_id_is_short_text_that_stays_as_it_is():
    # The hash names rows in databases, and a later release must find them.
    assert Rendering(PayloadMapping(rename={"a": "b"})).id == "32dc0170f47a37ad665b6bc98c21f699"


def test_renderings_that_do_the_same_have_one_id():
    one = Rendering(PayloadMapping(remove=["a", "b"], rename={"c": "d", "e": "f"}))
    other = Rendering(PayloadMapping(remove=["b", "a", "b"], rename={"e": "f", "c": "d"}))
    assert one.id == other.id


@pytest.mark.parametrize(
    "mapping",
    [
        PayloadMapping(remove=["a"]),
        PayloadMapping(rename={"a": "b"}),
        PayloadMapping(rename={"a": "c"}),
        PayloadMapping(remove=["a"], rename={"a": "b"}),
    ],
)
def test_renderings_that_differ_have_different_ids(mapping):
    assert Rendering(mapping).id != Rendering(PayloadMapping(remove=["b"])).id
    assert Rendering(mapping).definition == Rendering.from_definition(Rendering(mapping).definition).definition


@pytest.mark.parametrize(
    "body, rename, reason",
    [
        (b'{"items":[' + b'{"a":1},' * 9_999 + b'{"a":1}]}', {"items[*].a": "x" * 100}, "256 KiB"),
        (b"no JSON", {"a": "b"}, "not JSON"),
    ],
)
def test_a_failed_rendering_says_why(body, rename, reason):
    with pytest.raises(RenderingFailed) as failed:
        Rendering(PayloadMapping(rename=rename)).render(body)
    assert failed.value.reason.startswith("the payload mapping failed: ")
    assert reason in failed.value.reason
