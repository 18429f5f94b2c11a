"""Show JSON in colour: each key and value is marked with what it is, and all of it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

# Beyond it, a page with all the marks would be too large; it is shown without colours.
_MOST_CHARACTERS = 65_536
_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\\n]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<literal>\b(?:true|false|null)\b)"
)
_STARTS = ("{", "[")


def coloured(text: str) -> Markup:
    """Return a text with its JSON tokens marked; one that is no JSON object or list comes back as it is, escaped.

    >>> coloured('{"a": "<b>"}')
    Markup('{<span class="key">&#34;a&#34;</span>: <span class="string">&#34;&lt;b&gt;&#34;</span>}')
    >>> coloured("<i>teapot</i> 418")
    Markup('&lt;i&gt;teapot&lt;/i&gt; 418')
    """
    if len(text) > _MOST_CHARACTERS or not text.lstrip().startswith(_STARTS):
        return escape(text)
    return Markup("").join(_marked(text))


def _marked(text: str) -> Iterator[Markup]:
    reached = 0
    for found in _TOKEN.finditer(text):
        yield escape(text[reached : found.start()])
        yield Markup('<span class="{}">{}</span>').format(found.lastgroup, found[0])
        reached = found.end()
    yield escape(text[reached:])
