"""The sizes of large stores."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from databases import Place


@frozen(kw_only=True)
class Size:
    """The sizes of large stores."""

    rows: int = 1_000_000
    few_rows: int = 1_000
    rounds: int = 41
    webhooks: int = 10_000
    fan_out: int = 1_000
    wide_events: int = 20
    burst: int = 100_000
    singles: int = 30


SMALL = Size(rows=20_000, few_rows=200, rounds=5, webhooks=300, fan_out=200, wide_events=5, burst=2_000, singles=5)

Opens = Callable[[], Place]
