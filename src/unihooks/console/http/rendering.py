"""Render pages from templates: all text is escaped, and links stay below the console's mount path."""

from __future__ import annotations

import json
import secrets
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette.status import HTTP_200_OK

from unihooks._base.threads import Threads
from unihooks._model.webhooks import Webhook
from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Permission, Viewer
from unihooks.console.http import csrf, flash
from unihooks.console.http.assets import Assets
from unihooks.console.words import formats, locale
from unihooks.console.words.causes import cause, state_name, state_tone
from unihooks.console.words.sentences import told, waits_until

_FOLDER = Path(__file__).parent.parent / "templates"
THEMES = ("system", "light", "dark")
THEME_COOKIE = "webhooks_theme"
# With these statuses, the same form may succeed when it is sent again later.
_TRIED_AGAIN = (401, 429, 500, 503)

# More threads would compute no faster, but the event loop would compete with all of them.
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
    done = flash.code_for(request, settings_of(request)) if http_status == HTTP_200_OK and is_visit(request) else None
    surroundings = {**_surroundings(request), "done": locale.gettext(flash.SENTENCES[done]) if done else None}
    answer = HTMLResponse(_environment().get_template(template).render(**surroundings, **values), http_status)
    if done:
        answer.headers.append("set-cookie", flash.spent(request, settings_of(request)))
    return answer


def go_to(request: Request, name: str, *, done: str | None = None, **parts: str) -> Response:
    """Send the browser to a page, which then shows the result once."""
    return redirect(request, path_to(request, name, **parts), done=done)


def redirect(request: Request, where: str, *, done: str | None = None) -> Response:
    """Send the browser to a path, whose page then shows the result once."""
    # A script would follow a redirect and put the response into a part of this page.
    answer = RedirectResponse(where, 303) if is_visit(request) else Response(headers={"HX-Redirect": where})
    if done is not None:
        answer.headers.append("set-cookie", flash.cookie_for(request, settings_of(request), done, where))
    request.state.done = done
    return answer


def toast(answer: Response, sentence: str, *, tone: str = "done") -> Response:
    """Have the page show a toast when it gets this response for one of its parts.

    Its `tone` is `done`, or `wrong`: then it stays until it is closed.
    """
    answer.headers["console-toast"] = json.dumps({"text": sentence, "tone": tone})
    return answer


def is_visit(request: Request) -> bool:
    """Return whether the browser asks for a page, not a script for one of its parts."""
    return "hx-request" not in request.headers


def refusal(request: Request) -> int:
    """Return the status for a form that is shown again with its errors, and note that it has done nothing.

    A script gets 200, since browsers log any other status in their console.
    """
    request.state.refused = True
    return 422 if is_visit(request) else 200


def refuse(request: Request, status: int, **values: Any) -> HTMLResponse:
    """Render the page that says why a request was refused; it keeps the form's input, to be sent again."""
    given = {"sent": request.state.sent if is_visit(request) and status in _TRIED_AGAIN else (), **values}
    sign_in = sign_in_url(request) if settings_of(request).sign_in_url else None
    given |= {"code": status, "sign_in": sign_in, "was_at": was_at(request)}
    return rendered(request, "refused.html", http_status=status, **given)


def too_many(request: Request, wait: float) -> Response:
    """Refuse a tenant that has caused too many requests in a short time."""
    answer = refuse(request, 429)
    answer.headers["retry-after"] = str(int(wait) + 1)
    return answer


def was_at(request: Request) -> str:
    """Return the path and query of the page where the viewer was, as far as the request tells."""
    here, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    scope = {**request.scope, "method": "GET"}
    # A path that begins with two slashes would name another host.
    if here.startswith("//") or all(route.matches(scope)[0] is not Match.FULL for route in request.app.routes):
        return path_to(request, "webhooks")
    return f"{quote(here)}?{query}" if query and request.method == "GET" else quote(here)


def sign_in_url(request: Request) -> str:
    """Return the host's URL for signing in, with the page to return to in place of `{next}`."""
    return (settings_of(request).sign_in_url or "").replace("{next}", quote(was_at(request), safe=""))


def _surroundings(request: Request) -> dict[str, Any]:
    viewer, settings = request.state.viewer, settings_of(request)
    assets: Assets = request.app.state.assets
    theme = request.cookies.get(THEME_COOKIE)
    return {
        "viewer": viewer,
        "settings": settings,
        "branding": settings.branding,
        # In a template, Jinja would take the translated title for markup, and not escape it.
        "console_title": locale.gettext(settings.branding.title),
        "url": partial(path_to, request),
        "asset": lambda name: path_to(request, "static", file=assets.file_of(name)),
        "sections": _sections(viewer),
        "csrf": csrf.token(request.state.csrf_cookie, viewer, settings) if viewer else "",
        "language": locale.current(),
        "languages": locale.LANGUAGES,
        "direction": locale.direction(),
        "theme": theme if theme in THEMES else "system",
        "here": was_at(request),
        "may_sign_out": viewer is not None and request.state.portal is not None,
        "query": request.query_params,
        "now": formats.now(),
    }


def _sections(viewer: Viewer | None) -> list[tuple[str, str]]:
    """Return the pages in the top bar, besides the list of webhooks."""
    sections = [
        ("deliveries", locale.gettext("Deliveries")),
        ("catalog", locale.gettext("Events")),
        ("reference", locale.gettext("API")),
    ]
    if viewer is not None and viewer.may(Permission.OPERATE):
        sections.append(("operator", locale.gettext("Operator")))
    return sections


def _new_rows() -> list[tuple[str, str]]:
    """Return the texts for "3 new" rows by plural category, for scripts to choose from."""
    counts = {"zero": 0, "one": 1, "two": 2, "few": 3, "many": 11, "other": 100}
    return [(kind, locale.ngettext("{count} new", "{count} new", count)) for kind, count in counts.items()]


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
        locale.gettext, locale.ngettext, newstyle=True
    )
    environment.filters.update(formats.FILTERS)
    environment.filters.update({one.__name__: one for one in (cause, state_name, state_tone, told, waits_until)})
    environment.globals["Permission"] = Permission
    environment.globals["new_rows"] = _new_rows
    # The one-time value of a form: the store keeps the outcome under it.
    environment.globals["new_once"] = partial(secrets.token_urlsafe, 12)
    return environment
