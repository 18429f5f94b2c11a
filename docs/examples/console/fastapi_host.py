"""FastAPI with the console; start it, then open http://127.0.0.1:8000/sign-in.

uvicorn --app-dir docs/examples/console fastapi_host:app
"""

from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from shop import SECRET_KEY, dispatcher, to_viewer
from starlette.middleware.sessions import SessionMiddleware

from unihooks.console import create_console


@asynccontextmanager
async def lifespan(_app: FastAPI):
    async with dispatcher:
        with dispatcher.running():
            yield


def authenticate(request: Request):
    return to_viewer(request.session.get("tenant"))


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=SECRET_KEY)
app.mount("/webhooks", create_console(dispatcher, authenticate=authenticate))


@app.get("/sign-in")
async def sign_in(request: Request):
    """Stand for the shop's own sign-in."""
    request.session["tenant"] = "acme"
    return RedirectResponse("/webhooks/", 303)
