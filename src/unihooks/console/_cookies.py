"""Write the console's cookies: for its own path, hidden from scripts, and sent in frames where these are allowed."""

from __future__ import annotations

from starlette.requests import Request

from unihooks.console._settings import ConsoleSettings


def cookie_header(
    request: Request, settings: ConsoleSettings, name: str, value: str, *, seconds: int | None = None
) -> str:
    """Return a `Set-Cookie` value; without `seconds` the cookie ends with the browser's session."""
    parts = [f"{name}={value}", f"Path={request.scope.get('root_path', '')}/", "HttpOnly"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if settings.embedded:
        # Browsers block cookies in frames of other sites unless each such site has its own: `Partitioned`.
        return "; ".join([*parts, "SameSite=None", "Secure", "Partitioned"])
    secure = ["Secure"] if request.url.scheme == "https" else []
    return "; ".join([*parts, "SameSite=Lax", *secure])
