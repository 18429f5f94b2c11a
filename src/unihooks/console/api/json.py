"""Convert the public values to JSON data, in which secrets and header values are `"***"`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_origin

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from unihooks._management.paging import Page
from unihooks._message.conditions import Condition
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.secrets import MASK, Secret
from unihooks._model.log import Event
from unihooks._model.webhooks import Endpoint, Webhook


def to_json(value: Any) -> Any:
    """Return JSON data (dicts, lists, text, numbers, None) for a value or a page of values.

    Times become ISO 8601 text; bytes become text, in which what is not UTF-8 is escaped.
    """
    return _converter.unstructure(value)


def _mapping_to_json(mapping: PayloadMapping) -> dict[str, Any]:
    return {"remove": list(mapping.remove), "rename": dict(mapping.rename)}


def _page_to_json(page: Page[Any]) -> dict[str, Any]:
    return {"items": [to_json(item) for item in page], "next": page.next, "previous": page.previous}


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(Secret, lambda _: MASK)
    converter.register_unstructure_hook(HeaderSet, lambda headers: dict.fromkeys(headers, MASK))
    converter.register_unstructure_hook(PayloadMapping, _mapping_to_json)
    converter.register_unstructure_hook(Condition, Condition.parts)
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())
    converter.register_unstructure_hook(bytes, lambda data: data.decode("utf-8", "backslashreplace"))
    converter.register_unstructure_hook_func(_is_page, _page_to_json)
    _register_webhook(converter)
    return converter


def _is_page(kind: Any) -> bool:
    return kind is Page or get_origin(kind) is Page


def _register_webhook(converter: cattrs.Converter) -> None:
    # Internal fields are left out.
    omitted = override(omit=True)
    endpoint = make_dict_unstructure_fn(Endpoint, converter, webhook_id=omitted, tenant=omitted)
    converter.register_unstructure_hook(Endpoint, endpoint)
    # A payload is JSON data already, and going through it would take longer than all the rest.
    payload = override(unstruct_hook=lambda payload: payload)
    converter.register_unstructure_hook(Event, make_dict_unstructure_fn(Event, converter, payload=payload))
    converter.register_unstructure_hook(Webhook, make_dict_unstructure_fn(Webhook, converter, interval=omitted))


_converter = _make_converter()
