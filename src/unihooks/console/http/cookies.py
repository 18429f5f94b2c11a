"""Read and write the console's cookies: hidden from scripts, and sent in frames where these are allowed."""

from __future__ import annotations

from starlette.requests import Request

from unihooks.console.host.settings import ConsoleSettings


def cookie_of(request: Request, settings: ConsoleSettings, name: str) -> str | None:
    """Return the value of a cookie that this console has set."""
    return request.cookies.get(_full_name(request, settings, name))


def cookie_header(
    request: Request, settings: ConsoleSettings, name: str, value: str, *, seconds: int | None = None
) -> str:
    """Return a `Set-Cookie` value; without `seconds` the cookie ends with the browser's session."""
    secure = _is_secure(request, settings)
    # Browsers accept the prefix `__Host-` only with this path.
    path = "/" if secure else f"{request.scope.get('root_path', '')}/"
    parts = [f"{_full_name(request, settings, name)}={value}", f"Path={path}", "HttpOnly"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if settings.embedded:
        # Browsers block cookies in frames of other sites, unless they are kept apart for each such site: `Partitioned`.
        return "; ".join([*parts, "SameSite=None", "Secure", "Partitioned"])
    return "; ".join([*parts, "SameSite=Lax", *(["Secure"] if secure else [])])


def _full_name(request: Request, settings: ConsoleSettings, name: str) -> str:
    # Only this host can set a cookie with the prefix; without it, a neighbouring domain could plant one.
    return f"__Host-{name}" if _is_secure(request, settings) else name


def _is_secure(request: Request, settings: ConsoleSettings) -> bool:
    return settings.embedded or request.scope["scheme"] == "https"
