"""Litestar with the console; start it, then open http://127.0.0.1:8000/sign-in.

uvicorn --app-dir docs/examples/console litestar_host:app
"""

from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import unquote

from litestar import Litestar, Request, get
from litestar.handlers import asgi
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import Redirect
from litestar.types import Receive, Scope, Send
from shop import SECRET_KEY, dispatcher, to_viewer

from unihooks.console import create_console


@get("/sign-in")
async def sign_in(request: Request) -> Redirect:
    """Stand for the shop's own sign-in."""
    request.set_session({"tenant": "acme"})
    return Redirect("/webhooks/")


def authenticate(request):
    return to_viewer(request.session.get("tenant"))


@asynccontextmanager
async def lifespan(_app: Litestar):
    async with dispatcher:
        with dispatcher.running():
            yield


webhooks = create_console(dispatcher, authenticate=authenticate)


@asgi("/webhooks", is_mount=True, copy_scope=True)
async def console(scope: Scope, receive: Receive, send: Send) -> None:
    """Give the console the original path: Litestar removes the prefix and adds a trailing slash."""
    path = unquote(scope["raw_path"].decode())
    await webhooks({**scope, "root_path": "/webhooks", "path": path}, receive, send)


app = Litestar(
    route_handlers=[sign_in, console],
    middleware=[CookieBackendConfig(secret=sha256(SECRET_KEY.encode()).digest()).middleware],
    lifespan=[lifespan],
)
