"""Draw bars and a line as SVG, in colours that are legible on white and on black."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from attrs import frozen

_TEXT = "#7b828c"
_OURS = "#3b8eea"
_THEIRS = "#a08f5f"
_WIDTH = 760
_LABELS = 330
_ROW = 26
_TOP = 34
_FONT = 'font-family="system-ui, sans-serif" font-size="14"'


@frozen
class Bar:
    """One bar; ours has its own colour."""

    label: str
    value: float
    ours: bool = True


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars that begin at 0."""
    most = max((row.value for row in rows), default=1.0) or 1.0
    parts = [_text(0, 18, f"{title} ({unit})", weight=600)]
    for number, row in enumerate(rows):
        top = _TOP + number * _ROW
        length = max(2.0, row.value / most * (_WIDTH - _LABELS - 90))
        colour = _OURS if row.ours else _THEIRS
        parts += [
            _text(_LABELS - 10, top + 15, row.label, anchor="end"),
            f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="{_ROW - 7}" rx="3" fill="{colour}"/>',
            _text(_LABELS + length + 8, top + 15, shown(row.value)),
        ]
    return _svg(title, _TOP + len(rows) * _ROW + 6, parts)


def line(title: str, unit: str, values: Sequence[float], below: str) -> str:
    """Return a line over equal steps; the axis begins at 0."""
    height, left = 170, 60
    most = max(values) * 1.15
    step = (_WIDTH - left - 20) / max(1, len(values) - 1)
    points = [(left + number * step, _TOP + height * (1 - value / most)) for number, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [
        _text(0, 18, f"{title} ({unit})", weight=600),
        f'<line x1="{left}" y1="{_TOP + height}" x2="{_WIDTH - 20}" y2="{_TOP + height}" stroke="{_TEXT}"/>',
        f'<polyline points="{path}" fill="none" stroke="{_OURS}" stroke-width="3"/>',
        _text(left - 8, _TOP + height + 4, "0", anchor="end"),
        _text(left - 8, points[0][1] + 4, shown(values[0]), anchor="end"),
        _text(_WIDTH - 20, points[-1][1] - 8, shown(values[-1]), anchor="end"),
        _text(_WIDTH - 20, _TOP + height + 20, below, anchor="end"),
    ]
    return _svg(title, _TOP + height + 30, parts)


def shown(value: float) -> str:
    """Return a number with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400) -> str:
    style = f'{_FONT} font-weight="{weight}" fill="{_TEXT}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>", ""])
