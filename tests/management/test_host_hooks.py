"""The host's hooks for changed webhooks: called at most once, after the change, and unable to break it."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from unihooks import Webhook
from unihooks._management.host_hooks import ChangeHooks, HostHooks
from unihooks.exceptions import Conflict, NotFound


def made(name="CRM"):
    return Webhook(name=name, endpoints=["https://example.com/in"])


def ended(dispatcher):
    dispatcher.settings.changes.finish(30)


def test_on_webhook_changed_gets_each_webhook_as_it_was_stored(new_dispatcher):
    told = []
    dispatcher = new_dispatcher(on_webhook_changed=told.append)
    webhooks = dispatcher.webhooks
    added = webhooks.add(made(), tenant="acme")
    renamed = webhooks.update(added.id, tenant="acme", name="Audit")
    active = webhooks.activate(added.id, tenant="acme")
    webhooks.activate(added.id, tenant="acme")
    webhooks.rotate_secret(added.id, tenant="acme")
    rotated = webhooks.get(added.id, tenant="acme")
    webhooks.delete(added.id, tenant="acme")
    ended(dispatcher)
    assert told == [added, renamed, active, rotated, rotated]
    assert [one.tenant for one in told] == ["acme"] * 5


def test_on_endpoint_disabled_is_called_for_an_endpoint_disabled_by_hand(new_dispatcher):
    told = []
    dispatcher = new_dispatcher(on_endpoint_disabled=told.append)
    webhook = dispatcher.webhooks.add(made(), tenant="acme")
    for _ in range(2):
        dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, tenant="acme", reason="it moves")
    ended(dispatcher)
    [endpoint] = told
    assert (endpoint.id, endpoint.disabled_reason) == (webhook.endpoints[0].id, "it moves")
    assert (endpoint.tenant, endpoint.webhook_id) == ("acme", webhook.id)


def test_a_worker_reports_the_webhook_whose_endpoint_it_disables(new_dispatcher, host):
    told = []
    dispatcher = new_dispatcher(on_webhook_changed=told.append)
    webhook = host.webhook()
    host.receiver.answer(410)
    host.emit()
    dispatcher.drain()
    assert told == [dispatcher.webhooks.get(webhook.id)]
    assert not told[0].endpoints[0].enabled


def test_a_failed_change_is_not_reported(new_dispatcher):
    told = []
    dispatcher = new_dispatcher(on_webhook_changed=told.append)
    webhook = dispatcher.webhooks.add(made())
    ended(dispatcher)
    told.clear()
    with pytest.raises(Conflict):
        dispatcher.webhooks.update(webhook.id, version=7, name="x")
    with pytest.raises(NotFound):
        dispatcher.webhooks.delete("wh_nobodys")
    ended(dispatcher)
    assert told == []


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_hook_that_raises_harms_nothing(new_dispatcher, caplog, kind, error):
    told = []

    def note(webhook):
        told.append(webhook.name)
        raise error

    async def note_later(webhook):
        await asyncio.sleep(0)
        note(webhook)

    dispatcher = new_dispatcher(on_webhook_changed=note if kind == "sync" else note_later)
    for name in ("a", "b"):
        dispatcher.webhooks.add(made(name))
        ended(dispatcher)
    assert told == ["a", "b"]
    assert len(dispatcher.webhooks.list()) == 2
    assert "a hook of the host raised" in caplog.text


def test_a_hook_that_hangs_holds_up_no_verb(new_dispatcher):
    going_on, told = threading.Event(), []

    def hang(webhook):
        told.append(webhook.name)
        going_on.wait(30)

    dispatcher = new_dispatcher(on_webhook_changed=hang)
    for name in ("a", "b"):
        dispatcher.webhooks.add(made(name))
    assert len(dispatcher.webhooks.list()) == 2
    dispatcher.settings.changes.finish(0.01)
    assert told in ([], ["a"])
    going_on.set()
    ended(dispatcher)
    assert told == ["a", "b"]


def test_a_hook_may_use_the_dispatcher_and_close_it(new_dispatcher):
    told = []

    def note(webhook):
        told.append(dispatcher.webhooks.get(webhook.id) == webhook)
        dispatcher.close()

    dispatcher = new_dispatcher(on_webhook_changed=note)
    dispatcher.webhooks.add(made())
    ended(dispatcher)
    assert told == [True]


def test_closing_waits_for_pending_hook_calls(new_dispatcher):
    told, begun = [], threading.Event()

    def note(webhook):
        begun.wait(30)
        told.append(webhook.name)

    with new_dispatcher(on_webhook_changed=note) as dispatcher:
        dispatcher.webhooks.add(made("a"))
        dispatcher.webhooks.add(made("b"))
        begun.set()
    assert told == ["a", "b"]


async def test_the_awaitable_verbs_tell_too(new_dispatcher):
    told = []
    dispatcher = new_dispatcher(on_webhook_changed=told.append)
    added = await dispatcher.webhooks.aadd(made())
    await asyncio.to_thread(ended, dispatcher)
    assert told == [added]


def test_hook_calls_beyond_the_limit_are_dropped_and_counted(new_dispatcher, monkeypatch, caplog):
    monkeypatch.setattr("unihooks._management.host_hooks.MOST_WAITING", 2)
    going_on, told = threading.Event(), []

    def hang(webhook):
        going_on.wait(30)
        told.append(webhook.name)

    dispatcher = new_dispatcher(on_webhook_changed=hang)
    for name in ("a", "b", "c", "d"):
        dispatcher.webhooks.add(made(name))
    assert dispatcher.stats().hook_calls_dropped == 2
    assert caplog.text.count("calls are dropped") == 1
    going_on.set()
    ended(dispatcher)
    assert told == ["a", "b"]


def test_a_forked_child_neither_waits_for_nor_repeats_what_its_parent_calls():
    going_on, told = threading.Event(), []
    read, write = os.pipe()

    def note(webhook):
        if webhook.name == "parent":
            going_on.wait(30)
        told.append(webhook.name)

    hooks = ChangeHooks(HostHooks(on_webhook_changed=note))
    hooks.changed(made("parent"))
    child = os.fork()
    if child == 0:
        hooks.finish(30)
        hooks.changed(made("child"))
        hooks.finish(30)
        os.write(write, ",".join(told).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "child"
    os.waitpid(child, 0)
    going_on.set()
    hooks.finish(30)
    assert told == ["parent"]


def test_a_value_that_is_no_function_is_refused(new_dispatcher):
    with pytest.raises(TypeError, match="on_webhook_changed must be a function"):
        new_dispatcher(on_webhook_changed="notify")
