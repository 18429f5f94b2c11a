"""List the jobs of a tenant with their progress, and stop them."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import go_to, page, path_to, settings_of, viewer_of

_PER_PAGE = 20


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show a page of the list."""
    jobs, tenant = settings_of(request).dispatcher.jobs, viewer_of(request).tenant
    cursor, where = request.query_params.get("cursor"), path_to(request, "jobs")
    found = await jobs.alist(tenant=tenant, limit=_PER_PAGE, cursor=cursor)
    return await page(
        request,
        "jobs.html",
        page=found,
        live=where if cursor is None and any(job.is_unfinished for job in found) else "",
        cursor_link=lambda cursor: f"{where}?{urlencode({'cursor': cursor})}",
    )


@action(Permission.SEND)
async def stop(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Stop a job."""
    await settings_of(request).dispatcher.jobs.astop(request.path_params["job_id"], tenant=viewer_of(request).tenant)
    return go_to(request, "jobs", done="job_stopped")


ROUTES = [
    Route("/jobs", show, name="jobs"),
    Route("/jobs/{job_id}/stop", stop, methods=["POST"], name="stop_job"),
]
