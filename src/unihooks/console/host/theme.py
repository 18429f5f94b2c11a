"""The look that a host gives its console: colours for light and dark, corners, fonts and density."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from colorsys import rgb_to_hls

from attrs import field, frozen

Colour = str | tuple[str, str]

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_FONT = re.compile(r"[A-Za-z0-9 ,\"'_-]{1,300}")
_MOST_RADIUS = 24
# WCAG asks for 4.5. Links also stand on tinted grounds, so they need more.
_LEAST_CONTRAST = 4.5
_OF_LINKS = 5.2
_STEPS = 25
# Hues from 0 to 1, and the saturation below which a colour has none.
_ORANGE, _PINK, _GREY = 0.09, 0.9, 0.3
# The names that hosts use, and what they are in the style sheet.
_TOKENS = {
    "background": "--background",
    "card": "--card",
    "menu": "--popover",
    "quiet": "--muted",
    "text": "--foreground",
    "muted_text": "--muted-foreground",
    "border": "--border",
    "control": "--input",
    "link": "--link",
    "good": "--good",
    "bad": "--bad",
    "warning": "--busy",
    "chart": "--bar",
}
_GROUNDS = {"background": ("#f5f6fa", "#0c0f16"), "card": ("#ffffff", "#171b26")}
_TEXTS = {
    "text": ("#171b26", "#eceef4"),
    "muted_text": ("#565e70", "#a5adbe"),
    "good": ("#12743a", "#4ade80"),
    "bad": ("#b91c1c", "#ff8a80"),
    "warning": ("#8a4b08", "#fbbf24"),
}
_MODES = ("light", "dark")


def pair_of(colour: Colour, name: str) -> tuple[str, str]:
    """Return a colour for the light theme and one for the dark; one alone is for both."""
    pair = (colour, colour) if isinstance(colour, str) else tuple(colour)
    if len(pair) != len(_MODES) or not all(_HEX.fullmatch(str(one)) for one in pair):
        raise ValueError(f"{name} must be a colour with six hex digits, such as '#0a7d5a', or a pair: light, dark")
    return pair[0], pair[1]


@frozen(kw_only=True)
class Theme:
    """The host's changes to the console's look, besides its accent colour.

    Args:
        colors: Colours by name, each one for both themes or a pair for light and dark.
        radius: How round corners are, in pixels: 0 to 24.
        font: The families of the text, as in CSS; they must be on the viewer's system.
        mono_font: The families of code.
        density: `comfortable` or `compact`.
    """

    colors: Mapping[str, Colour] = field(factory=dict)
    radius: float | None = None
    font: str | None = None
    mono_font: str | None = None
    density: str = "comfortable"

    def __attrs_post_init__(self) -> None:
        for name in self.colors:
            if name not in _TOKENS:
                raise ValueError(f"colors takes {', '.join(_TOKENS)}, not {name!r}")
            self._pair(name)
        if self.radius is not None and not 0 <= self.radius <= _MOST_RADIUS:
            raise ValueError(f"radius must be from 0 to {_MOST_RADIUS} pixels")
        for name, value in (("font", self.font), ("mono_font", self.mono_font)):
            if value is not None and not _FONT.fullmatch(value):
                raise ValueError(f"{name} must be names of fonts, separated by commas")
        if self.density not in ("comfortable", "compact"):
            raise ValueError("density must be 'comfortable' or 'compact'")
        for problem in self._unreadable():
            raise ValueError(problem)

    def css(self, accent: Colour | None) -> str:
        """Return the rule that sets this look, with the accent colour."""
        lines = [f"{_TOKENS[name]}:{_both(self._pair(name))}" for name in self.colors]
        if accent is not None:
            solid = pair_of(accent, "accent")
            lines.append(f"--primary:{_both(solid)}")
            lines.append(f"--primary-foreground:{_both((text_on(solid[0]), text_on(solid[1])))}")
            if "link" not in self.colors:
                lines.append(f"--link:{_both((self._readable(solid[0], 0), self._readable(solid[1], 1)))}")
            if "chart" not in self.colors and any(map(_is_reddish, solid)):
                # Bars in the accent would look like those of failures.
                lines.append("--bar:var(--muted-foreground)")
        if self.radius is not None:
            lines.append(f"--radius:{self.radius / 16:g}rem")
        lines += [f"--font:{self.font}"] if self.font else []
        lines += [f"--font-mono:{self.mono_font}"] if self.mono_font else []
        return f"\n:root{{{';'.join(lines)}}}\n" if lines else ""

    def _pair(self, name: str) -> tuple[str, str]:
        given = self.colors.get(name)
        return pair_of(given, name) if given is not None else {**_GROUNDS, **_TEXTS}[name]

    def _unreadable(self) -> Iterator[str]:
        for name in {**_TEXTS, **({"link": None} if "link" in self.colors else {})}:
            for ground in _GROUNDS:
                for at, mode in enumerate(_MODES):
                    found = contrast(self._pair(name)[at], self._pair(ground)[at])
                    if found < _LEAST_CONTRAST:
                        yield (
                            f"colors: {name} on {ground} has a contrast of {found:.1f} in the {mode} theme, "
                            f"and needs {_LEAST_CONTRAST} to be read"
                        )

    def _readable(self, colour: str, mode: int) -> str:
        """Return the colour, or the nearest darker or lighter one that can be read as text."""
        grounds = [self._pair(ground)[mode] for ground in _GROUNDS]
        end = text_on(grounds[0])
        for step in range(_STEPS + 1):
            mixed = _mixed(colour, end, step / _STEPS)
            if all(contrast(mixed, ground) >= _OF_LINKS for ground in grounds):
                return mixed
        return end


def text_on(colour: str) -> str:
    """Return white or black, whichever can be read better on the colour."""
    return max("#ffffff", "#000000", key=lambda text: contrast(text, colour))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG computes it, from 1 to 21.

    >>> contrast("#ffffff", "#000000")
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _is_reddish(colour: str) -> bool:
    hue, _, saturation = rgb_to_hls(*(part / 255 for part in _parts(colour)))
    return saturation > _GREY and not _ORANGE <= hue <= _PINK


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004


def _mixed(colour: str, end: str, share: float) -> str:
    parts = (round(a + (b - a) * share) for a, b in zip(_parts(colour), _parts(end), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _both(pair: tuple[str, str]) -> str:
    return pair[0] if pair[0] == pair[1] else f"light-dark({pair[0]},{pair[1]})"
