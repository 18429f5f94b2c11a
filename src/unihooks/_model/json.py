"""Convert the public values to and from JSON data.

On the way out, signing secrets and header values become `"***"`; on the way in
they are plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.secrets import MASK, Secret
from unihooks._model.page import Page
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.exceptions import InvalidWebhook, UnihooksError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return JSON data (dicts, lists, text, numbers, None) for a value or a page of values.

    Times become ISO 8601 text; bytes become text, in which what is not UTF-8 is escaped.
    """
    return _converter.unstructure(value)


def from_json(kind: type[T], data: Any) -> T:
    """Return a value of this kind from JSON data; a wrong field raises InvalidWebhook with its name."""
    try:
        return _converter.structure(data, kind)
    except cattrs.ForbiddenExtraKeysError as error:
        name = min(error.extra_fields)
        raise InvalidWebhook(f"there is no field {name!r}; leave it out", name=name) from None
    except (UnihooksError, cattrs.BaseValidationError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise _readable(kind, error) from None


def _readable(kind: type, error: Exception) -> UnihooksError:
    if isinstance(error, UnihooksError):
        return error
    if isinstance(error, KeyError):
        return InvalidWebhook(f"the field {error.args[0]!r} is missing; add it", name=str(error.args[0]))
    return InvalidWebhook(
        f"this is not the JSON form of {kind.__name__}; see the reference for its fields", name=kind.__name__
    )


def _mapping_to_json(mapping: PayloadMapping) -> dict[str, Any]:
    return {"remove": list(mapping.remove), "rename": dict(mapping.rename)}


def _mapping_from_json(data: Any, _: object) -> PayloadMapping:
    if not isinstance(data, Mapping) or set(data) - {"remove", "rename"}:
        raise InvalidWebhook("mapping must be an object with only remove and rename", name="mapping")
    return PayloadMapping(remove=data.get("remove", ()), rename=data.get("rename", {}))


def _time_from_json(data: Any, _: object) -> datetime:
    moment = datetime.fromisoformat(data)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _page_to_json(page: Page[Any]) -> dict[str, Any]:
    return {"items": [to_json(item) for item in page], "next": page.next, "previous": page.previous}


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False, forbid_extra_keys=True)
    converter.register_unstructure_hook(Secret, lambda _: MASK)
    converter.register_structure_hook(Secret, lambda data, _: Secret(data))
    converter.register_unstructure_hook(HeaderSet, lambda headers: dict.fromkeys(headers, MASK))
    converter.register_structure_hook(HeaderSet, lambda data, _: HeaderSet(data))
    converter.register_unstructure_hook(PayloadMapping, _mapping_to_json)
    converter.register_structure_hook(PayloadMapping, _mapping_from_json)
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())
    converter.register_structure_hook(datetime, _time_from_json)
    converter.register_unstructure_hook(bytes, lambda data: data.decode("utf-8", "backslashreplace"))
    converter.register_structure_hook(bytes, lambda data, _: data.encode())
    converter.register_unstructure_hook_func(_is_page, _page_to_json)
    _register_webhook(converter)
    return converter


def _is_page(kind: Any) -> bool:
    return kind is Page or get_origin(kind) is Page


def _register_webhook(converter: cattrs.Converter) -> None:
    # An endpoint may be given as its URL alone. Internal fields are left out.
    endpoint = make_dict_structure_fn(Endpoint, converter, _cattrs_forbid_extra_keys=True)
    converter.register_structure_hook(
        Endpoint, lambda data, kind: Endpoint(data) if isinstance(data, str) else endpoint(data, kind)
    )
    inner = override(omit=True)
    converter.register_unstructure_hook(
        Endpoint, make_dict_unstructure_fn(Endpoint, converter, webhook_id=inner, tenant=inner)
    )
    converter.register_unstructure_hook(
        Webhook, make_dict_unstructure_fn(Webhook, converter, interval=override(omit=True))
    )


_converter = _make_converter()
