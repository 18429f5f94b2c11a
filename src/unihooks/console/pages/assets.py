"""Serve the console's own files, and the host's colour and logo."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console.http.assets import Assets
from unihooks.console.http.compression import accepts_gzip
from unihooks.console.http.rendering import refuse


async def static(request: Request) -> Response:
    """Return a file, compressed for browsers that accept that."""
    assets: Assets = request.app.state.assets
    file = request.path_params["file"]
    asset = assets.find(file)
    if asset is None:
        return refuse(request, 404)
    body, headers = asset.answer(file, compress=accepts_gzip(request.headers))
    return Response(body, media_type=asset.media_type, headers=headers)


ROUTES = [Route("/static/{file}", static, name="static")]
