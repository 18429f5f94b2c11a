"""Keep deliveries of one subject to an endpoint in order: each waits in its row until the one before it has ended.

The pending deliveries of an ordered webhook are one chain for each endpoint and subject, in the order of `sequence`.
The first of a chain is due like any other delivery, the others are not; the transaction that ends one makes the next
one due. Transactions that add to a chain or take from it hold its lock, since they would not see each other otherwise.
The lock is taken after rows of new events, and before those of deliveries and lanes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field

from unihooks._model.log import DeliveryState
from unihooks.abc import Result
from unihooks.stores.sql.claiming import lower_next_due
from unihooks.stores.sql.deliveries import original_id
from unihooks.stores.sql.matching import Chosen
from unihooks.stores.sql.transaction import Call, Row, Transaction

NEVER = 2**62

# Tenant, endpoint and subject.
Chain = tuple[str, str, str]


def locking(chains: Iterable[Chain]) -> Call:
    """Return the call that locks chains until the transaction ends; without any, it does nothing."""
    return Call("lock_chains", sorted(set(chains)))


def freeing(chains: Iterable[Chain], now: int) -> Call:
    """Return the call that makes the first of each chain due, if it waits; the call returns their endpoints."""
    return Call("free_first", sorted(set(chains)), {"now": now, "never": NEVER})


def free(tx: Transaction, chains: Iterable[Chain]) -> None:
    """Make the next of each chain due, since the one before it has ended."""
    freed = tx.pipeline(freeing(chains, tx.now))[0].rows
    lower_next_due(tx, {endpoint_id: tx.now for (endpoint_id,) in freed})


def ending(results: Iterable[Result]) -> list[Chain]:
    """Return the chains in which these results end a delivery."""
    return [
        (item.claimed.tenant, item.claimed.endpoint_id, item.claimed.subject or "")
        for item in results
        if item.claimed.sequence is not None and item.state is not DeliveryState.PENDING
    ]


@define
class ChainEnds:
    """The ends of locked chains, behind which deliveries are added."""

    _found: dict[Chain, int]
    _added: dict[Chain, int] = field(factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> ChainEnds:
        """Return the ends of chains that `chain_ends` has found."""
        return cls({(tenant, endpoint_id, subject): last or 0 for tenant, endpoint_id, subject, last in rows})

    def add(self, chain: Chain) -> int:
        """Return the sequence of one more delivery."""
        self._added[chain] = self._added.get(chain, self._found[chain]) + 1
        return self._added[chain]

    @property
    def begun(self) -> Iterator[Chain]:
        """The chains that had nothing pending so far."""
        return (chain for chain in self._added if not self._found[chain])


def locked_ends(tx: Transaction, chains: Iterable[Chain]) -> ChainEnds:
    """Lock chains, and return their ends."""
    wanted = sorted(set(chains))
    return ChainEnds.of(tx.pipeline(locking(wanted), Call("chain_ends", wanted))[1].rows)


@define
class Arranged:
    """The deliveries that a call of planning adds to chains; `without_subject` counts the others by endpoint."""

    without_subject: Counter[str]
    rows: list[Row] = field(factory=list)
    ends: ChainEnds = field(factory=lambda: ChainEnds({}))

    def inserting(self, now: int) -> Call:
        """Return the call that inserts the deliveries, all of which wait."""
        return Call("add_ordered_deliveries", self.rows, {"never": NEVER, "now": now})

    def freeing(self, now: int) -> Call:
        """Return the call that then makes the first of each chain due."""
        return freeing([(row[0], row[4], row[7]) for row in self.rows], now)

    def due(self, now: int) -> dict[str, int]:
        """Return when the lanes are due of deliveries that do not wait."""
        return {endpoint_id: now for _, endpoint_id, _ in self.ends.begun}

    def counting(self) -> Call:
        """Return the call that counts deliveries without a subject; their lanes are locked."""
        return Call("add_without_subject", list(self.without_subject.items()))


def arrange(tx: Transaction, chosen: Sequence[Chosen]) -> Arranged:
    """Remove the deliveries of ordered webhooks from the events' matches, and return them with their places in chains.

    An event is left to a later call if the queue has an earlier one of its subject that this call does not plan
    completely.
    """
    ordered = [item for item in chosen if item.is_ordered and any(match.ordered for match in item.matches)]
    unnamed = [endpoint_id for item in ordered if item.event.subject is None for endpoint_id in _endpoints(item)]
    about = {(item.event.tenant, item.event.id): item for item in ordered if item.event.subject is not None}
    if not about:
        return Arranged(Counter(unnamed))
    subjects = {(item.event.tenant, item.event.subject) for item in about.values()}
    most = max(Counter((item.event.tenant, item.event.subject) for item in chosen).values())
    chains = sorted({chain for item in about.values() for chain in _chains(item)})
    # Read while the locks are held: by then, other transactions have finished planning for these subjects.
    _, first, ends = tx.pipeline(
        locking(chains), Call("first_new_events", sorted(subjects), {"most": most}), Call("chain_ends", chains)
    )
    arranged = Arranged(Counter(unnamed), ends=ChainEnds.of(ends.rows))
    ripe = _ripe(chosen, first.rows)
    for key, item in about.items():
        if key not in ripe:
            item.defer()
    for item in (about[key] for key in ripe if key in about):
        arranged.rows += _rows(item, arranged.ends)
        item.matches = [match for match in item.matches if not match.ordered]
    return arranged


def _ripe(chosen: Iterable[Chosen], first: Iterable[Row]) -> dict[tuple[str, str], None]:
    """Return the events, by tenant and id, that may be planned now, in the order of emit.

    `first` has the first events of each subject in the queue, as many as there are among the chosen ones.
    """
    whole = {(item.event.tenant, item.event.id) for item in chosen if item.cursor is None and item.failure is None}
    ripe: dict[tuple[str, str], None] = {}
    blocked: set[tuple[str, str]] = set()
    for tenant, subject, id_ in first:
        if (tenant, subject) in blocked:
            continue
        ripe[tenant, id_] = None
        if (tenant, id_) not in whole:
            blocked.add((tenant, subject))
    return ripe


def _rows(item: Chosen, ends: ChainEnds) -> list[Row]:
    event, tenant, subject = item.event, item.event.tenant, item.event.subject or ""
    rows: list[Row] = []
    for match in item.matches:
        for endpoint_id in match.endpoint_ids if match.ordered else ():
            to = (event.id, match.webhook_id, endpoint_id, event.product, event.event_type, subject)
            sequence = ends.add((tenant, endpoint_id, subject))
            rows.append((tenant, original_id(event.id, endpoint_id), *to, match.rendering, sequence))
    return rows


def _chains(item: Chosen) -> list[Chain]:
    return [(item.event.tenant, endpoint_id, item.event.subject or "") for endpoint_id in _endpoints(item)]


def _endpoints(item: Chosen) -> list[str]:
    return [endpoint_id for match in item.matches if match.ordered for endpoint_id in match.endpoint_ids]
