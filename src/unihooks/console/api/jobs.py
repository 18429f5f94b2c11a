"""Start jobs, show their progress, stop them."""

from __future__ import annotations

from functools import partial
from typing import Any

from unihooks.console.api import shapes
from unihooks.console.api.log import with_times
from unihooks.console.api.operations import PAGING, Call, operation, sending
from unihooks.console.host.viewers import Permission

_ONE = "/jobs/{job_id}"
_MADE: dict[str, Any] = {"status": 201, "body_names": True, "location": "/jobs/{id}"}


@operation("GET", "/jobs", "listJobs", answer="JobPage", query=PAGING)
async def list_jobs(call: Call) -> dict[str, Any]:
    """List jobs, newest first. They are recoveries and replays that workers do in slices."""
    return shapes.page(await call.dispatcher.jobs.alist(tenant=call.tenant, **call.query))


@sending("/jobs/recover", "startRecovery", answer="Job", body="RecoveryJob", **_MADE)
async def start_recovery(call: Call) -> dict[str, Any]:
    """Start a job that plans the events a webhook missed in a period, and sends failed deliveries again.

    A tenant has few unfinished jobs at a time.
    """
    return shapes.shown(await call.dispatcher.jobs.arecover(tenant=call.tenant, **with_times(call.body)))


@sending("/jobs/replay", "startReplay", answer="Job", body="ReplayJob", **_MADE)
async def start_replay(call: Call) -> dict[str, Any]:
    """Start a job that replays the deliveries that match a filter. They are sent as before, or rendered as today.

    A tenant has few unfinished jobs at a time.
    """
    start = partial(call.dispatcher.jobs.areplay, rendering=call.body.get("rendering", "sent"))
    return shapes.shown(await start(tenant=call.tenant, **with_times(call.body["filter"])))


@operation("GET", _ONE, "getJob", answer="Job")
async def get_job(call: Call) -> dict[str, Any]:
    """Return a job with its progress. `done` of `total` were looked at, `made` were sent again."""
    return shapes.shown(await call.dispatcher.jobs.aget(call.path["job_id"], tenant=call.tenant))


@operation("POST", f"{_ONE}/stop", "stopJob", answer="Job", body="Nothing", permission=Permission.SEND, keyed=True)
async def stop_job(call: Call) -> dict[str, Any]:
    """Stop a job. Deliveries that it has made stay, and a job that has ended is not changed."""
    return shapes.shown(await call.dispatcher.jobs.astop(call.path["job_id"], tenant=call.tenant))
