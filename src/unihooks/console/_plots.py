"""Compute the shapes of plots; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen


class Counted(Protocol):
    """Be the figures of one stretch of time."""

    @property
    def attempts(self) -> int:
        """Return how many attempts were made."""

    @property
    def delivered(self) -> int:
        """Return how many of them succeeded."""

    @property
    def failed(self) -> int:
        """Return how many of them failed."""


@frozen
class Bar:
    """Be one rectangle; `kind` says what it counts and is its class."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def stacked(rows: Sequence[Counted], *, width: float, height: float, gap: float = 0.25) -> list[Bar]:
    """Return a bar for each row, failures on top of successes; a quiet row gets a thin line."""
    most = max((row.attempts for row in rows), default=0)
    step = width / max(len(rows), 1)
    bars: list[Bar] = []
    for at, row in enumerate(rows):
        x, wide = round(at * step + step * gap / 2, 2), round(step * (1 - gap), 2)
        if not row.attempts:
            bars.append(Bar("none", x, height - 1, wide, 1))
            continue
        good = _tall(row.delivered, most, height)
        bad = _tall(row.failed, most, height)
        bars += [Bar("good", x, round(height - good, 2), wide, good)] if row.delivered else []
        bars += [Bar("bad", x, round(height - good - bad, 2), wide, bad)] if row.failed else []
    return bars


def _tall(count: int, most: int, height: float) -> float:
    # Even a single one among thousands is to be seen.
    return max(round(count / most * height, 2), 1.5) if count else 0.0
