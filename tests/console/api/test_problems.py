from __future__ import annotations

import pytest

from unihooks.exceptions import StoreError

from .conftest import CANARY


async def test_a_problem_has_the_members_of_rfc_9457(api):
    answer = await api.get("/webhooks/wh_nobodys")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:webhooks:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "there is no webhook with this id",
        "field": "webhook_id",
    }


@pytest.mark.parametrize("path", ["/nothing", "/", "/webhooks/", "/webhooks/a/b/c/d", "/%0A"])
async def test_a_path_that_is_not_there_is_a_problem_too(api, path):
    answer = await api.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_a_method_that_is_not_there_is_refused(api, method):
    answer = await api.ask(method, "/webhooks")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_head_gets_the_response_of_get(api):
    answer = await api.ask("HEAD", "/webhooks")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"name": NaN}', 400),
        (b'{"name": 1, "name": 2}', 400),
        (b"\xff\xfe", 400),
        (b'{"name": ' + b"9" * 5_000 + b"}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": "\\ud800", "endpoints": ["https://example.com"]}', 422),
        (b'{"\\ud800": 1, "name": "x", "endpoints": ["https://example.com"]}', 422),
        (b'{"name": "' + b"x" * 2_000_000 + b'"}', 413),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(api, body, status):
    answer = await api.ask("POST", "/webhooks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert len(answer.content) < 2_000


async def test_errors_of_the_database_are_shown_only_to_the_operator(api, dispatcher, monkeypatch, caplog):
    def fail(*_args, **_rest):
        raise StoreError(f"cannot open /srv/{CANARY}/webhooks.db")

    monkeypatch.setattr(dispatcher.settings.store, "list_webhooks", fail)
    answer = await api.get("/webhooks")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert CANARY not in answer.text
    assert CANARY in caplog.text


async def test_an_unexpected_error_shows_no_traceback(api, dispatcher, monkeypatch, caplog):
    def fail(*_args, **_rest):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(dispatcher.settings.store, "list_webhooks", fail)
    answer = await api.get("/webhooks")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:webhooks:problem:internal")
    assert CANARY not in answer.text
    assert "RuntimeError" not in answer.text
    assert CANARY in caplog.text
