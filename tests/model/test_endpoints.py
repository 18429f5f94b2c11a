from __future__ import annotations

from datetime import UTC, datetime

import pytest

from unihooks import Endpoint, EndpointState, TargetPolicy
from unihooks._model.endpoints import disabled, enabled, matched_endpoints, new_endpoints, normaliser
from unihooks.exceptions import InvalidWebhook, TargetRefused

NORMALISE = normaliser(TargetPolicy())
A, B, C = (f"https://{name}.example.com/" for name in "abc")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def current(**states):
    return tuple(
        Endpoint(f"https://{name}.example.com/", id=f"ep_{name}", description=name, state=state)
        for name, state in states.items()
    )


def matched(given, existing):
    given = [item if isinstance(item, Endpoint) else Endpoint(item) for item in given]
    return matched_endpoints(given, existing, NORMALISE, 0)


def test_new_endpoints_are_enabled_and_have_ids_of_their_own():
    given = [
        Endpoint("https://A.example.com", id="ep_mine", description="text", state="disabled", disabled_at=MOMENT),
        Endpoint(B),
    ]
    first, second = new_endpoints(given, NORMALISE, 0)
    assert (first.url, first.description, first.state, first.disabled_at) == (A, "text", EndpointState.ENABLED, None)
    assert first.id not in ("ep_mine", second.id)
    assert first.id.startswith("ep_")


def test_endpoints_match_by_normalised_url():
    existing = current(a="enabled", b="disabled")
    found = matched(["https://B.example.com:443"], existing)
    assert found == (existing[1],)


def test_endpoints_match_by_id_and_take_the_new_url():
    existing = current(a="disabled")
    (found,) = matched([Endpoint(C, id="ep_a")], existing)
    assert (found.id, found.url, found.state, found.description) == ("ep_a", C, EndpointState.DISABLED, "a")


def test_a_given_state_counts_for_nothing():
    existing = current(a="disabled")
    (found,) = matched([Endpoint(A, id="ep_a", state="enabled")], existing)
    assert found.state is EndpointState.DISABLED


def test_a_given_description_counts():
    (found,) = matched([Endpoint(A, description="new")], current(a="enabled"))
    assert found.description == "new"


def test_an_id_takes_its_endpoint_away_from_the_url():
    existing = current(a="enabled")
    moved, fresh = matched([Endpoint(C, id="ep_a"), A], existing)
    assert (moved.id, moved.url) == ("ep_a", C)
    assert fresh.url == A
    assert fresh.id != "ep_a"


def test_an_unknown_id_is_refused():
    with pytest.raises(InvalidWebhook, match="ep_x"):
        matched([Endpoint(A, id="ep_x")], current(a="enabled"))


@pytest.mark.parametrize(
    "given",
    [[A, "https://A.example.com:443/"], [Endpoint(B, id="ep_a"), Endpoint(C, id="ep_a")], [Endpoint(B, id="ep_a"), B]],
)
def test_the_same_endpoint_twice_is_refused(given):
    with pytest.raises(InvalidWebhook, match="twice"):
        matched(given, current(a="enabled"))


def test_switching_off_and_on():
    (endpoint,) = current(a="enabled")
    off = disabled(endpoint, "why", MOMENT)
    assert (off.state, off.disabled_reason, off.disabled_at) == (EndpointState.DISABLED, "why", MOMENT)
    assert enabled(off) == endpoint


@pytest.mark.parametrize("url", ["http://10.0.0.1/in", "https://app.test/", "http://[::1]:8000/"])
def test_without_a_policy_any_http_url_with_a_host_will_do(url):
    assert normaliser(None)(url) == url


@pytest.mark.parametrize(
    "url", ["ftp://a/", "https://", "a.test", "https://[", "http://a b/", "https://u:p@a/", "\ud800", 5]
)
def test_without_a_policy_other_texts_are_refused(url):
    with pytest.raises(TargetRefused) as refused:
        normaliser(None)(url)
    assert refused.value.name == "url"
