"""Put the security headers on every response of the console."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unihooks.console.host.settings import ConsoleSettings


class SecurityHeaders:
    """An ASGI application that adds the headers to every response of another one, errors included."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = app
        images = " ".join(["'self'", "data:", *filter(None, [settings.branding.logo_origin])])
        # Only the console's own files, nothing inline, and forms only to this site.
        policy = [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {images}",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            f"frame-ancestors {' '.join(settings.frame_ancestors)}",
        ]
        self._headers = {
            # A response without it comes from somewhere else, such as a proxy, so scripts leave the page as it is.
            "console-answer": "1",
            "content-security-policy": "; ".join(policy),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        if settings.frame_ancestors == ("'none'",):
            self._headers["x-frame-options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_secured)
