"""Make verbs of a store from functions that work in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from unihooks.stores.sql.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")
_Work = Callable[Concatenate[Transaction, P], T]
_Verb = Callable[Concatenate[Any, P], T]


def verb(kind: str, function: _Work[P, T]) -> _Verb[P, T]:
    """Return the verb that runs a function in a transaction of this kind: `write`, `read` or `ask`."""

    @wraps(function)
    def done_in_transaction(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        done: T = getattr(self._database, kind)(lambda tx: function(tx, *args, **kwargs))
        return done

    return done_in_transaction
