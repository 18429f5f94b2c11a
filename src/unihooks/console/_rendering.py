"""Render pages from templates: all text is escaped, and links stay below the console's mount path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from unihooks._base.threads import Threads
from unihooks._model.webhooks import Webhook
from unihooks.console import _csrf, _formats, _locale
from unihooks.console._assets import Assets
from unihooks.console._locale import later
from unihooks.console._settings import ConsoleSettings
from unihooks.console._viewers import Permission, Viewer

_FOLDER = Path(__file__).parent / "templates"
THEMES = ("system", "light", "dark")
THEME_COOKIE = "webhooks_theme"
_DONE = {
    "activated": later("The webhook is active: events from now on are sent to its endpoints."),
    "deactivated": later("The webhook is inactive: nothing is sent, and pending deliveries are on hold."),
    "saved": later("Your changes are saved and apply to all events from now on."),
    "deleted": later("The webhook is deleted. Its delivery log is kept until its retention ends."),
    "disabled": later("The endpoint is disabled: what is pending is on hold."),
    "enabled": later("The endpoint is enabled again, and what was on hold is being sent."),
    "replayed": later("A new delivery with the same content is being sent."),
    "replayed_all": later("The new deliveries are being sent."),
    "replayed_some": later("Some of the deliveries are being sent. For the rest, replay later or as a job."),
    "cancelled": later("The delivery is cancelled: there will be no further attempts."),
    "recovered": later("The events that this webhook missed are being sent."),
    "recovered_some": later("Some of what this webhook missed is being sent. For the rest, recover later or as a job."),
    "job_started": later("The job waits for a worker, and goes on by itself from then on."),
    "job_stopped": later("The job is stopped. What it has sent again stays."),
}

# Computing in more threads would take no less time, and the event loop would compete with more of them.
off_the_loop = Threads(2, "unihooks-console").run


def settings_of(request: Request) -> ConsoleSettings:
    """Return the settings of this console."""
    settings: ConsoleSettings = request.app.state.console
    return settings


def viewer_of(request: Request) -> Viewer:
    """Return the viewer of a request."""
    viewer: Viewer = request.state.viewer
    return viewer


async def webhook_of(request: Request) -> Webhook:
    """Return the webhook that the path names."""
    webhooks = settings_of(request).dispatcher.webhooks
    return await webhooks.aget(request.path_params["webhook_id"], tenant=viewer_of(request).tenant)


def path_to(request: Request, name: str, **parts: str) -> str:
    """Return the path of a page, below wherever the console is mounted."""
    return f"{request.scope.get('root_path', '')}{request.app.state.paths[name].format(**parts)}"


async def page(request: Request, template: str, *, http_status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page, off the event loop."""
    return await off_the_loop(rendered, request, template, http_status=http_status, **values)


def rendered(request: Request, template: str, *, http_status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page in the calling thread."""
    text = _environment().get_template(template).render(**_surroundings(request), **values)
    return HTMLResponse(text, http_status)


def go_to(request: Request, name: str, *, done: str | None = None, **parts: str) -> Response:
    """Send the browser to a page, which then says what was done."""
    where = path_to(request, name, **parts) + (f"?done={done}" if done else "")
    # htmx would follow a redirect and put the answer into a part of this page.
    if request.headers.get("hx-request"):
        return Response(status_code=200, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def refusal(request: Request) -> int:
    """Return the status for a form that is shown again with its errors.

    htmx gets 200, since browsers log any other status in their console.
    """
    return 200 if request.headers.get("hx-request") else 422


def refuse(request: Request, status: int, **values: Any) -> HTMLResponse:
    """Render the page that says why a request was refused."""
    return rendered(request, "refused.html", http_status=status, code=status, **values)


def _surroundings(request: Request) -> dict[str, Any]:
    viewer, settings = request.state.viewer, settings_of(request)
    theme = request.cookies.get(THEME_COOKIE)
    return {
        "viewer": viewer,
        "settings": settings,
        "branding": settings.branding,
        "url": _linker(request),
        "asset": _asset_linker(request),
        "sections": _sections(viewer),
        "csrf": _csrf.token(request.state.csrf_cookie, viewer, settings) if viewer else "",
        "language": _locale.current(),
        "languages": _locale.LANGUAGES,
        "direction": _locale.direction(),
        "theme": theme if theme in THEMES else "system",
        "done": _done_message(request.query_params.get("done")),
        "here": request.scope["path"],
        "query": request.query_params,
        "now": _formats.now(),
    }


def _done_message(code: str | None) -> str | None:
    """Return what to say after a redirect; an unknown code is ignored, since anybody can make such a link."""
    return _locale.gettext(_DONE[code]) if code in _DONE else None


def _sections(viewer: Viewer | None) -> list[tuple[str, str]]:
    """Return the pages that the top bar names beside the list of webhooks."""
    sections = [("deliveries", _locale.gettext("Deliveries")), ("catalog", _locale.gettext("Events"))]
    if viewer is not None and viewer.may(Permission.OPERATE):
        sections.append(("operator", _locale.gettext("Operator")))
    return sections


def _linker(request: Request) -> Callable[..., str]:
    return lambda name, **parts: path_to(request, name, **parts)


def _asset_linker(request: Request) -> Callable[[str], str]:
    assets: Assets = request.app.state.assets
    return lambda name: path_to(request, "static", file=assets.file_of(name))


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
    return environment
