"""Compute the shapes of plots; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from unihooks._contract.activity import Activity, HourCount


class Counted(Protocol):
    """The counts of one span of time."""

    @property
    def attempts(self) -> int:
        """Return how many attempts were made."""

    @property
    def delivered(self) -> int:
        """Return how many of them succeeded."""

    @property
    def failed(self) -> int:
        """Return how many of them failed."""


def stacked(rows: Sequence[Counted], *, width: float, height: float, gap: float = 0.25) -> dict[str, str]:
    """Return an SVG path per kind of bar: failures are stacked on successes, and an empty row is a thin line.

    All bars of a kind are one path, which keeps pages with many plots small.
    """
    most = max((row.attempts for row in rows), default=0)
    step = width / max(len(rows), 1)
    wide = step * (1 - gap)
    parts: dict[str, list[str]] = {"none": [], "good": [], "bad": []}
    for at, row in enumerate(rows):
        x = at * step + step * gap / 2
        good, bad = _tall(row.delivered, most, height), _tall(row.failed, most, height)
        for kind, y, tall in (("good", height - good, good), ("bad", height - good - bad, bad)):
            if tall:
                parts[kind].append(_bar(x, y, wide, tall))
        if not row.attempts:
            parts["none"].append(_bar(x, height - 1, wide, 1))
    return {kind: "".join(bars) for kind, bars in parts.items() if bars}


def _bar(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.5g} {y:.5g}h{width:.5g}v{height:.5g}h-{width:.5g}z"


def _tall(count: int, most: int, height: float) -> float:
    # A single failure among thousands must still be visible.
    return max(count / most * height, 1.5) if count else 0.0


@frozen
class Scale:
    """The ends of the axes."""

    first: datetime
    most: int


_GROUPS = 28
_LATENCY_WIDTH = 190.0


def bars_of_activity(activity: Activity) -> dict[str, str]:
    """Return the bars of a period; in a long one, each bar sums up several hours."""
    return stacked(_grouped(activity.hours), width=600, height=120)


def scale_of(activity: Activity) -> Scale:
    """Return the start of the period and the height of the highest bar."""
    return Scale(activity.hours[0].hour, max((group.attempts for group in _grouped(activity.hours)), default=0))


def widths_of(activity: Activity) -> list[tuple[str, float | None, float]]:
    """Return the label, value and width of each percentile's bar."""
    values = (("p50", activity.p50_ms), ("p95", activity.p95_ms), ("p99", activity.p99_ms))
    most = max((value or 0.0 for _, value in values), default=0.0) or 1.0
    return [(name, value, round((value or 0.0) / most * _LATENCY_WIDTH, 1)) for name, value in values]


def _grouped(hours: Sequence[HourCount]) -> Sequence[HourCount]:
    size = -(-len(hours) // _GROUPS)
    groups = [hours[at : at + size] for at in range(0, len(hours), size)]
    return [
        HourCount(
            hour=group[0].hour,
            attempts=sum(one.attempts for one in group),
            delivered=sum(one.delivered for one in group),
            failed=sum(one.failed for one in group),
        )
        for group in groups
    ]
