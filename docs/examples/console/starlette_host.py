"""Starlette with the console; start it, then open http://127.0.0.1:8000/sign-in.

uvicorn --app-dir docs/examples/console starlette_host:app
"""

from contextlib import asynccontextmanager

from shop import SECRET_KEY, dispatcher, to_viewer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from unihooks.console import create_console


async def sign_in(request):
    """Stand for the shop's own sign-in."""
    request.session["tenant"] = "acme"
    return RedirectResponse("/webhooks/", 303)


def authenticate(request):
    return to_viewer(request.session.get("tenant"))


@asynccontextmanager
async def lifespan(_app):
    async with dispatcher:
        with dispatcher.running():
            yield


app = Starlette(
    routes=[
        Route("/sign-in", sign_in),
        Mount("/webhooks", create_console(dispatcher, authenticate=authenticate)),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=SECRET_KEY)],
    lifespan=lifespan,
)
