"""Add a webhook step by step: each step has its own page, and what is entered there is kept as a draft."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

from attrs import evolve, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unihooks._dispatcher import Dispatcher
from unihooks.console.draft import checks, commands, values
from unihooks.console.draft.checks import Problems
from unihooks.console.draft.draft import STEPS, Draft, of_form
from unihooks.console.draft.kept import MOST_DRAFTS, Drafts, KeptDraft, Stale, TooMany
from unihooks.console.draft.step_values import step_values
from unihooks.console.draft.trial import Trial, tried_out
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form, to_number
from unihooks.console.http.rendering import (
    go_to,
    is_visit,
    off_the_loop,
    page,
    path_to,
    redirect,
    refusal,
    refuse,
    rendered,
    settings_of,
    viewer_of,
)
from unihooks.console.views.tests import choices
from unihooks.console.words.locale import gettext, ngettext
from unihooks.console.words.sentences import told
from unihooks.console.words.titles import titles
from unihooks.exceptions import Conflict, InvalidArgument, LimitReached, NotFound, UnihooksError

PATHS = {step: "payload" if step == "mapping" else step for step in STEPS}
_STEPS = {path: step for step, path in PATHS.items()}
_LOOK, _KEEP, _DISCARD, _TRY, _RECEIVER = "", "keep", "discard", "try", "receiver"
_SAVES = {"save": False, "save:active": True}
# Where a page is entered again after a button without a script, and which field then has the focus.
_ANCHORS = {"add-endpoint": "endpoints", "add-header": "headers"}
_FOCUS = {"paste": "add-endpoint", "paste-headers": "add-header"}
# A second submit waits for the first, which adds the webhook.
_WAITS = 40
_WAIT_SECONDS = 0.25


@frozen
class _Place:
    """A step of a draft, which a request is about."""

    drafts: Drafts
    id: str
    step: str

    @classmethod
    def of(cls, request: Request) -> _Place:
        step = _STEPS.get(request.path_params["step"])
        if step is None:
            raise HTTPException(404)
        return cls(Drafts.of(request), request.path_params["draft_id"], step)


@view(Permission.WRITE)
async def start(request: Request) -> Response:
    """Lead to a new draft, or offer those that are there."""
    drafts = Drafts.of(request)
    found = await drafts.all()
    if len(found) >= MOST_DRAFTS or (found and "fresh" not in request.query_params):
        return await page(request, "drafts.html", drafts=found, most=MOST_DRAFTS)
    return redirect(request, _path(request, await drafts.new_id(), STEPS[0]))


@view(Permission.WRITE)
async def go_on(request: Request) -> Response:
    """Lead to the step of a draft that was reached."""
    id_ = request.path_params["draft_id"]
    kept = await Drafts.of(request).get(id_)
    return redirect(request, _path(request, id_, kept.reached if kept else STEPS[0]))


@view(Permission.WRITE)
async def show(request: Request) -> Response:
    """Show a step of a draft."""
    place = _Place.of(request)
    kept = await place.drafts.get(place.id)
    if kept is not None:
        return await off_the_loop(_shown, request, kept, place.step, focus="step")
    if (webhook_id := await place.drafts.finished(place.id)) is not None:
        return go_to(request, "webhook", webhook_id=webhook_id)
    if not await place.drafts.is_open(place.id):
        return refuse(request, 404, sentence=gettext("A draft is kept for a day after it was last saved."))
    if place.step != STEPS[0]:
        return redirect(request, _path(request, place.id, STEPS[0]))
    return await off_the_loop(_shown, request, place.drafts.blank(place.id), place.step, focus="first")


def _causes(form: Form) -> bool:
    """Return whether the pressed button does more than change the draft."""
    return form.get("go") in (*_SAVES, _TRY)


async def _tried_before(request: Request, form: Form) -> Response:  # noqa: ARG001 - like all that handle a form
    return await show(request)


@action(Permission.WRITE, once=_causes, again=_tried_before)
async def press(request: Request, form: Form) -> Response:
    """Save the input of a step's page, and carry out the pressed button."""
    place, go = _Place.of(request), form.get("go")
    if (webhook_id := await place.drafts.finished(place.id)) is not None:
        return go_to(request, "webhook", webhook_id=webhook_id)
    if go == _DISCARD:
        if await place.drafts.get(place.id) is not None:
            await place.drafts.discard(place.id)
        return go_to(request, "webhooks", done="discarded")
    change = partial(_changed, form=form, step=place.step, drafts=place.drafts)
    version, tab = to_number(form.get("version")) or 0, form.get("once")
    if go == _LOOK:
        kept = await place.drafts.get(place.id) or place.drafts.blank(place.id)
        return await off_the_loop(lambda: _shown(request, evolve(kept, draft=change(kept.draft)), place.step))
    try:
        kept = await place.drafts.save(
            place.id, change, step=place.step, version=version, page=tab, tried=go in ("next", *_SAVES)
        )
    except (Stale, TooMany, LimitReached, InvalidArgument) as error:
        return await _not_saved(request, place, form, error)
    return await _done(request, place, kept, form)


async def _done(request: Request, place: _Place, kept: KeptDraft, form: Form) -> Response:
    """Respond to a page whose draft is saved."""
    go = form.get("go")
    if go in (_KEEP, _RECEIVER):
        there = {"draft_id": place.id}
        return JSONResponse({"version": kept.version}) if go == _KEEP else go_to(request, "receiver", **there)
    if go in _SAVES:
        return await _add(request, place, kept, active=_SAVES[go])
    if go == _TRY:
        return await _try_out(request, kept, form)
    to, wrong = await off_the_loop(_next_step, place.step, kept, form, settings_of(request).dispatcher)
    if to != place.step:
        return redirect(request, _path(request, place.id, to))
    if is_visit(request) and not wrong:
        return redirect(request, f"{_path(request, place.id, place.step)}#{_ANCHORS.get(go, 'draft')}")
    # If a header's name is refused, its value stays on the page, so that only the name has to be corrected.
    typed = form.all("header_value") if wrong else ()
    return await off_the_loop(
        _shown, request, kept, place.step, wrong, focus=_FOCUS.get(go.partition(":")[0], go), unsaved=typed
    )


async def _add(request: Request, place: _Place, kept: KeptDraft, *, active: bool) -> Response:
    """Add the webhook, unless something is wrong, or it is there already."""
    dispatcher = settings_of(request).dispatcher
    wrong = await off_the_loop(checks.problems, kept.draft, dispatcher)
    if wrong:
        step = checks.step_of(next(iter(wrong)))
        if kept.version and step != place.step:
            await place.drafts.mark_tried(kept, STEPS)
            # After the correction, the same form can be sent again.
            request.state.refused = True
            return redirect(request, _path(request, place.id, step))
        return await off_the_loop(_shown, request, kept, step, wrong)
    try:
        kept = await place.drafts.claim(kept)
    except (Conflict, NotFound):
        return await _added_meanwhile(request, place)
    try:
        new = await off_the_loop(checks.to_webhook, evolve(kept.draft, active=active))
        webhook = await dispatcher.webhooks.aadd(new, tenant=viewer_of(request).tenant)
    except UnihooksError as error:
        kept = await place.drafts.release(kept)
        return await off_the_loop(_shown, request, kept, place.step, {"": told(error)})
    await place.drafts.finish(place.id, webhook.id)
    return go_to(request, "ready", webhook_id=webhook.id)


async def _added_meanwhile(request: Request, place: _Place) -> Response:
    """Lead to the webhook that another submit is adding; or say that the draft was changed at the same moment."""
    for _ in range(_WAITS):
        kept = await place.drafts.get(place.id)
        if (webhook_id := await place.drafts.finished(place.id)) is not None:
            return go_to(request, "webhook", webhook_id=webhook_id)
        if kept is not None and not kept.creating_since:
            sentence, _, _ = _reason(Stale(kept))
            return await off_the_loop(_shown, request, kept, place.step, {"": sentence})
        await asyncio.sleep(_WAIT_SECONDS)
    return refuse(request, 409)


async def _try_out(request: Request, kept: KeptDraft, form: Form) -> Response:
    """Send a test to the endpoints of the draft, and show what came back."""
    wrong = await off_the_loop(checks.problems, kept.draft, settings_of(request).dispatcher)
    if wrong:
        return await off_the_loop(_shown, request, kept, "review", {"": next(iter(wrong.values()))})
    trial = await tried_out(request, kept.draft, form.get("try_event"))
    return await off_the_loop(_shown, request, kept, "review", trial=trial, focus=_TRY)


async def _not_saved(request: Request, place: _Place, form: Form, error: Exception) -> Response:
    """Say why a page was not saved; what was entered there stays in it."""
    sentence, status, wait = _reason(error)
    if form.get("go") == _KEEP:
        headers = {"retry-after": str(int(wait) + 1)} if wait else None
        return JSONResponse({"sentence": sentence}, status, headers=headers)
    now = error.now if isinstance(error, Stale) else await place.drafts.get(place.id) or place.drafts.blank(place.id)
    entered = await off_the_loop(_changed, now.draft, form=form, step=place.step, drafts=place.drafts)
    kept, unsaved = evolve(now, draft=entered), form.all("header_value")
    return await off_the_loop(_shown, request, kept, place.step, {"": sentence}, unsaved=unsaved)


def _reason(error: Exception) -> tuple[str, int, float]:
    """Return the sentence for a page that was not saved, its status, and how long to wait."""
    if isinstance(error, TooMany):
        seconds = int(error.wait) + 1
        sentence = ngettext(
            "Too many saves in a short time. Try again in %(count)s second.",
            "Too many saves in a short time. Try again in %(count)s seconds.",
            seconds,
        )
        return sentence % {"count": seconds}, 429, error.wait
    if isinstance(error, LimitReached):
        sentence = gettext("You have %(most)s unfinished webhooks already. Create or discard one of them first.")
        return sentence % {"most": MOST_DRAFTS}, 409, 0
    if isinstance(error, InvalidArgument):
        return gettext("This is too long to be kept. Make it shorter."), 413, 0
    return (
        gettext(
            "This draft was changed in another tab since you opened it here. Your values are still here: save again to "
            "replace those with yours, or reload the page to see them."
        ),
        409,
        0,
    )


def _changed(before: Draft, *, form: Form, step: str, drafts: Drafts) -> Draft:
    """Return the draft with what the page of a step has sent, and after its button."""
    go = form.get("go")
    given = evolve(of_form(form, drafts.room), step=step)
    if go == "next" and step == "mapping":
        given = commands.with_typed_renames(given, form)
    draft = before.with_step(given)
    if not go.startswith("step:"):
        draft = commands.commanded(draft, go, form)
    headers = values.with_values(draft.headers, before.headers) if step == "headers" else draft.headers
    return evolve(draft, headers=headers)


def _next_step(step: str, kept: KeptDraft, form: Form, dispatcher: Dispatcher) -> tuple[str, Problems]:
    """Return the step that the pressed button leads to, and the problems that keep the viewer on this one."""
    go = form.get("go")
    verb, _, rest = go.partition(":")
    at = evolve(kept.draft, step=step)
    if verb == "step" and rest in STEPS:
        return rest, {}
    if go == "back":
        return at.before().step, {}
    if go != "next" or (step == "mapping" and _has_typed_renames(form)):
        return step, {}
    wrong = checks.problems(kept.draft, dispatcher, step)
    return (step if wrong else at.after().step), wrong


def _has_typed_renames(form: Form) -> bool:
    blank = Draft()
    return commands.with_typed_renames(blank, form) != blank


def _shown(
    request: Request,
    kept: KeptDraft,
    step: str,
    wrong: Problems | None = None,
    *,
    focus: str = "",
    trial: Trial | None = None,
    unsaved: Collection[str] = (),
) -> Response:
    dispatcher = settings_of(request).dispatcher
    draft = evolve(kept.draft, step=step)
    shown, title_of = values.shown(draft, unsaved), titles(dispatcher.catalog)
    return rendered(
        request,
        "new.html",
        http_status=refusal(request) if wrong else 200,
        kept=kept,
        draft=shown,
        webhook=None,
        refused=bool(wrong),
        focus=focus,
        problems={**_told(kept, step, dispatcher), **(wrong or {})},
        steps=STEPS,
        paths=PATHS,
        reached=_reached(kept, step, dispatcher),
        where=_path(request, kept.id, step),
        trial=trial,
        trial_choices=choices(checks.chosen(draft), dispatcher.catalog, with_example=True) if step == "review" else {},
        event_titles={f"{one.product} {one.event_type}": title_of(one) for one in checks.chosen(draft)},
        **step_values(shown, dispatcher),
    )


def _told(kept: KeptDraft, step: str, dispatcher: Dispatcher) -> Problems:
    """Return the problems that a page shows: all once the viewer has tried to go on, and else malformed URLs."""
    if step in kept.tried or step == "mapping":
        return checks.problems(kept.draft, dispatcher, step)
    return checks.url_problems(kept.draft, dispatcher) if step == "details" else {}


def _reached(kept: KeptDraft, step: str, dispatcher: Dispatcher) -> set[str]:
    """Return the valid steps among those that were changed, or lie before this one."""
    before = STEPS[: STEPS.index(step)]
    steps = [one for one in STEPS[:-1] if one in before or one in kept.changes]
    return {one for one in steps if not checks.problems(kept.draft, dispatcher, one)}


def _path(request: Request, id_: str, step: str) -> str:
    return path_to(request, "draft", draft_id=id_, step=PATHS[step])


ROUTES = [
    Route("/new", start, methods=["GET"], name="new"),
    Route("/new/{draft_id}", go_on, methods=["GET"], name="go_on"),
    Route("/new/{draft_id}/{step}", show, methods=["GET"], name="draft"),
    Route("/new/{draft_id}/{step}", press, methods=["POST"], name="press"),
]
