"""Post with other people's clients: nothing is stored, signed or logged."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks import IN_FLIGHT, Meter, Task, run_loop

_HEADERS = {"content-type": "application/json"}


def bare_aiohttp(task: Task, count: Any) -> dict[str, float]:
    """Post the ready bytes with one aiohttp session."""
    body = task.body

    async def main() -> dict[str, float]:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=task.trust)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def post(url: str) -> None:
                async with session.post(url, data=body, headers=_HEADERS) as response:
                    await response.read()

            return await _post_all(task, post)

    return run_loop(task, main)


def shared_httpx(task: Task, count: Any) -> dict[str, float]:
    """Post with one `httpx.AsyncClient` of default limits."""
    body = task.body

    async def main() -> dict[str, float]:
        import httpx

        async with httpx.AsyncClient(verify=task.trust, timeout=60) as client:

            async def post(url: str) -> None:
                await client.post(url, content=body, headers=_HEADERS)

            return await _post_all(task, post)

    return run_loop(task, main)


def own_transport(task: Task, count: Any) -> dict[str, float]:
    """Post with the library's transport alone."""
    body = task.body

    async def main() -> dict[str, float]:
        import httpx

        from unihooks import TargetPolicy
        from unihooks.transport import HTTPTransport

        transport = HTTPTransport(TargetPolicy(allow=["127.0.0.0/8"]), ssl_context=task.trust)
        headers = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % len(body))]
        requests = {
            url: httpx.Request(
                "POST",
                url,
                headers=[*headers, (b"content-type", b"application/json")],
                stream=httpx.ByteStream(body),
                extensions={"unihooks": {"endpoint_id": url}},
            )
            for url in task.urls
        }

        async def post(url: str) -> None:
            await transport.handle_async_request(requests[url])

        try:
            return await _post_all(task, post)
        finally:
            await transport.aclose()

    return run_loop(task, main)


async def _post_all(task: Task, post: Callable[[str], Any]) -> dict[str, float]:
    await _post_many(task, post, task.warm)
    meter = Meter()
    await _post_many(task, post, task.count)
    return meter.read(task.count)


async def _post_many(task: Task, post: Callable[[str], Any], how_many: int) -> None:
    urls = task.urls
    numbers = iter(range(how_many))

    async def poster() -> None:
        for number in numbers:
            await post(urls[number % len(urls)])

    await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))


def has_wrk() -> bool:
    """Say whether wrk is installed."""
    return shutil.which("wrk") is not None


_SCRIPT = """
local number = 0
request = function()
   number = number + 1
   return wrk.format("POST", "/keep/" .. number % {endpoints}, {{["content-type"] = "application/json"}}, "{body}")
end
"""


def wrk(task: Task, count: Any) -> dict[str, float]:
    """Post as fast as wrk can for two seconds; requests that it could not finish count only at the receiver."""
    body = task.body.decode().replace('"', '\\"')
    with tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(endpoints=task.endpoints, body=body))
        url = f"https://127.0.0.1:{task.address.port}"
        meter = Meter()
        subprocess.run(["wrk", "-t1", f"-c{IN_FLIGHT}", "-d2s", "-s", script, url], check=True, capture_output=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = meter.read(count.value)
    return {**figures, "cpu": (used.ru_utime + used.ru_stime) / count.value * 1e6}
