"""Reveal and rotate signing secrets."""

from __future__ import annotations

from typing import Any

from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._operations import Call, Operation

_PATH = "/webhooks/{webhook_id}/secret"


async def revealed(call: Call) -> dict[str, Any]:
    """Return the secrets."""
    return _shapes.secrets(await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant))


async def rotated(call: Call) -> dict[str, Any]:
    """Make a new secret; the old ones sign along for a while."""
    made = await call.dispatcher.webhooks.arotate_secret(
        call.path["webhook_id"],
        tenant=call.tenant,
        overlap=call.body.get("overlap_seconds", 24 * 3600),
        secret=call.body.get("secret"),
    )
    return _shapes.secret(made)


OPERATIONS = (
    Operation(
        method="POST",
        path=f"{_PATH}/reveal",
        id="revealSecrets",
        about="Return the signing secrets; the current one comes first, the others sign along until they expire",
        permission=Permission.SECRETS,
        handle=revealed,
        answer="Secrets",
        body="Nothing",
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/rotate",
        id="rotateSecret",
        about="Make a new signing secret and return it; the old ones sign along for 24 hours, or as long as asked",
        permission=Permission.SECRETS,
        handle=rotated,
        answer="Secret",
        body="Rotation",
        once=True,
    ),
)
