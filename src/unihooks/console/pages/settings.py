"""Show the settings of a webhook in sections, change one of them, and make a copy of the webhook."""

from __future__ import annotations

from hashlib import sha256

from attrs import evolve, frozen
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks._dispatcher import Dispatcher
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.console.draft import checks, commands, conditions_text, policy_text
from unihooks.console.draft.checks import Problems
from unihooks.console.draft.draft import Draft, Room, of_form, of_webhook
from unihooks.console.draft.step_values import operators, step_values
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form, is_save
from unihooks.console.http.once import one_at_a_time
from unihooks.console.http.rendering import (
    go_to,
    off_the_loop,
    page,
    path_to,
    refusal,
    rendered,
    settings_of,
    viewer_of,
    webhook_of,
)
from unihooks.console.words.locale import gettext, later
from unihooks.console.words.sentences import told
from unihooks.console.words.titles import titles
from unihooks.exceptions import Conflict, NotFound, UnihooksError

_LONGEST_NAME = 200
_COPIED = ("name", "description", "subscriptions", "mapping", "headers", "policy", "ordered")

_SECRET_VALUES = later(
    "An endpoint at a new address would get the saved values, which you may not see. Replace or remove them here, "
    "or ask somebody who may see secrets to change the address."
)
_CONFLICT = later(
    "Somebody else has changed this webhook since you opened it. Your values are still here: check the webhook in "
    "another tab, and save again to replace their changes with yours."
)


@frozen
class Section:
    """A part of the settings: its step of the form, its fields there, and the parts of the webhook that they change."""

    title: str
    step: str
    fields: tuple[str, ...]
    changes: tuple[str, ...]


SECTIONS = {
    "details": Section(later("Details"), "details", ("name", "description"), ("name", "description")),
    "endpoints": Section(later("Endpoints"), "details", ("endpoints",), ("endpoints",)),
    "events": Section(
        later("Events"),
        "events",
        ("events", "conditions", "condition_rows", "conditions_as_text", "picker"),
        ("subscriptions",),
    ),
    "payload": Section(later("Payload"), "mapping", ("mapping", "sample"), ("mapping",)),
    "headers": Section(later("Headers"), "headers", ("headers",), ("headers",)),
    "policy": Section(later("Delivery policy"), "details", ("policy", "ordered"), ("policy", "ordered")),
}
# The steps under which links from before the sections ask for them.
_OLD_STEPS = {"details": "details", "events": "events", "mapping": "payload", "headers": "headers"}


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show all settings as they are."""
    dispatcher, webhook = settings_of(request).dispatcher, await webhook_of(request)
    return await page(
        request,
        "settings.html",
        webhook=webhook,
        title_of=titles(dispatcher.catalog),
        operators=operators(),
        value_text=conditions_text.value_text,
        policy=policy_text.write(webhook.policy),
        egress_ips=dispatcher.egress_ips,
    )


@view(Permission.WRITE)
async def edit(request: Request) -> Response:
    """Show the form of one section."""
    section, webhook = _section_of(request), await webhook_of(request)
    draft = evolve(of_webhook(webhook), step=section.step)
    return await off_the_loop(_shown, request, section, draft, webhook)


@action(Permission.WRITE, once=is_save)
async def change(request: Request, form: Form) -> Response:
    """Do what the pressed button says: change the form, or save the section."""
    section, webhook = _section_of(request), await webhook_of(request)
    dispatcher = settings_of(request).dispatcher
    if section.fields == ("endpoints",) and form.all("header_name"):
        section = _with_headers(section)
    draft, wrong = await off_the_loop(_pressed, form, section, webhook, dispatcher)
    if form.get("go") != "save" or wrong:
        return await off_the_loop(_shown, request, section, draft, webhook, wrong, go=form.get("go"))
    try:
        if await _may_save(request, draft, webhook):
            await _save(dispatcher, section, draft, webhook)
            return go_to(request, "settings", done="saved", webhook_id=webhook.id)
        section, wrong = _with_headers(section), {"headers": gettext(_SECRET_VALUES)}
    except Conflict:
        draft, wrong = evolve(draft, version=webhook.version), {"": gettext(_CONFLICT)}
    except UnihooksError as error:
        wrong = {"": told(error)}
    return await off_the_loop(_shown, request, section, draft, webhook, wrong)


@action(Permission.WRITE)
async def duplicate(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Add an inactive webhook with the same settings, which has a secret of its own.

    If there is such a copy already, unchanged and inactive, lead there. A reloaded page has a new one-time value in its
    form, so that value does not stop the same click from making a second copy.
    """
    webhook, tenant = await webhook_of(request), viewer_of(request).tenant
    copy, webhooks = _copy_of(webhook), settings_of(request).dispatcher.webhooks
    async with one_at_a_time(request, f"copy {webhook.id}"):
        found = await webhooks.alist(tenant=tenant, search=copy.name, status="inactive", sort="newest")
        before = next((one for one in found if _says_the_same(one, copy)), None)
        there = before or await webhooks.aadd(copy, tenant=tenant)
    return go_to(request, "settings", done="duplicated_before" if before else "duplicated", webhook_id=there.id)


def _copy_of(webhook: Webhook) -> Webhook:
    name = gettext("Copy of %(name)s") % {"name": webhook.name}
    return Webhook(
        name=name[:_LONGEST_NAME],
        endpoints=[Endpoint(one.url, description=one.description) for one in webhook.endpoints],
        **{field: getattr(webhook, field) for field in _COPIED if field != "name"},
    )


def _says_the_same(one: Webhook, other: Webhook) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in _COPIED) and [
        (endpoint.url, endpoint.description, endpoint.enabled) for endpoint in one.endpoints
    ] == [(endpoint.url, endpoint.description, endpoint.enabled) for endpoint in other.endpoints]


@view(Permission.WRITE)
async def moved(request: Request) -> Response:
    """Lead to where the settings are now."""
    webhook = await webhook_of(request)
    section = _OLD_STEPS.get(request.query_params.get("step", ""))
    if section is None:
        return RedirectResponse(path_to(request, "settings", webhook_id=webhook.id), 303)
    return RedirectResponse(path_to(request, "section", webhook_id=webhook.id, section=section), 303)


def _section_of(request: Request) -> Section:
    try:
        return SECTIONS[request.path_params["section"]]
    except KeyError:
        raise NotFound("there is no such section", name="section") from None


def _with_headers(section: Section) -> Section:
    """Return the section with the headers, as when their values are asked for along with a new address."""
    return evolve(section, fields=(*section.fields, "headers"), changes=(*section.changes, "headers"))


def _pressed(form: Form, section: Section, webhook: Webhook, dispatcher: Dispatcher) -> tuple[Draft, Problems]:
    """Return the draft after the pressed button, and what is wrong with it if it is to be saved."""
    room = Room.of(dispatcher, webhook)
    given = of_form(form, room)
    fields = {name: getattr(given, name) for name in section.fields}
    saved = of_webhook(webhook)
    # What others have changed in another section is no reason to refuse this one.
    version = webhook.version if form.get("seen") == _seen(section, webhook) else given.version
    draft = evolve(saved, step=section.step, version=version, room=room, **fields)
    draft = commands.with_typed_renames(commands.commanded(draft, form.get("go"), form), form)
    return draft, _problems(draft, section, dispatcher) if form.get("go") == "save" else {}


def _seen(section: Section, webhook: Webhook) -> str:
    """Return a hash of the section; for headers, the webhook's version, since a hash could reveal their values."""
    if "headers" in section.fields:
        return str(webhook.version)
    saved = of_webhook(webhook)
    return sha256(repr([getattr(saved, name) for name in section.fields]).encode()).hexdigest()[:16]


def _problems(draft: Draft, section: Section, dispatcher: Dispatcher) -> Problems:
    """Return what is wrong with the fields of a section."""
    steps = {section.step, *(["headers"] if "headers" in section.fields else [])}
    found = {name: sentence for step in steps for name, sentence in checks.problems(draft, dispatcher, step).items()}
    if section.step != "details":
        return found
    return {name: sentence for name, sentence in found.items() if checks.field_of(name) in section.fields}


async def _may_save(request: Request, draft: Draft, webhook: Webhook) -> bool:
    """Return whether the viewer may see secrets, or the change sends no saved value of a header to a new origin."""
    if viewer_of(request).may(Permission.SECRETS):
        return True
    return not await off_the_loop(checks.reveals_headers, draft, webhook, settings_of(request).dispatcher)


async def _save(dispatcher: Dispatcher, section: Section, draft: Draft, webhook: Webhook) -> None:
    fields = await off_the_loop(checks.to_fields, draft, webhook)
    changes = {name: fields[name] for name in section.changes}
    await dispatcher.webhooks.aupdate(webhook.id, tenant=webhook.tenant, version=draft.version, **changes)


def _shown(
    request: Request, section: Section, draft: Draft, webhook: Webhook, wrong: Problems | None = None, *, go: str = ""
) -> Response:
    dispatcher = settings_of(request).dispatcher
    problems = dict(wrong or {})
    if "endpoints" in section.fields:
        problems = {**checks.url_problems(draft, dispatcher), **problems}
    if section.step == "mapping":
        problems = {**checks.problems(draft, dispatcher, "mapping"), **problems}
    return rendered(
        request,
        "section.html",
        http_status=refusal(request) if wrong else 200,
        webhook=webhook,
        name=request.path_params["section"],
        section_title=gettext(section.title),
        where=path_to(request, "section", webhook_id=webhook.id, section=request.path_params["section"]),
        draft=draft,
        # A form that has become stale stays so until its viewer has been told.
        seen=_seen(section, webhook) if draft.version == webhook.version else "",
        with_headers="headers" in section.fields,
        problems=problems,
        refused=bool(wrong),
        focus=go,
        **step_values(draft, dispatcher),
    )


ROUTES = [
    Route("/webhooks/{webhook_id}/settings", show, methods=["GET"], name="settings"),
    Route("/webhooks/{webhook_id}/settings/{section}", edit, methods=["GET"], name="section"),
    Route("/webhooks/{webhook_id}/settings/{section}", change, methods=["POST"], name="change"),
    Route("/webhooks/{webhook_id}/duplicate", duplicate, methods=["POST"], name="duplicate"),
    Route("/webhooks/{webhook_id}/edit", moved, methods=["GET"], name="edit"),
]
