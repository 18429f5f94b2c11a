"""Named statements mean the same in both databases, whatever their rows and parameters are."""

from __future__ import annotations

import pytest

from unihooks.exceptions import StoreError
from unihooks.stores.sql.deliveries import original_id, with_spans
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Call, StoreClock

TOKEN = 7


@pytest.fixture
def write(store):
    store.migrate()
    return store._database.write


@pytest.fixture
def read(store):
    store.migrate()
    return store._database.read


def endpoint(number, webhook="whk_1", text="a description"):
    return f"end_{number:05}", "acme", webhook, number, f"https://{number}.example/", text, "enabled", None, None


def endpoints(tx, *webhooks):
    return [tuple(row) for row in tx.fetch("endpoints_of_webhooks", webhooks=webhooks or ["whk_1"])]


def deliveries(count, *, tenant="acme", state="pending"):
    return [_delivery(number, f"{tenant}_{number:05}", tenant, state) for number in range(count)]


def _delivery(number, name, tenant, state):
    what = (tenant, f"dlv_{name}", f"evt_{name}", "whk_1", "end_1", "shop", "paid", None, None, None)
    return (*what, state, number, TOKEN, None, number)


def keys(rows):
    return [(*row[:2], TOKEN) for row in rows]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 63, 64, 65, 256, 257, 700])
def test_any_number_of_rows_goes_in_and_comes_out(write, read, count):
    rows = [endpoint(number) for number in range(count)]
    assert write(lambda tx: tx.run("add_endpoints", rows)) == count
    found = read(endpoints)
    assert [row[2] for row in found] == [row[0] for row in rows]
    assert found[-1] == ("whk_1", rows[-1][4], rows[-1][0], "a description", "enabled", None, None)


def test_rows_that_a_statement_returns_come_from_all_of_them(write):
    rows = deliveries(700)
    assert {row[0] for row in write(lambda tx: tx.fetch("add_deliveries", rows))} == {row[1] for row in rows}
    found = write(lambda tx: tx.fetch("leased_deliveries", keys([*rows, *deliveries(5, tenant="no")])))
    assert sorted(row[0] for row in found) == [row[1] for row in rows]


@pytest.mark.parametrize(
    "text", ["", "it's", '"quoted"', "back\\slash", "é 🎉", ":name %s %(name)s", "\x01\n\u2028", "{}"]
)
def test_any_text_comes_back(write, read, text):
    write(lambda tx: tx.run("add_endpoints", [endpoint(1, text=text)]))
    assert read(endpoints)[0][3] == text


def test_any_bytes_come_back_each_with_its_row(write, read):
    values = [b"", b"\0", bytes(range(256)), b"\xff" * 1_000, b"%s:x", b"", b"a"]
    rows = [("whk_1", position, position, None, value) for position, value in enumerate(values)]
    assert write(lambda tx: tx.run("add_secrets", rows)) == len(values)
    found = read(lambda tx: tx.fetch("secrets_of_webhooks", webhooks=["whk_1", "whk_2"]))
    assert [(row[1], bytes(row[3])) for row in found] == list(enumerate(values))
    assert read(lambda tx: tx.fetch("secrets_of_webhooks", webhooks=["whk_2"])) == []


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_a_parameter_may_be_a_set_of_any_kind(write, read, kind):
    rows = [endpoint(number, webhook=f"whk_{number}") for number in range(3)]
    write(lambda tx: tx.run("add_endpoints", rows))
    for webhooks in (["whk_0", "whk_2"], ["whk_1"], []):
        given = kind(webhooks)
        found = read(lambda tx: tx.fetch("endpoints_of_webhooks", webhooks=given))  # noqa: B023 - it runs at once
        assert [row[0] for row in found] == webhooks


def test_without_rows_nothing_is_done(write):
    def work(tx):
        assert tx.run("add_endpoints", []) == 0
        assert tx.fetch("leased_deliveries", []) == []
        [left_out, done] = tx.pipeline(Call("add_endpoints", []), Call("add_endpoints", [endpoint(1)]))
        assert (left_out.rows, left_out.changed, done.changed) == ([], 0, 1)

    write(work)


def test_a_step_that_only_the_other_database_needs_does_nothing(write):
    def work(tx):
        # In SQLite both are without SQL; PostgreSQL finds nothing to lock.
        for name, values in (("lock_lanes", {"endpoints": ["end_none"]}), ("config_versions", {"tenants": ["no"]})):
            assert tx.fetch(name, **values) == []
            assert tx.run(name, **values) == 0
            [outcome] = tx.pipeline(Call(name, values=values))
            assert (outcome.rows, outcome.changed) == ([], 0)

    write(work)


def test_each_call_of_a_pipeline_has_its_outcome(write):
    def work(tx):
        return tx.pipeline(
            Call("add_deliveries", deliveries(3)),
            Call("lock_lanes", values={"endpoints": ["end_none"]}),
            Call("leased_deliveries", [("acme", "no such delivery", TOKEN)]),
            Call("add_deliveries", deliveries(4)),
            Call("leased_deliveries", keys(deliveries(2))),
            commit=True,
        )

    added, locked, none, again, there = write(work)
    assert (added.changed, len(added.rows)) == (3, 3)
    assert (locked.changed, locked.rows, none.rows) == (0, [], [])
    assert (again.changed, [row[0] for row in again.rows]) == (1, ["dlv_acme_00003"])
    assert [row[0] for row in there.rows] == ["dlv_acme_00000", "dlv_acme_00001"]


def test_outcomes_of_the_opening_come_with_the_transaction(store, write):
    write(lambda tx: tx.run("add_deliveries", deliveries(2)))
    opening = [
        Call("lock_lanes", values={"endpoints": ["end_none"]}),
        Call("leased_deliveries", keys(deliveries(2))),
    ]
    outcomes = store._database.write(lambda tx: list(tx.opening), opening)
    assert [row[0] for row in outcomes[-1].rows] == ["dlv_acme_00000", "dlv_acme_00001"]


def test_run_tells_how_many_rows_changed(write):
    rows = [(row[0], original_id(row[2], row[4]), *row[2:]) for row in deliveries(5)]
    write(lambda tx: tx.run("add_deliveries", [*rows, *deliveries(2, tenant="other")]))
    events = with_spans(row[:3:2] for row in deliveries(3))
    all_ids = {"lowest": "dlv_", "highest": "dlv_~"}
    assert write(lambda tx: tx.run("prune_deliveries", events, **all_ids)) == 3
    assert write(lambda tx: tx.run("prune_deliveries", events, **all_ids)) == 0


def test_a_selection_is_made_of_conditions_an_order_and_a_limit(write, read):
    write(lambda tx: tx.run("add_deliveries", [*deliveries(9), *deliveries(2, tenant="other", state="failed")]))
    selection = Selection(values={"tenant": "acme"}, order="d.id DESC", limit=3)
    selection.where("d.state = :state", state="pending")
    selection.where("d.id < :last", last="dlv_acme_00008")
    selection.where("d.product = :product", product=None)
    found = read(lambda tx: tx.select("delivery_ids", selection))
    assert [row[0] for row in found] == ["dlv_acme_00007", "dlv_acme_00006", "dlv_acme_00005"]
    assert read(lambda tx: tx.count("delivery_ids", selection)) == 3
    selection.limit = None
    assert read(lambda tx: tx.count("delivery_ids", selection)) == 8
    selection.where("d.endpoint_id = :endpoint_id", endpoint_id="end_none")
    assert read(lambda tx: tx.select("delivery_ids", selection)) == []
    assert read(lambda tx: tx.count("delivery_ids", selection)) == 0


def test_a_condition_may_name_another_statement(write, read):
    write(lambda tx: tx.run("add_deliveries", deliveries(3)))
    write(lambda tx: tx.run("add_endpoints", [(f"end_{n}", *endpoint(n)[1:]) for n in (1, 2)]))
    selection = Selection(["d.endpoint_id IN ({endpoints_of_webhook})"], {"tenant": "acme", "webhook_id": "whk_1"})
    assert read(lambda tx: tx.count("delivery_ids", selection)) == 3
    selection.values["webhook_id"] = "whk_none"
    assert read(lambda tx: tx.count("delivery_ids", selection)) == 0


def test_a_transaction_that_raises_leaves_nothing(write, read):
    def work(tx):
        tx.run("add_endpoints", [endpoint(1)])
        raise LookupError

    with pytest.raises(LookupError):
        write(work)
    assert read(endpoints) == []


def test_errors_of_the_driver_are_known_and_become_store_errors(write, read):
    caught = []

    def work(tx):
        try:
            tx.run("add_endpoints", [endpoint(1), endpoint(1)])
        except tx.errors as error:
            caught.append(error)
            raise

    with pytest.raises(StoreError):
        write(work)
    assert caught
    assert read(endpoints) == []


def test_a_transaction_knows_when_it_began_and_what_time_it_is(write):
    began, later = write(lambda tx: (tx.now, tx.time()))
    assert 0 <= later - began < 10_000_000


def test_a_time_pinned_within_another_ends_first():
    clock = StoreClock()
    with clock.pinned(1):
        with clock.pinned(2):
            assert clock.now() == 2
        assert clock.now() == 1
    assert clock.now() > 2
