"""Give a method that waits on I/O an awaitable twin, or a coroutine function one that blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from unihooks._base.event_loops import run_in_new_loop
from unihooks._base.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

# The event loop's default threads belong to the host. Calls of ours that hang must not use them up.
in_own_thread = Threads(16, "unihooks-call").run


def awaitable(
    method: Callable[P, T], in_thread: Callable[..., Awaitable[T]] = in_own_thread
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that runs `method` in a thread, so that it does not block the event loop."""

    @wraps(method)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(method, *args, **kwargs)

    twin.__name__ = f"a{method.__name__}"
    twin.__qualname__ = method.__qualname__.removesuffix(method.__name__) + twin.__name__
    twin.__doc__ = f"Do what `{method.__name__}` does without blocking the event loop."
    return twin


def blocking(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a function that runs the coroutine function `method` in an event loop of its own, and waits for it."""

    @wraps(method)
    def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_in_new_loop(lambda: method(*args, **kwargs))

    twin.__name__ = method.__name__.removeprefix("a")
    twin.__qualname__ = method.__qualname__.removesuffix(method.__name__) + twin.__name__
    return twin
