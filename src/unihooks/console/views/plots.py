"""Compute the shapes of plots; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from unihooks._contract.activity import HourCount, StepCount

# The counts of one span of time.
Counted = HourCount | StepCount


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


@frozen(kw_only=True)
class Bar:
    """A bar of a chart, for one step of time: its position, the heights of its parts, and its counts.

    `tick` is `major` or `minor` where its time is written below it; small screens leave out minor ones.
    """

    at: datetime
    until: datetime
    attempts: int
    delivered: int
    failed: int
    x: int
    good: float
    bad: float
    tick: str


@frozen(kw_only=True)
class Chart:
    """The bars of a chart in a box of `width` by `height`, and the number at its top."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    top: int

    @property
    def half(self) -> int | None:
        """Return the number half way up, None where that is no whole one."""
        return None if self.top % 2 else self.top // 2


_STEP, _HEIGHT, _TICKS = 10, 100, 6


def chart_of(counts: Mapping[datetime, Counted], step: timedelta) -> Chart:
    """Return a chart with a bar for each step of time, by when it begins, below a round number."""
    top = _round_up(max((one.attempts for one in counts.values()), default=0))
    every = max(1, len(counts) // _TICKS)
    bars = tuple(
        Bar(
            at=begin,
            until=begin + step,
            attempts=one.attempts,
            delivered=one.delivered,
            failed=one.failed,
            x=at * _STEP,
            good=round(_tall(one.delivered, top, _HEIGHT), 2),
            bad=round(_tall(one.failed, top, _HEIGHT), 2),
            tick="" if at % every else "minor" if at // every % 2 else "major",
        )
        for at, (begin, one) in enumerate(counts.items())
    )
    return Chart(bars=bars, width=len(bars) * _STEP, height=_HEIGHT, top=top)


def _round_up(count: int) -> int:
    """Return the next number at the top of a scale: 2, 4, 6, 10 or 20 with zeros."""
    if count <= 1:
        return 2
    unit = int(10 ** (len(str(count - 1)) - 1))
    return next(top for top in (2 * unit, 4 * unit, 6 * unit, 10 * unit, 20 * unit) if top >= count)
