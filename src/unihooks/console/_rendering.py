"""Render templates: everything is escaped, links stay inside the mount."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from unihooks.console import _csrf, _formats, _locale
from unihooks.console._messages import done_message
from unihooks.console._settings import ConsoleSettings
from unihooks.console._viewers import Permission, Viewer

_FOLDER = Path(__file__).parent / "templates"
THEMES = ("system", "light", "dark")
THEME_COOKIE = "unihooks_theme"


def settings_of(request: Request) -> ConsoleSettings:
    """Return the settings of the console that answers."""
    settings: ConsoleSettings = request.app.state.console
    return settings


def viewer_of(request: Request) -> Viewer:
    """Return who asks."""
    viewer: Viewer = request.state.viewer
    return viewer


def path_to(request: Request, name: str, **parts: str) -> str:
    """Return the path of a page, below wherever the console is mounted."""
    return f"{request.scope.get('root_path', '')}{request.app.state.paths[name].format(**parts)}"


def page(request: Request, template: str, *, http_status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page."""
    text = _environment().get_template(template).render(**_surroundings(request), **values)
    return HTMLResponse(text, http_status)


def go_to(request: Request, name: str, *, done: str | None = None, **parts: str) -> Response:
    """Send the browser to a page, which says what was done."""
    where = path_to(request, name, **parts) + (f"?done={done}" if done else "")
    # htmx would put the answer to a redirect in place of a part of this page.
    if request.headers.get("hx-request"):
        return Response(status_code=200, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def refusal(request: Request) -> int:
    """Return the status of a form that comes back with what is wrong.

    htmx gets 200, since browsers write every other status into the console.
    """
    return 200 if request.headers.get("hx-request") else 422


def refuse(request: Request, status: int, **values: Any) -> HTMLResponse:
    """Render the page that says why there is nothing else to see."""
    return page(request, "refused.html", http_status=status, code=status, **values)


def _surroundings(request: Request) -> dict[str, Any]:
    viewer, settings = request.state.viewer, settings_of(request)
    theme = request.cookies.get(THEME_COOKIE)
    return {
        "viewer": viewer,
        "settings": settings,
        "branding": settings.branding,
        "url": _linker(request),
        "sections": _sections(viewer),
        "csrf": _csrf.token(request.state.csrf_cookie, viewer, settings) if viewer else "",
        "language": _locale.current(),
        "languages": _locale.LANGUAGES,
        "direction": _locale.direction(),
        "theme": theme if theme in THEMES else "system",
        "done": done_message(request.query_params.get("done")),
        "here": request.scope["path"],
        "query": request.query_params,
        "now": _formats.now(),
    }


def _sections(viewer: Viewer | None) -> list[tuple[str, str]]:
    """Return the pages beside the list that the bar on top names."""
    sections = [("deliveries", _locale.gettext("Deliveries")), ("catalogue", _locale.gettext("Events"))]
    if viewer is not None and viewer.may(Permission.OPERATE):
        sections.append(("operator", _locale.gettext("Operator")))
    return sections


def _linker(request: Request) -> Callable[..., str]:
    return lambda name, **parts: path_to(request, name, **parts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _locale.gettext, _locale.ngettext, newstyle=True
    )
    environment.filters.update(_formats.FILTERS)
    environment.globals["Permission"] = Permission
    # Browsers keep assets for a while, but not beyond an upgrade.
    environment.globals["version"] = version("unihooks")
    return environment
