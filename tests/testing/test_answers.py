"""The responses of a receiver."""

from __future__ import annotations

import pytest

from unihooks.testing import Answer
from unihooks.testing._answers import Script, render


def test_scripted_responses_come_in_order_and_then_204():
    script = Script(500)
    script.answer(Answer(301), 200)
    assert [script.take().status for _ in range(4)] == [500, 301, 200, 204]


def test_always_is_used_when_the_script_is_used_up():
    script = Script(200)
    script.always(503)
    assert [script.take().status for _ in range(3)] == [200, 503, 503]


def test_response_is_rendered_with_its_length():
    assert render(Answer(200, headers={"X-A": "b"}, body=b"ok")) == (
        b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok"
    )


def test_204_has_no_length():
    assert render(Answer(204)) == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_own_framing_is_left_alone():
    answer = Answer(200, headers={"Transfer-Encoding": "chunked"}, body=b"0\r\n\r\n")
    assert render(answer) == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"


def test_close_is_announced():
    assert b"connection: close" in render(Answer(500, close=True))


def test_unknown_status_has_an_empty_phrase():
    assert render(Answer(999)).startswith(b"HTTP/1.1 999 \r\n")


def test_raw_bytes_are_sent_as_they_are():
    assert render(Answer(raw=b"junk")) == b"junk"


@pytest.mark.parametrize(
    "answer, ends",
    [
        (Answer(), False),
        (Answer(hang=True), False),
        (Answer(close=True), True),
        (Answer(drop=True), True),
        (Answer(raw=b""), True),
    ],
)
def test_connection_ends_with_close_drop_and_raw(answer, ends):
    assert answer.ends_connection is ends
