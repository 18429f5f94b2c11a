"""The response parser: strict, independent of how the bytes are split, and in agreement with two others."""

from __future__ import annotations

import re
from itertools import pairwise

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unihooks.transport._errors import BadResponse
from unihooks.transport._parser import (
    MAX_BODY_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_INTERIM,
    MAX_PIECES,
    MAX_WIRE_BYTES,
    ResponseParser,
)

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*parts, ends=False):
    parser = ResponseParser()
    for part in parts:
        if not parser.done:
            parser.feed(part)
    if ends and not parser.done:
        parser.eof()
    return parser


def outcome(*parts):
    """Return status, headers and body if the whole response was read without an error, else None."""
    try:
        parser = parse(*parts, ends=True)
    except BadResponse:
        return None
    if parser.warning is not None or parser.fault is not None:
        return None
    return parser.status, parser.headers, parser.body


def with_h11(data):
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=256 * 1024)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, headers, body = None, [], b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status, headers = event.status_code, event.headers.raw_items()
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, [(bytes(name), bytes(value)) for name, value in headers], body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


class _Collector:
    """The result of a parser for the first response that is not an interim one."""

    def __init__(self):
        self.parser = httptools.HttpResponseParser(self)
        self.result = None
        self.on_message_begin()

    def on_message_begin(self):
        self.headers, self.body, self.whole = [], b"", False

    def on_header(self, name, value):
        # Trailers come through the same callback.
        if not self.whole:
            # It keeps trailing white space in the values of headers that it understands.
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self):
        self.whole = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        status = self.parser.get_status_code()
        if self.result is None and status >= 200:
            self.result = status, self.headers, self.body


def with_httptools(data):
    collector = _Collector()
    try:
        collector.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return collector.result
    if collector.result is None and collector.whole and is_open_ended(collector):
        return collector.parser.get_status_code(), collector.headers, collector.body
    return collector.result


def is_open_ended(collector):
    names = {name.lower() for name, _ in collector.headers}
    return not names & {b"content-length", b"transfer-encoding"} and collector.parser.get_status_code() >= 200


statuses = st.sampled_from(
    [b"200 OK", b"204 No Content", b"500", b"404 ", b"304 Same", b"410 Gone", b"099 X", b"999 X"]
)
status_lines = st.builds(
    lambda version, status, end: b"HTTP/" + version + b" " + status + end,
    st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"1.12"]),
    statuses,
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b" \r\n", b"\0\r\n"]),
)
names = st.one_of(
    st.sampled_from(
        [b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-A", b"Content-Type", b"X ", b"", b" X"]
    ),
    st.binary(min_size=1, max_size=4),
)
values = st.one_of(
    st.sampled_from(
        [b"5", b"0", b"5, 5", b"+5", b" 5 ", b"chunked", b"Chunked", b"gzip, chunked", b"close", b"keep-alive"]
    ),
    st.binary(max_size=8),
)
fields = st.builds(
    lambda name, colon, value, end: name + colon + value + end,
    names,
    st.sampled_from([b": ", b": ", b":", b" :", b":\t"]),
    values,
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n ", b" \r\n"]),
)
chunks = st.lists(
    st.sampled_from(
        [
            b"5\r\nhello\r\n",
            b"5;a=b\r\nhello\r\n",
            b'1;a="b;c"\r\nx\r\n',
            b"A\r\n0123456789\r\n",
            b"5\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\r\nhello",
            b"x\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
            b"X: y\r\n",
            b"\r\n",
            b"5;\r\nhello\r\n",
        ]
    ),
    max_size=5,
).map(b"".join)
bodies = st.one_of(st.sampled_from([b"", b"hello", b"hello world"]), chunks, st.binary(max_size=20))
answers = st.builds(
    lambda interim, line, lines, body: interim + line + b"".join(lines) + b"\r\n" + body,
    st.sampled_from([b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"]),
    status_lines,
    st.lists(fields, max_size=4),
    bodies,
)
framed = st.builds(
    lambda framing, body: OK + framing + b"\r\n" + body,
    st.sampled_from([b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n"]),
    bodies,
)
mutated = st.builds(
    lambda data, at, junk: data[: at % (len(data) + 1)] + junk + data[at % (len(data) + 1) :],
    st.one_of(answers, framed),
    st.integers(0, 500),
    st.one_of(st.just(b""), st.binary(max_size=2), st.sampled_from([b"\r", b"\n", b"\0", b"\t", b" ", b":"])),
)


def split(data, cuts):
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def is_contested(data, result):
    # RFC 9110: 204 and 304 have no body whatever their headers announce; httptools reads on.
    return result[0] in {204, 304}


@settings(max_examples=500, deadline=None)
@given(data=mutated)
@example(data=OK + b"A: b\nContent-Length: 0\r\n\r\n")
@example(data=OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
@example(data=OK + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")
def test_accepted_responses_are_read_alike_by_two_other_parsers(data):
    ours = outcome(data)
    if ours is None:
        return
    status, headers, body = ours
    # h11 returns this value in lower case.
    lowered = [(name, value.lower() if name.lower() == b"transfer-encoding" else value) for name, value in headers]
    assert with_h11(data) == (status, lowered, body)
    if not is_contested(data, ours):
        assert with_httptools(data) == ours


@settings(max_examples=500, deadline=None)
@given(data=mutated)
def test_responses_that_two_other_parsers_refuse_are_refused(data):
    if with_h11(data) is None and with_httptools(data) is None:
        assert outcome(data) is None


@settings(max_examples=300, deadline=None)
@given(data=mutated, cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_result_does_not_depend_on_how_the_bytes_are_cut(data, cuts):
    assert outcome(*split(data, cuts)) == outcome(data)
    assert outcome(*split(data, range(len(data)))) == outcome(data)


@given(data=st.binary(max_size=200))
def test_junk_never_raises_anything_else(data):
    outcome(data)
    outcome(OK + data)
    outcome(OK + b"Transfer-Encoding: chunked\r\n\r\n" + data)


@pytest.mark.parametrize(
    "head,reason",
    [
        (b"HTTP/1.1 999 No\r\n\r\n", "impossible status 999"),
        (b"HTTP/1.1 099 No\r\n\r\n", "impossible status 099"),
        (b"HTTP/1.1 99 No\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 No\r\n\r\n", "status line"),
        (b"HTTP/1.1 200OK\r\n\r\n", "status line"),
        (b"HTTP/1.1\r\n 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 101 Up\r\n\r\n", "switches protocols"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "status line"),
        (b"http/1.1 200 OK\r\n\r\n", "status line"),
        (b"SSH-2.0-x\r\n", "status line"),
        (b"\r\n\r\nSSH-2.0-x\r\n", "status line"),
        (OK + b"X: " + b"y" * MAX_WIRE_BYTES + b"\r\n\r\n", "too large"),
        (b"HTTP/1.1 103 Hint\r\n\r\n" * (MAX_INTERIM + 1), "interim"),
        (b"HTTP/1.1 103 Hint\r\nContent-Length: 5\r\n\r\nhello", "status line"),
    ],
)
def test_refusal_names_the_fault(head, reason):
    with pytest.raises(BadResponse, match=reason):
        parse(head)


HELLO = b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "data,fault",
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "does not end in CR LF"),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\r\nhello", "does not end in CR LF"),
        (b"HTTP/1.1 200 OK\r\nServer: x\nContent-Length: 5\r\n\r\nhello", "does not end in CR LF"),
        (b"HTTP/1.1 200 OK\r\r\n" + HELLO, "status line"),
        (b"HTTP/1.1  200 OK\r\n" + HELLO, "status line"),
        (b"HTTP/1.1\t200 OK\r\n" + HELLO, "status line"),
        (b"HTTP/1.1 200 O\0K\r\n" + HELLO, "status line"),
        (b"HTTP/1.2 200 OK\r\n" + HELLO, "status line"),
        (b"\r\n" + OK + HELLO, "status line"),
        (OK + b" folded: at once\r\n" + HELLO, "malformed header line"),
        (OK + b"A: b\r\n c\r\n" + HELLO, "malformed header line"),
        (OK + b"A: b\r\n\tc\r\n" + HELLO, "malformed header line"),
        (OK + b"A: b\0\r\n" + HELLO, "malformed header line"),
        (OK + b"A: b\rc\r\n" + HELLO, "malformed header line"),
        (OK + b": b\r\n" + HELLO, "malformed header line"),
        (OK + b"A\r\n" + HELLO, "malformed header line"),
        (OK + b"A b: c\r\n" + HELLO, "malformed header line"),
        (OK + b"X-Gr\xf6\xdfe: 1\r\n" + HELLO, "malformed header line"),
        (OK + b"Content-Length : 5\r\n\r\nhello", "malformed header line"),
        (OK + b"Content-Length: 5\r\n" + HELLO, "Content-Length"),
        (OK + b"Content-Length: 9\r\n" + HELLO, "Content-Length"),
        (OK + b"Content-Length: 5, 5\r\n\r\nhello", "Content-Length"),
        (OK + b"Content-Length:\r\n\r\nhello", "Content-Length"),
        (OK + b"Content-Length: -1\r\n\r\nhello", "Content-Length"),
        (OK + b"Content-Length: 0x5\r\n\r\nhello", "Content-Length"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello", "Content-Length"),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED, "beside Transfer-Encoding"),
        (OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + CHUNKED, "other than chunked"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED, "other than chunked"),
        (OK + b"Transfer-Encoding: identity\r\n" + HELLO, "beside Transfer-Encoding"),
        (OK + b"X: y\r\n" * MAX_FIELDS + HELLO, "more than 128 headers"),
        (OK + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n" + HELLO, "larger than 32 KiB"),
        (b"HTTP/1.1 103 Hint\nLink\n\n" + OK + HELLO, "malformed header line"),
    ],
)
def test_fault_beside_the_status_is_noted_and_closes_the_connection(data, fault):
    parser = parse(data)
    assert (parser.status, parser.body, parser.warning) == (200, b"hello", None)
    assert (parser.done, parser.keep) == (True, False)
    assert re.search(fault, parser.fault)


@settings(max_examples=300, deadline=None)
@given(data=mutated, cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_status_and_headers_of_a_faulty_response_do_not_depend_on_how_the_bytes_are_split(data, cuts):
    def seen(*parts):
        try:
            parser = parse(*parts, ends=True)
        except BadResponse as error:
            return str(error)
        return parser.status, parser.headers, parser.fault

    assert seen(*split(data, cuts)) == seen(data)
    assert seen(*split(data, range(len(data)))) == seen(data)


def test_header_with_a_fault_is_read_as_most_clients_do():
    parser = parse(OK + b"A: b\r\n  c\0d\r\nX-B : 1\r\nnonsense\r\n: none\r\nRetry-After: 9\n\r\n", ends=True)
    assert parser.headers == [(b"A", b"b c d"), (b"X-B", b"1"), (b"Retry-After", b"9")]


def test_no_response_and_half_a_response_are_told_apart():
    with pytest.raises(BadResponse, match="before the response arrived"):
        parse(ends=True)
    with pytest.raises(BadResponse, match="before the headers were complete"):
        parse(b"HTTP/1.1 2", ends=True)


@pytest.mark.parametrize(
    "data,keep",
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", True),
        (OK + b"Content-Length: 5\r\n\r\nhello!", False),
        (OK + b"Content-Length: 5\r\nConnection: Close\r\n\r\nhello", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n!", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", True),
    ],
)
def test_connection_is_kept_only_after_exactly_one_complete_response(data, keep):
    parser = parse(data)
    assert parser.done
    assert parser.warning is None
    assert parser.keep is keep


@pytest.mark.parametrize(
    "header,seconds",
    [
        (b"Keep-Alive: timeout=5", 5),
        (b"keep-alive: max=9, TIMEOUT=75", 75),
        (b"Keep-Alive: timeout=soon", None),
        (b"Keep-Alive: timeout=99999999999999999999", None),
        (b"Connection: keep-alive", None),
    ],
)
def test_time_that_the_peer_waits_is_read(header, seconds):
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 204 No Content\r\n" + header + b"\r\n\r\n")
    assert (parser.done, parser.idle_seconds) == (True, seconds)


def test_response_to_head_has_no_body():
    parser = ResponseParser(without_body=True)
    parser.feed(OK + b"Content-Length: 5\r\n\r\n")
    assert parser.done
    assert parser.keep
    assert parser.body == b""


@pytest.mark.parametrize("head", [b"Content-Length: 900000\r\n\r\n", b"\r\n", b"Content-Length: 16385\r\n\r\n"])
def test_reading_ends_when_as_much_is_kept_as_is_shown(head):
    parser = parse(OK + head + b"x" * 16_385)
    assert (parser.done, parser.keep, len(parser.body)) == (True, False, MAX_BODY_BYTES)
    assert parser.warning == "the response was longer than 16 KiB and was cut"


@pytest.mark.parametrize("head", [b"Content-Length: 16384\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4000\r\n"])
def test_body_that_is_kept_whole_is_read_to_its_end(head):
    parser = parse(OK + head + b"x" * 16_384 + b"\r\n0\r\n\r\n" * head.startswith(b"T"))
    assert (parser.done, parser.keep, parser.warning, len(parser.body)) == (True, True, None, MAX_BODY_BYTES)


@pytest.mark.parametrize("piece", [b"1\r\nx\r\n", b"1;a=b\r\nx\r\n"])
@pytest.mark.parametrize("together", [1, 3, 30_000])
def test_reading_ends_after_256_chunks(piece, together):
    parser = parse(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[piece * together] * (30_000 // together))
    assert (parser.done, parser.keep) == (True, False)
    assert len(parser.body) <= MAX_PIECES < parser.pieces < MAX_PIECES + 4
    assert parser.warning == "the response came in more than 256 pieces and was cut"


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + b"x" * 9000,
        b"Content-Length: 9000\r\n\r\n" + b"x" * 9000,
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 30_000,
    ],
)
def test_bytes_that_come_singly_and_trailers_count_as_chunks(data):
    parser = parse(OK + data[:40], *[data[at : at + 1] for at in range(40, 9000)])
    assert parser.warning == "the response came in more than 256 pieces and was cut"


def test_response_in_256_chunks_is_complete():
    parser = parse(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 254 + b"0\r\n\r\n")
    assert (parser.done, parser.keep, parser.warning) == (True, True, None)


def test_framing_counts_as_bytes_and_is_cut():
    extension = b"1;a=" + b"x" * 4000 + b"\r\ny\r\n"
    parser = parse(OK + b"Transfer-Encoding: chunked\r\n\r\n" + extension * 100)
    assert (parser.done, parser.keep, parser.received) == (True, False, MAX_WIRE_BYTES)
    assert parser.warning == "the response was longer than 128 KiB and was cut"


@pytest.mark.parametrize(
    "data",
    [OK + b"X:" + b" " * 32_000 + b"\0\r\n\r\n", OK + b" " * 32_000 + b"X\r\n\r\n", OK + b"a\n" * 16_000 + b"\n"],
)
def test_line_of_spaces_takes_no_quadratic_time(data):
    assert parse(data, ends=True).fault


@pytest.mark.parametrize("data", [OK + b"X: " + b"y" * 120_000 + b"\r\n\r\n", b"\r\n" * 60_000 + OK + b"\r\n"])
def test_head_in_single_bytes_takes_no_quadratic_time(data):
    parser = parse(*[data[at : at + 1] for at in range(len(data))])
    assert (parser.status, parser.pieces) == (200, len(data))
