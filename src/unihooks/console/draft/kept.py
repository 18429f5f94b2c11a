"""Keep what a viewer enters for a new webhook in the store, for a day, until it is a webhook or discarded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from hashlib import sha256

from attrs import evolve, field, frozen
from starlette.requests import Request

from unihooks._base.awaitable import in_own_thread
from unihooks._base.ids import made_at, new_id
from unihooks._base.times import DAY, SECOND, from_us
from unihooks._dispatcher import Dispatcher
from unihooks._model.checks import check_id
from unihooks.abc import State, StateKey, StateKind, Store
from unihooks.console.draft import values
from unihooks.console.draft.draft import STEPS, Draft, Room
from unihooks.console.host.rates import Limiter
from unihooks.console.http.rendering import settings_of, viewer_of
from unihooks.exceptions import Conflict, NotFound

MOST_DRAFTS = 5
# The limit for all browsers together where only a viewer's name is known, which several people may share.
_MOST_OF_A_NAME = 20
_MOST_FINISHED = 20
_TRIES = 4
_PREFIX = "drf_"
_ID = re.compile(r"drf_[0-9A-HJKMNP-TV-Z]{26}")
# After this time, the process that was adding the webhook has finished or died.
_CREATING_US = 60 * SECOND


class Stale(Exception):
    """The same step was changed or removed in another tab; `now` is its current state."""

    def __init__(self, now: KeptDraft) -> None:
        super().__init__()
        self.now = now


class TooMany(Exception):
    """The viewer has saved too often; `wait` is the number of seconds until the next save."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


@frozen(kw_only=True)
class KeptDraft:
    """A draft as the store has it; version 0 means that it is not stored yet.

    `changes` has, for each step, the version and the page that changed it last. `tried` are the steps that the viewer
    has tried to leave: only these show their problems.
    """

    id: str
    draft: Draft
    version: int = 0
    changes: dict[str, tuple[int, str]] = field(factory=dict)
    tried: frozenset[str] = frozenset()
    saved_at: datetime | None = None
    creating_since: int = 0

    def is_stale(self, step: str, version: int, page: str) -> bool:
        """Return whether a step was changed after a page had read this version, on another page."""
        at, by = self.changes.get(step, (0, ""))
        return at > version and by != page

    @property
    def reached(self) -> str:
        """Return the last step with input."""
        return next((step for step in reversed(STEPS) if step in self.changes), STEPS[0])

    @property
    def title(self) -> str:
        """Return a label for this draft: its name, or else its first URL."""
        return self.draft.name.strip() or next((one.url for one in self.draft.endpoints if one.url), "")


@frozen(kw_only=True)
class Drafts:
    """The drafts of one viewer.

    If only the viewer's name is known, which others may share, `browser` identifies the browser, and drafts of other
    browsers are hidden. Otherwise it is empty.
    """

    store: Store
    tenant: str
    owner: str
    browser: str
    room: Room
    limiter: Limiter

    @classmethod
    def of(cls, request: Request) -> Drafts:
        """Return the drafts of the viewer of a request."""
        settings, viewer = settings_of(request), viewer_of(request)
        dispatcher: Dispatcher = settings.dispatcher
        return cls(
            store=dispatcher.settings.open_store,
            tenant=viewer.tenant,
            owner=viewer.owner,
            browser="" if viewer.id else sha256(request.state.csrf_cookie.encode()).hexdigest()[:32],
            room=Room.of(dispatcher, None),
            limiter=settings.rates.drafts,
        )

    async def new_id(self) -> str:
        """Return the id for a new draft."""
        return new_id(_PREFIX, await in_own_thread(self.store.now))

    async def is_open(self, id_: str) -> bool:
        """Return whether an id can be that of a new draft: it is well formed, and less than a day old."""
        now = await in_own_thread(self.store.now)
        return _ID.fullmatch(id_) is not None and made_at(id_) > now - DAY

    async def all(self) -> list[KeptDraft]:
        """Return all drafts, the last saved one first."""
        found = await in_own_thread(self.store.list_state, self.tenant, self.owner, StateKind.DRAFT)
        return [kept for kept in map(self._read, found) if kept is not None]

    async def get(self, id_: str) -> KeptDraft | None:
        """Return a draft, if it is there."""
        state = await self._get(StateKind.DRAFT, id_)
        return None if state is None else self._read(state)

    def blank(self, id_: str) -> KeptDraft:
        """Return a draft that has not been saved yet."""
        return KeptDraft(id=id_, draft=Draft(room=self.room))

    async def save(
        self, id_: str, change: Callable[[Draft], Draft], *, step: str, version: int, page: str, tried: bool = False
    ) -> KeptDraft:
        """Change a step of a draft for a page that has read this version of it; return the draft as it is then.

        Raise `Stale` if another page has changed the same step since then, and `TooMany` if saves come too fast.
        """
        for _ in range(_TRIES):
            kept = await self.get(id_)
            before = kept or self.blank(id_)
            draft = change(before.draft)
            changed = values.write(draft) != values.write(before.draft)
            if changed and (before.is_stale(step, version, page) or (version and kept is None)):
                raise Stale(before)
            marked = before.tried | ({step} if tried else set())
            if not changed and (marked == before.tried or not before.version):
                return evolve(before, draft=draft, tried=marked)
            changes = {**before.changes, step: (before.version + 1, page)} if changed else before.changes
            try:
                return await self._put(evolve(before, draft=draft, tried=marked, changes=changes))
            except (Conflict, NotFound):
                # Another step was saved at the same time, or the draft has gone: look again.
                continue
        raise Stale(before)

    async def mark_tried(self, kept: KeptDraft, steps: Iterable[str]) -> KeptDraft:
        """Note that the viewer has tried to leave these steps, so that their problems are shown."""
        try:
            return await self._put(evolve(kept, tried=kept.tried | set(steps)), limited=False)
        except (Conflict, NotFound):
            return kept

    async def discard(self, id_: str) -> None:
        """Forget a draft."""
        await in_own_thread(self.store.drop_state, self._key(StateKind.DRAFT, id_))

    async def claim(self, kept: KeptDraft) -> KeptDraft:
        """Note that the webhook is being added; raise `Conflict` if another request is adding it."""
        now = await in_own_thread(self.store.now)
        if kept.creating_since > now - _CREATING_US:
            raise Conflict("the webhook is being added already", name="version")
        return await self._put(evolve(kept, creating_since=now), limited=False)

    async def release(self, kept: KeptDraft) -> KeptDraft:
        """Note that the webhook was not added after all."""
        return await self._put(evolve(kept, creating_since=0), limited=False)

    async def finish(self, id_: str, webhook_id: str) -> None:
        """Note which webhook a draft has become, and forget the draft."""
        put = partial(self.store.put_state, keep_us=DAY, at_most=_MOST_FINISHED, oldest_goes=True)
        await in_own_thread(put, self._key(StateKind.FINISHED, id_), {"webhook": webhook_id, "seen": False})
        await self.discard(id_)

    async def finished(self, id_: str) -> str | None:
        """Return the id of the webhook that a draft has become."""
        state = await self._get(StateKind.FINISHED, id_)
        return None if state is None else str(state.value["webhook"])

    async def first_look(self, webhook_id: str) -> bool:
        """Return whether the viewer now sees the webhook of a draft for the first time; true only once."""
        for state in await in_own_thread(self.store.list_state, self.tenant, self.owner, StateKind.FINISHED):
            if state.value["webhook"] == webhook_id and not state.value["seen"]:
                put = partial(self.store.put_state, version=state.version, keep_us=DAY, at_most=_MOST_FINISHED)
                try:
                    await in_own_thread(put, state.key, {**state.value, "seen": True})
                except (Conflict, NotFound):
                    return False
                return True
        return False

    async def _get(self, kind: StateKind, id_: str) -> State | None:
        try:
            return await in_own_thread(self.store.get_state, self._key(kind, id_))
        except NotFound:
            return None

    async def _put(self, kept: KeptDraft, *, limited: bool = True) -> KeptDraft:
        if limited and (wait := self.limiter.take(f"{self.tenant}\0{self.owner}")):
            raise TooMany(wait)
        value = {
            "draft": values.write(kept.draft),
            "changes": kept.changes,
            "tried": sorted(kept.tried),
            "creating": kept.creating_since,
            "browser": self.browser,
        }
        at_most = MOST_DRAFTS if kept.version else await self._room()
        put = partial(self.store.put_state, version=kept.version, keep_us=DAY, at_most=at_most)
        state = await in_own_thread(put, self._key(StateKind.DRAFT, kept.id), value)
        return evolve(kept, version=state.version, saved_at=from_us(state.updated_at))

    async def _room(self) -> int:
        """Return how many drafts the owner may have, counting those of others with the same name."""
        found = await in_own_thread(self.store.list_state, self.tenant, self.owner, StateKind.DRAFT)
        others = sum(self._read(one) is None for one in found)
        return min(MOST_DRAFTS + others, _MOST_OF_A_NAME)

    def _key(self, kind: StateKind, id_: str) -> StateKey:
        return StateKey(self.tenant, self.owner, kind, check_id("draft", id_))

    def _read(self, state: State) -> KeptDraft | None:
        draft = values.read(state.value["draft"])
        if draft is None or state.value["browser"] != self.browser:
            return None
        return KeptDraft(
            id=state.key.id,
            draft=evolve(draft, room=self.room, version=state.version),
            version=state.version,
            changes={step: (at, by) for step, (at, by) in state.value["changes"].items()},
            tried=frozenset(state.value["tried"]),
            saved_at=from_us(state.updated_at),
            creating_since=state.value["creating"],
        )
