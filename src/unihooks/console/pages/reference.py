"""Show the reference of the JSON API, made from the declarations that its OpenAPI document is made of."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console.api.document import security_schemes
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import view
from unihooks.console.http.rendering import page, path_to, refuse, settings_of, viewer_of
from unihooks.console.views import reference


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the rules that hold everywhere, and all operations by chapter."""
    return await page(
        request,
        "reference.html",
        chapters=reference.chapters(viewer_of(request)),
        schemes=security_schemes(settings_of(request)),
        problem=reference.PROBLEM,
        base=_base(request),
    )


@view(Permission.READ)
async def show_chapter(request: Request) -> Response:
    """Show the operations of a chapter, with their fields and examples."""
    name, chapters = request.path_params["chapter"], reference.chapters(viewer_of(request))
    found = next((tag for tag in chapters if tag.lower() == name), None)
    if found is None:
        return refuse(request, 404)
    entries = [reference.entry(one) for one in chapters[found]]
    return await page(
        request, "reference_chapter.html", chapters=chapters, chapter=found, entries=entries, base=_base(request)
    )


def _base(request: Request) -> str:
    """Return the URL of the API as this viewer reaches it."""
    return f"{request.url.scheme}://{request.url.netloc}{path_to(request, 'webhooks')}api"


ROUTES = [
    Route("/reference", show, name="reference"),
    Route("/reference/{chapter}", show_chapter, name="reference_chapter"),
]
