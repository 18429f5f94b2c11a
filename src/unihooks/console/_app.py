"""Put the console together: pages, API, assets, and what guards them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.status import HTTP_404_NOT_FOUND
from starlette.types import ASGIApp

from unihooks._dispatcher import Dispatcher
from unihooks.console.api import api_routes, no_such_path
from unihooks.console.api.problems import problem_answer, to_problem
from unihooks.console.host.rates import Rates
from unihooks.console.host.settings import Authenticate, Branding, ConsoleSettings
from unihooks.console.host.theme import Colour, Theme
from unihooks.console.http.assets import Assets
from unihooks.console.http.compression import Compression
from unihooks.console.http.gate import Gate, is_api
from unihooks.console.http.rendering import refuse
from unihooks.console.http.security_headers import SecurityHeaders
from unihooks.console.pages import page_routes
from unihooks.console.words.locale import LANGUAGES, Texts, Translate, own_texts
from unihooks.console.words.sentences import told
from unihooks.exceptions import Conflict, LimitReached, NotFound, StoreError, UnihooksError


def create_console(
    dispatcher: Dispatcher,
    *,
    authenticate: Authenticate,
    title: str = "Webhooks",
    logo: str | bytes | None = None,
    accent: Colour | None = None,
    theme: Theme | None = None,
    texts: Texts | None = None,
    translate: Translate | None = None,
    home_url: str | None = None,
    help_url: str | None = None,
    language: str | None = None,
    secret: str | None = None,
    sign_in_url: str | None = None,
    frame_ancestors: str | Sequence[str] = "'none'",
    trusted_origins: str | Sequence[str] = (),
    rates: Rates | None = None,
    api_security: Mapping[str, Mapping[str, Any]] | None = None,
) -> ASGIApp:
    """Return an ASGI application to mount at any path of the host.

    Args:
        dispatcher: The dispatcher whose webhooks and log it shows.
        authenticate: Called with each request, sync or async: returns the `Viewer`, or None if it knows none.
        title: The name of the section.
        logo: A URL, or the bytes of an image, shown beside the title.
        accent: The colour of buttons, links, switches and charts, such as `#0a7d5a`, or a pair for light and dark.
        theme: What else of the look is the host's: colours, corners, fonts, density.
        texts: The host's own words for texts of the console, by their English: a text, or one for each language.
        translate: Called with a title or description of the catalog and a language, `en` or `ar`, returns it in that
            language: such as `lambda text, language: arabic.get(text, text) if language == "ar" else text`.
        home_url: A page of the host that "Back" leads to.
        help_url: A page of the host, or a mailto address, that "Help" leads to.
        language: `en` or `ar` for everybody; by default the viewer's choice or browser decides.
        secret: At least 32 random characters that only the host knows; portal links need it.
        sign_in_url: Where unknown viewers are sent, with the page to come back to in place of `{next}`; by default they
            get a page with status 401.
        frame_ancestors: Origins that may show the console in a frame; none by default.
        trusted_origins: Origins, besides the console's own, whose pages may post to it.
        rates: Limits on how often a tenant may send tests and replays.
        api_security: How programs sign in, as security schemes of OpenAPI by name, for the API's document: such as
            `{"token": {"type": "http", "scheme": "bearer"}}`.
    """
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, or None for the viewer's own")
    settings = ConsoleSettings(
        dispatcher=dispatcher,
        authenticate=authenticate,
        branding=Branding(
            title=title, logo=logo, accent=accent, home_url=home_url, help_url=help_url, theme=theme or Theme()
        ),
        language=language,
        secret=secret,
        sign_in_url=sign_in_url,
        frame_ancestors=frame_ancestors,
        trusted_origins=trusted_origins,
        rates=rates or Rates(),
        texts=own_texts(texts or {}),
        translate=translate,
        api_security=api_security,
    )
    return _build(settings)


def _build(settings: ConsoleSettings) -> ASGIApp:
    """Return the application of these settings, with all that its requests pass through."""
    app = Starlette(
        routes=[*api_routes(), *page_routes()],
        middleware=[Middleware(Compression), Middleware(Gate)],
        exception_handlers=_HANDLERS,
    )
    app.state.console = settings
    app.state.assets = Assets(settings.branding)
    # Starlette's redirects would take their host from the request.
    app.router.redirect_slashes = False
    # A page has more than a hundred links. For each of them, the router would search all routes.
    app.state.paths = {str(route.name): route.path_format for route in app.routes if isinstance(route, Route | Mount)}
    # This is the outermost layer, so that responses to failures have the headers too.
    return SecurityHeaders(app, settings)


async def _refused(request: Request, error: Exception) -> Response:
    if is_api(request):
        return no_such_path() if isinstance(error, HTTPException) else problem_answer(to_problem(error))
    status = error.status_code if isinstance(error, HTTPException) else 500
    where = _with_other_slash(request) if status == HTTP_404_NOT_FOUND else None
    if where is not None:
        return RedirectResponse(where, 307)
    answer = refuse(request, status)
    # A response with status 405 names the allowed methods in a header.
    answer.headers.update((error.headers or {}) if isinstance(error, HTTPException) else {})
    return answer


def _with_other_slash(request: Request) -> str | None:
    """Return the path of the page that differs from this one only by a slash at its end, if there is such a page."""
    path: str = request.scope["path"]
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    scope = {**request.scope, "path": other}
    if not other or all(route.matches(scope)[0] is Match.NONE for route in request.app.routes):
        return None
    query = request.scope["query_string"].decode("latin-1")
    return f"{quote(other)}?{query}" if query else quote(other)


def _page_with(status: int, *, says_why: bool = False, **values: Any) -> Callable[[Request, Exception], Any]:
    async def answer(request: Request, error: Exception) -> Response:
        return refuse(request, status, **({"sentence": told(error)} if says_why else {}), **values)

    return answer


async def _left(_request: Request, _error: Exception) -> Response:
    # The client has disconnected: nobody reads this response, and nothing went wrong here.
    return Response(status_code=400)


_HANDLERS = {
    ClientDisconnect: _left,
    HTTPException: _refused,
    NotFound: _page_with(404),
    Conflict: _page_with(409, says_why=True),
    LimitReached: _page_with(409, says_why=True, limited=True),
    # The database's message is for the operator's log, not for customers.
    StoreError: _page_with(503),
    UnihooksError: _page_with(400, says_why=True),
    Exception: _refused,
}
