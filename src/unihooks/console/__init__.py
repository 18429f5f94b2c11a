"""The section of web pages that a host mounts for its customers."""

try:
    from unihooks.console._app import create_console
except ModuleNotFoundError as error:
    if error.name not in ("starlette", "jinja2", "markupsafe"):
        raise
    raise ImportError('the console needs an extra; install it with: pip install "unihooks[console]"') from error

from unihooks.console._wsgi import wsgi
from unihooks.console.host.rates import Limiter, Rate, Rates
from unihooks.console.host.theme import Theme
from unihooks.console.host.viewers import Permission, Viewer
from unihooks.console.http.portal import only_portal_links, portal_link
from unihooks.console.http.portal_sessions import aend_portal_sessions, end_portal_sessions

__all__ = [
    "Limiter",
    "Permission",
    "Rate",
    "Rates",
    "Theme",
    "Viewer",
    "aend_portal_sessions",
    "create_console",
    "end_portal_sessions",
    "only_portal_links",
    "portal_link",
    "wsgi",
]
