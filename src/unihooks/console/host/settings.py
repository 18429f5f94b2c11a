"""The host's settings of its console."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen
from attrs.validators import instance_of
from starlette.requests import Request

from unihooks._dispatcher import Dispatcher
from unihooks.console.host.rates import Rates
from unihooks.console.host.theme import Colour, Theme, pair_of
from unihooks.console.host.viewers import Viewer

Authenticate = Callable[[Request], Viewer | Awaitable[Viewer | None] | None]

_SOURCE = re.compile(r"'(self|none)'|https?://[A-Za-z0-9.*:\[\]-]+")
_LEAST_SECRET = 32
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
    b"<svg": "image/svg+xml",
    b"<?xml": "image/svg+xml",
}


@frozen(kw_only=True)
class Branding:
    """The look of the console: `logo` is a URL or an image's bytes, `accent` a colour such as `#0a7d5a`."""

    title: str = "Webhooks"
    logo: str | bytes | None = field(default=None)
    accent: Colour | None = field(default=None)
    home_url: str | None = None
    help_url: str | None = field(default=None)
    theme: Theme = field(factory=Theme, validator=instance_of(Theme))

    @accent.validator
    def _check_accent(self, _attribute: object, value: Colour | None) -> None:
        if value is not None:
            pair_of(value, "accent")

    @help_url.validator
    def _check_help(self, _attribute: object, value: str | None) -> None:
        if value is not None and urlsplit(value).scheme not in ("", "http", "https", "mailto"):
            raise ValueError("help_url must be an http(s) URL, a path, or a mailto address")

    @logo.validator
    def _check_logo(self, _attribute: object, value: str | bytes | None) -> None:
        if isinstance(value, bytes):
            self.logo_type  # noqa: B018 - it raises if the bytes are not an image
        elif value is not None and urlsplit(value).scheme not in ("", "http", "https"):
            raise ValueError("logo must be an http(s) URL, a path, or the bytes of an image")

    @property
    def logo_type(self) -> str:
        """Return the media type of a logo that was given as bytes."""
        data = self.logo if isinstance(self.logo, bytes) else b""
        for start, kind in _IMAGES.items():
            if data.lstrip().startswith(start):
                return kind
        raise ValueError("logo must be the bytes of a PNG, JPEG, GIF, WebP or SVG image")

    @property
    def logo_origin(self) -> str | None:
        """Return the origin of the logo if it comes from another host."""
        parts = urlsplit(self.logo) if isinstance(self.logo, str) else None
        return f"{parts.scheme}://{parts.netloc}" if parts and parts.netloc else None


def _to_sources(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@frozen(kw_only=True)
class ConsoleSettings:
    """Everything that the pages, the API and the gate need; found in `request.app.state.console`."""

    dispatcher: Dispatcher
    authenticate: Authenticate = field()
    branding: Branding = field(factory=Branding)
    language: str | None = None
    secret: str | None = field(default=None, repr=False)
    sign_in_url: str | None = None
    frame_ancestors: tuple[str, ...] = field(default=("'none'",), converter=_to_sources)
    trusted_origins: tuple[str, ...] = field(default=(), converter=_to_sources)
    rates: Rates = field(factory=Rates)
    # By language, and then by the English text.
    texts: Mapping[str, Mapping[str, str]] = field(factory=dict)
    translate: Callable[[str, str], str] | None = field(default=None)
    api_security: Mapping[str, Mapping[str, Any]] | None = field(default=None)

    @api_security.validator
    def _check_security(self, _attribute: object, value: Mapping[str, Any] | None) -> None:
        if value is not None and not all(isinstance(one, Mapping) and one.get("type") for one in value.values()):
            example = "{'token': {'type': 'http', 'scheme': 'bearer'}}"
            raise ValueError(f"api_security must be security schemes of OpenAPI by name, such as {example}")

    @authenticate.validator
    def _check_authenticate(self, _attribute: object, value: object) -> None:
        if not callable(value):
            raise TypeError("authenticate must be a function that takes the request and returns a Viewer or None")

    @translate.validator
    def _check_translate(self, _attribute: object, value: object) -> None:
        if value is not None and not callable(value):
            raise TypeError("translate must be a function that takes a text and a language and returns a text")

    @secret.validator
    def _check_secret(self, _attribute: object, value: object) -> None:
        if value is not None and not (isinstance(value, str) and len(value) >= _LEAST_SECRET):
            raise ValueError(f"secret must be a random string of at least {_LEAST_SECRET} characters")

    @frame_ancestors.validator
    def _check_ancestors(self, _attribute: object, value: tuple[str, ...]) -> None:
        if not value or not all(_SOURCE.fullmatch(one) for one in value):
            raise ValueError(
                "frame_ancestors takes \"'none'\", \"'self'\" or origins such as 'https://app.example.com'"
            )

    @property
    def embedded(self) -> bool:
        """Return whether pages of another site may show the console in a frame."""
        return any(one.startswith("http") for one in self.frame_ancestors)
