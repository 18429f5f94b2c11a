"""What a browser without JavaScript does with the console: it keeps cookies, fills in forms, presses buttons."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import httpx

HOST = "https://console.example.com"
CANARY = "canary-4711-never-shown"


class FormReader(HTMLParser):
    """A parser of what a browser without JavaScript would send for the form with an id."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[str] = []
        self._wanted, self._inside, self._select, self._area = form_id, False, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == self._wanted
        name, value = given.get("name") or "", given.get("value") or ""
        if not self._inside:
            return
        if tag == "button":
            self.buttons.append(value)
        elif tag == "input" and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self.fields.append((name, value))
        elif tag == "textarea":
            self._area = name
            self.fields.append((name, ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.fields.append((self._select, value))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._area = "" if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area:
            name, value = self.fields[-1]
            self.fields[-1] = (name, value + data)


def fields_of(answer: httpx.Response, form_id: str = "draft") -> list[tuple[str, str]]:
    reader = FormReader(form_id)
    reader.feed(answer.text)
    return reader.fields


class Browser:
    """A client that uses the console as one viewer, keeps cookies, and sends forms with their token."""

    def __init__(self, app, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers, follow_redirects=True)

    async def get(self, path: str, **rest) -> httpx.Response:
        return await self.client.get(path, **rest)

    async def draft(self) -> str:
        """Return the path of the first step of a new draft."""
        return (await self.get("/new?fresh=1")).url.path

    async def token(self, path: str = "/") -> str:
        return found[1] if (found := re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get(path)).text)) else ""

    async def post(self, path: str, fields=(), *, token: str = "", **rest) -> httpx.Response:
        token = token or await self.token()
        pairs = [*(fields.items() if isinstance(fields, dict) else fields), ("csrf", token)]
        content = str(httpx.QueryParams(pairs))
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
            **rest.pop("headers", {}),
        }
        return await self.client.post(path, content=content, headers=headers, **rest)

    async def press(
        self, answer: httpx.Response, go: str, changes: dict[str, str | list[str]] | None = None, form_id: str = "draft"
    ) -> httpx.Response:
        """Fill in a form of a page and press one of its buttons."""
        changed = changes or {}
        fields = [pair for pair in fields_of(answer, form_id) if pair[0] not in changed]
        for name, values in changed.items():
            fields += [(name, value) for value in ([values] if isinstance(values, str) else values)]
        headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        content = str(httpx.QueryParams([*fields, ("go", go)]))
        return await self.client.post(answer.url, content=content, headers=headers)


def text_of(answer: httpx.Response) -> str:
    """Return the text that a person reads: without tags, and with white space collapsed."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))
