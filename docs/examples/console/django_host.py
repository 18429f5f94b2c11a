"""Django with the console, as an ASGI or a WSGI application; start one, then open http://127.0.0.1:8000/sign-in.

uvicorn --app-dir docs/examples/console django_host:asgi
python docs/examples/console/django_host.py runserver --noreload

A worker runs beside it: (cd docs/examples/console && unihooks worker --app shop:dispatcher)
"""

import sys

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.shortcuts import redirect
from django.urls import path
from shop import SECRET_KEY, dispatcher, to_viewer
from starlette.routing import Mount, Router

from unihooks.console import create_console
from unihooks.console import wsgi as to_wsgi

settings.configure(
    SECRET_KEY=SECRET_KEY,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    WSGI_APPLICATION=f"{__name__}.wsgi",
)


def sign_in(request):
    """Stand for the shop's own sign-in."""
    request.session["tenant"] = "acme"
    return redirect("/webhooks/")


urlpatterns = [path("sign-in", sign_in)]


async def authenticate(request):
    """Read Django's session, since Django's middleware does not see the console's requests."""
    session = SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME))
    return to_viewer(await session.aget("tenant"))


console = create_console(dispatcher, authenticate=authenticate)

asgi = Router([Mount("/webhooks", console), Mount("/", get_asgi_application())])

_django, _console = get_wsgi_application(), to_wsgi(console)


def wsgi(environ, start_response):
    """Pass requests below /webhooks to the console, and all others to Django."""
    prefix, path_info = "/webhooks", environ["PATH_INFO"]
    if path_info == prefix or path_info.startswith(f"{prefix}/"):
        script_name = environ.get("SCRIPT_NAME", "") + prefix
        environ = {**environ, "SCRIPT_NAME": script_name, "PATH_INFO": path_info[len(prefix) :]}
        return _console(environ, start_response)
    return _django(environ, start_response)


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
