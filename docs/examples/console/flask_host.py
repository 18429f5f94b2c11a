"""Flask with the console; start it, then open http://127.0.0.1:5000/sign-in.

flask --app docs/examples/console/flask_host.py run

A worker runs beside it: (cd docs/examples/console && unihooks worker --app shop:dispatcher)
"""

from flask import Flask, redirect, session
from shop import SECRET_KEY, dispatcher, to_viewer
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from unihooks.console import create_console, wsgi

app = Flask(__name__)
app.secret_key = SECRET_KEY


@app.get("/sign-in")
def sign_in():
    """Stand for the shop's own sign-in."""
    session["tenant"] = "acme"
    return redirect("/webhooks/")


def authenticate(request):
    """Let Flask read its session from the console's request."""
    with app.request_context(request.scope["wsgi_environ"]):
        return to_viewer(session.get("tenant"))


console = wsgi(create_console(dispatcher, authenticate=authenticate))
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/webhooks": console})
