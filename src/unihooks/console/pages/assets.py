"""Serve the console's own files, and the host's colour and logo."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from unihooks.console._rendering import refuse, settings_of

_FOLDER = Path(__file__).parent.parent / "static"
_ANY_THEME = ":root,:root.dark,:root.light,html.system:not(.js)"
_AN_HOUR = {"cache-control": "public, max-age=3600"}


async def brand(request: Request) -> Response:
    """Return the style sheet with the accent colour, for both themes."""
    branding = settings_of(request).branding
    if branding.accent is None:
        return Response("", media_type="text/css", headers=_AN_HOUR)
    colours = f"--primary:{branding.accent};--primary-foreground:{branding.accent_text};--ring:{branding.accent}"
    return Response(f"{_ANY_THEME}{{{colours}}}\n", media_type="text/css", headers=_AN_HOUR)


async def logo(request: Request) -> Response:
    """Return the logo that the host has passed as bytes."""
    branding = settings_of(request).branding
    if not isinstance(branding.logo, bytes):
        return refuse(request, 404)
    return Response(branding.logo, media_type=branding.logo_type, headers=_AN_HOUR)


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: dict[str, object]) -> Response:  # type: ignore[override]
        answer = await super().get_response(path, scope)
        answer.headers.update(_AN_HOUR)
        return answer


ROUTES = [
    Route("/static/brand.css", brand, name="brand"),
    Route("/static/logo", logo, name="logo"),
    Mount("/static", _Files(directory=_FOLDER), name="static"),
]
