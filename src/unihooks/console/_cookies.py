"""Write the console's cookies: for its own path, out of scripts' reach, and for frames where these are allowed."""

from __future__ import annotations

from starlette.requests import Request

from unihooks.console._settings import ConsoleSettings


def cookie_header(
    request: Request, settings: ConsoleSettings, name: str, value: str, *, seconds: int | None = None
) -> str:
    """Return a `Set-Cookie`; without `seconds` the cookie ends with the browser's session."""
    parts = [f"{name}={value}", f"Path={request.scope.get('root_path', '')}/", "HttpOnly"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if settings.embedded:
        # Partitioned: the site around the frame is part of the cookie's key, which browsers ask for.
        return "; ".join([*parts, "SameSite=None", "Secure", "Partitioned"])
    secure = ["Secure"] if request.url.scheme == "https" else []
    return "; ".join([*parts, "SameSite=Lax", *secure])
