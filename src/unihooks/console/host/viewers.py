"""The people who use the console: their tenant, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from attrs import field, frozen

from unihooks._model.checks import check_tenant


class Permission(StrEnum):
    """A permission of a viewer."""

    READ = "read"
    """See webhooks, their log and the event catalog."""
    WRITE = "write"
    """Add, change, activate, deactivate and delete webhooks."""
    SEND = "send"
    """Send test events, replay and cancel deliveries."""
    SECRETS = "secrets"
    """Reveal and rotate signing secrets, and send the saved values of headers to new origins."""
    OPERATE = "operate"
    """See the state of all tenants."""


def _to_permissions(value: Iterable[Permission | str]) -> frozenset[Permission]:
    if isinstance(value, str):
        raise TypeError("permissions must be a set of Permission, not a single string")
    return frozenset(Permission(one) for one in value)


@frozen
class Viewer:
    """A person whom the host has let in; `name` is shown in the top bar.

    Drafts belong to a person: `id` tells people of a tenant apart whose names may change or be the same. Without it,
    they belong to the browser in which they were made.

    >>> Viewer("acme", "Ada").may(Permission.WRITE)
    True
    >>> Viewer("acme", "Ada", {"read"}).may(Permission.WRITE)
    False
    """

    tenant: str = field(converter=check_tenant)
    name: str = field(default="", converter=str)
    permissions: frozenset[Permission] = field(
        default=frozenset(Permission) - {Permission.OPERATE}, converter=_to_permissions
    )
    id: str = field(default="", converter=str)

    @property
    def owner(self) -> str:
        """Return what distinguishes this person from others of the tenant: the id or, without one, the name."""
        return f"id {self.id}" if self.id else f"name {self.name}"

    def may(self, permission: Permission) -> bool:
        """Return whether the viewer has the permission."""
        return permission in self.permissions
