"""Add and edit a webhook in guided steps: one form that always sends the fields of all steps."""

from __future__ import annotations

from attrs import evolve
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._dispatcher import Dispatcher
from unihooks._model.webhooks import Webhook
from unihooks.console import _draft, _draft_checks
from unihooks.console._access import Form, action, is_save, view
from unihooks.console._draft import STEPS, Draft
from unihooks.console._draft_checks import Problems
from unihooks.console._once import leads_to
from unihooks.console._rendering import (
    off_the_loop,
    path_to,
    refusal,
    rendered,
    settings_of,
    viewer_of,
)
from unihooks.console._sentences import told
from unihooks.console._step_values import step_values
from unihooks.console._viewers import Permission
from unihooks.console.pages.secret import secret_page
from unihooks.exceptions import UnihooksError


@view(Permission.WRITE)
async def new(request: Request) -> Response:
    """Show the empty form."""
    return await off_the_loop(_shown, request, Draft(), None)


@action(Permission.WRITE, once=is_save)
async def add(request: Request, form: Form) -> Response:
    """Do what the pressed button says; the last one adds the webhook."""
    draft, answer = await off_the_loop(_pressed, request, form, None)
    if answer is not None:
        return answer
    try:
        webhook = await settings_of(request).dispatcher.webhooks.aadd(
            await off_the_loop(_draft_checks.to_webhook, draft), tenant=viewer_of(request).tenant
        )
    except UnihooksError as error:
        return await off_the_loop(_shown, request, draft, None, {"": told(error)})
    answer = await secret_page(request, webhook, created=True)
    where = path_to(request, "webhook", webhook_id=webhook.id)
    leads_to(request, where)
    # With the webhook's own URL, a reload shows the webhook instead of sending the form again.
    answer.headers["HX-Replace-Url"] = where
    return answer


def _pressed(request: Request, form: Form, webhook: Webhook | None) -> tuple[Draft, Response | None]:
    """Return the draft after the pressed button, and the form as it is shown then: None if it is to be saved."""
    dispatcher = settings_of(request).dispatcher
    draft, wrong = _moved(_draft.of_form(form, _draft.Room.of(dispatcher, webhook)), form, dispatcher)
    if form.get("go") == "save" and not wrong:
        return draft, None
    return draft, _shown(request, draft, webhook, wrong, focus=_focus(form, draft))


def _moved(given: Draft, form: Form, dispatcher: Dispatcher) -> tuple[Draft, Problems]:
    """Return the draft after the pressed button, and the problems that keep it on its step."""
    go = form.get("go")
    draft = _draft.commanded(given, go, form)
    if go == "save":
        wrong = _draft_checks.problems(draft, dispatcher)
        return (evolve(draft, step=_draft_checks.step_of(next(iter(wrong)))) if wrong else draft), wrong
    if go == "next" and (renamed := _draft.with_typed_renames(draft, form)) != draft:
        return renamed, {}
    if go == "next":
        wrong = _draft_checks.problems(draft, dispatcher, draft.step)
        return (draft if wrong else draft.after()), wrong
    if go == "back":
        return draft.before(), {}
    return draft, {}


def _focus(form: Form, draft: Draft) -> str:
    """Return what gets the focus: the title of a new step, or the row that was added."""
    return "step" if draft.step != form.get("step") else form.get("go")


def _shown(
    request: Request, draft: Draft, webhook: Webhook | None, wrong: Problems | None = None, *, focus: str = ""
) -> Response:
    dispatcher = settings_of(request).dispatcher
    checked = {**_draft_checks.url_problems(draft, dispatcher), **(wrong or {})}
    if draft.step in ("mapping", "review"):
        checked = {**_draft_checks.problems(draft, dispatcher, "mapping"), **checked}
    return rendered(
        request,
        "form.html",
        http_status=refusal(request) if wrong else 200,
        draft=draft,
        webhook=webhook,
        refused=bool(wrong),
        focus=focus,
        problems=checked,
        steps=STEPS,
        reached=_reached(draft, webhook, dispatcher),
        **step_values(draft, dispatcher),
    )


def _reached(draft: Draft, webhook: Webhook | None, dispatcher: Dispatcher) -> set[str]:
    """Return the valid steps among those before this one, or among all steps of a saved webhook."""
    steps = STEPS[:-1] if webhook else STEPS[: STEPS.index(draft.step)]
    return {step for step in steps if not _draft_checks.problems(draft, dispatcher, step)}


ROUTES = [
    Route("/new", new, methods=["GET"], name="new"),
    Route("/new", add, methods=["POST"], name="add"),
]
