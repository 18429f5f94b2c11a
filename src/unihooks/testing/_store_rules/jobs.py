"""The rules that every store follows for jobs: slices, turns, rates, ends."""

from __future__ import annotations

import pytest
from attrs import evolve

from unihooks._base.times import SECOND
from unihooks._message.mapping import PayloadMapping
from unihooks._model.jobs import Job, JobKind, JobState
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Webhook
from unihooks.abc import WEBHOOK_DELETED, DeliveryFilter, Recovery, Replays, Task, Window
from unihooks.exceptions import LimitReached, NotFound
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, TOO_LONG, Scene, ids


class JobRules:
    """The rules of jobs."""

    def test_a_job_begins_as_pending_with_its_total(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 7)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert (job.tenant, job.kind, job.state) == (ACME, JobKind.RECOVER, JobState.PENDING)
        assert (job.done, job.made, job.total) == (0, 0, 7)
        assert (job.webhook_id, job.ended_at, job.reason) == (webhook.id, None, None)
        assert scene.store.get_job(ACME, job.id) == job
        assert scene.deliveries() == []

    def test_a_recovery_makes_what_recover_makes(self, scene: Scene) -> None:
        webhook, events = _missed(scene, 7)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert scene.store.work().has_jobs
        assert _advanced(scene, most=100) == [7]
        assert {one.event_id for one in scene.claim()} == set(events)
        ended = scene.store.get_job(ACME, job.id)
        assert (ended.state, ended.done, ended.made, ended.total) == (JobState.DONE, 7, 7, 7)
        assert ended.ended_at is not None
        assert not scene.store.work().has_jobs
        again = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert _advanced(scene) == [0]
        assert (scene.store.get_job(ACME, again.id).done, scene.recover(webhook)) == (7, 0)

    def test_a_recovery_continues_where_its_last_slice_ended(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 7)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        seen = []
        while scene.store.advance_jobs(most=3).more:
            now = scene.store.get_job(ACME, job.id)
            seen.append((now.state, now.done, now.made))
        running = JobState.RUNNING
        assert seen == [(running, 3, 3), (running, 6, 6), (JobState.DONE, 7, 7)]
        assert len(scene.deliveries()) == 7

    def test_a_slice_completes_its_events_so_that_quick_failures_are_not_made_again(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 2, "https://three.example.com/hooks", OTHER_URL)
        scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        made = []
        while (advanced := scene.store.advance_jobs(most=1)).more:
            made.append(advanced.made)
            scene.fail(*scene.claim())
        assert made[:2] == [2, 2]
        assert (sum(made), len(scene.deliveries())) == (4, 4)

    def test_a_recovery_leaves_out_events_after_its_end(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 3)
        task = evolve(_recovery(webhook), until=scene.store.now() + 1)
        scene.clock.advance(1)
        scene.emit()
        job = scene.store.add_job(ACME, task, at_most=2)
        assert (job.total, _advanced(scene)) == (3, [3])

    def test_a_slice_looks_at_500_at_most(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1_200)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        made = _advanced(scene, most=10_000)
        assert max(made) <= 500
        assert (sum(made), scene.store.get_job(ACME, job.id).done) == (1_200, 1_200)

    def test_a_replay_covers_the_deliveries_that_match_when_it_is_created(self, scene: Scene) -> None:
        scene.active()
        failed = [scene.claimed() for _ in range(5)]
        scene.fail(*failed)
        delivered = scene.claimed()
        scene.deliver(delivered)
        job = scene.store.add_job(ACME, _failed(), at_most=2)
        later = scene.claimed()
        scene.fail(later)
        assert (job.kind, job.total) == (JobKind.REPLAY, 5)
        assert _advanced(scene, most=2) == [2, 2, 1]
        assert sorted(scene.delivery(one.id).replay_of or "" for one in scene.claim()) == sorted(ids(failed))
        assert scene.store.get_job(ACME, job.id).done == 5

    def test_a_replay_that_fails_again_is_not_made_again_by_its_own_job(self, scene: Scene) -> None:
        scene.active()
        scene.fail(*[scene.claimed() for _ in range(4)])
        scene.store.add_job(ACME, _failed(), at_most=2)
        made = 0
        while (advanced := scene.store.advance_jobs(most=1)).more:
            made += advanced.made
            scene.fail(*scene.claim())
        assert (made, len(scene.deliveries())) == (4, 8)

    def test_a_replay_sends_the_original_body_or_todays_body(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        scene.fail(scene.claimed(payload={"a": 1}))
        scene.revise(webhook, mapping=PayloadMapping(rename={"a": "c"}))
        for today, body in ((False, b'{"b":1}'), (True, b'{"c":1}')):
            scene.store.add_job(ACME, _failed(today=today), at_most=2)
            assert _advanced(scene) == [1]
            [claimed] = scene.claim()
            assert scene.body(claimed) == body
            scene.fail(claimed)
        scene.revise(webhook, mapping=PayloadMapping())
        scene.store.add_job(ACME, _failed(today=True), at_most=2)
        _advanced(scene)
        assert {scene.body(one) for one in scene.claim()} == {b'{"a":1}'}

    def test_a_delivery_replayed_with_another_rendering_is_replayed_today_once(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        scene.deliver(*[scene.claimed(payload={"a": 1}) for _ in range(3)])
        scene.store.add_job(ACME, _delivered(), at_most=2)
        assert sum(_advanced(scene)) == 3
        scene.deliver(*scene.claim())
        for mapping, body in ((PayloadMapping(rename={"a": "c"}), b'{"c":1}'), (PayloadMapping(), b'{"a":1}')):
            scene.revise(webhook, mapping=mapping)
            for made in (3, 0):
                scene.store.add_job(ACME, _delivered(today=True), at_most=2)
                assert sum(_advanced(scene, most=2)) == made
                claimed = scene.claim()
                assert [scene.body(one) for one in claimed] == [body] * made
                scene.deliver(*claimed)
        scene.store.add_job(ACME, _delivered(), at_most=2)
        assert sum(_advanced(scene)) == 0

    def test_a_failed_rendering_is_replayed_today_if_the_rendering_has_changed(self, scene: Scene) -> None:
        webhook = scene.active(mapping=TOO_LONG)
        scene.unrendered()
        for mapping, made in ((TOO_LONG, 0), (PayloadMapping(remove=["items"]), 1)):
            scene.revise(webhook, mapping=mapping)
            scene.store.add_job(ACME, _failed(today=True), at_most=2)
            assert sum(_advanced(scene)) == made

    def test_a_job_whose_webhook_is_deleted_fails_with_the_reason(self, scene: Scene) -> None:
        for task in (_recovery, lambda webhook: _failed(webhook_id=webhook.id)):
            webhook, _ = _missed(scene, 3)
            scene.activate(webhook)
            scene.recover(webhook)
            scene.fail(*scene.claim())
            job = scene.store.add_job(ACME, task(webhook), at_most=2)
            assert scene.store.advance_jobs(most=1).made == 1
            scene.store.delete_webhook(ACME, webhook.id)
            assert scene.store.advance_jobs(most=1).made == 0
            ended = scene.store.get_job(ACME, job.id)
            assert (ended.state, ended.reason, ended.made) == (JobState.FAILED, WEBHOOK_DELETED, 1)
            assert not scene.store.advance_jobs(most=1).more

    def test_a_stopped_job_keeps_what_it_has_made(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 5)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        scene.store.advance_jobs(most=2)
        stopped = scene.store.stop_job(ACME, job.id)
        assert (stopped.state, stopped.reason, stopped.made) == (JobState.STOPPED, "stopped by hand", 2)
        scene.clock.advance(60)
        assert scene.store.stop_job(ACME, job.id) == stopped
        assert not scene.store.advance_jobs(most=2).more
        assert len(scene.claim()) == 2

    def test_unknown_jobs_and_those_of_other_tenants_are_not_found(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1)
        job = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        for tenant, job_id in (("other", job.id), (ACME, "job_unknown")):
            with pytest.raises(NotFound):
                scene.store.get_job(tenant, job_id)
            with pytest.raises(NotFound):
                scene.store.stop_job(tenant, job_id)
        assert scene.store.list_jobs("other", Window(limit=10)) == []
        assert scene.store.get_job(ACME, job.id).state is JobState.PENDING

    def test_a_job_of_an_unknown_webhook_is_not_made(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1)
        for tenant, task in (("other", _recovery(webhook)), (ACME, _failed(webhook_id="whk_unknown"))):
            with pytest.raises(NotFound):
                scene.store.add_job(tenant, task, at_most=2)
            assert scene.store.list_jobs(tenant, Window(limit=10)) == []

    def test_a_tenant_has_a_limited_number_of_unfinished_jobs(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1)
        first, _ = (scene.store.add_job(ACME, _recovery(webhook), at_most=2) for _ in range(2))
        with pytest.raises(LimitReached):
            scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert scene.store.add_job("other", _failed(), at_most=2).total == 0
        scene.store.stop_job(ACME, first.id)
        scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert len(scene.store.list_jobs(ACME, Window(limit=10))) == 3

    def test_jobs_are_listed_newest_first_page_by_page(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1)
        made = [scene.store.add_job(ACME, _recovery(webhook), at_most=5).id for _ in range(3)][::-1]
        assert ids(scene.store.list_jobs(ACME, Window(limit=10))) == made
        assert ids(scene.store.list_jobs(ACME, Window(limit=2))) == made[:2]
        assert ids(scene.store.list_jobs(ACME, Window(limit=2, older_than=made[1]))) == made[2:]

    def test_tenants_take_turns_however_many_jobs_each_has(self, scene: Scene) -> None:
        jobs = {"b": 1, "a": 2, "c": 1}
        for tenant, count in jobs.items():
            webhook, _ = _missed(scene, 3, tenant=tenant)
            for _ in range(count):
                scene.store.add_job(tenant, _recovery(webhook), at_most=2)
        turns = []
        for _ in range(6):
            before = _done(scene, jobs)
            scene.store.advance_jobs(most=1)
            turns.append(next(tenant for tenant, done in _done(scene, jobs).items() if done > before[tenant]))
        assert sorted(turns[:3]) == sorted(turns[3:]) == ["a", "b", "c"]

    def test_all_jobs_together_keep_to_a_rate(self, scene: Scene) -> None:
        for tenant in ("a", "b"):
            webhook, _ = _missed(scene, 30, tenant=tenant)
            scene.store.add_job(tenant, _recovery(webhook), at_most=2)
        assert scene.store.advance_jobs(most=500, rate=10).made == 10
        waiting = scene.store.advance_jobs(most=500, rate=10)
        assert (waiting.made, waiting.more, waiting.wait_us) == (0, True, SECOND)
        made = 10
        for _ in range(50):
            scene.clock.advance(0.1)
            made += scene.store.advance_jobs(most=500, rate=10).made
        assert 50 <= made <= 60

    def test_a_rate_below_one_is_kept(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 3)
        scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        assert scene.store.advance_jobs(most=500, rate=0.5).made == 1
        assert scene.store.advance_jobs(most=500, rate=0.5).wait_us == 2 * SECOND

    def test_a_patient_worker_waits_while_many_deliveries_are_due_in_the_same_lanes(self, scene: Scene) -> None:
        _crowded(scene)
        crowded = scene.store.advance_jobs(most=500, patient=True)
        assert (crowded.made, crowded.more) == (0, True)
        assert crowded.wait_us > 0
        scene.deliver(*scene.claim())
        assert scene.store.advance_jobs(most=500, patient=True).made == 3

    def test_a_job_waits_for_a_lane_that_waits_itself_unless_it_serves_others_too(self, scene: Scene) -> None:
        webhook, events = _missed(scene, 505)
        scene.recover(webhook)
        scene.deliver(*scene.claim(total=2))
        scene.busy(*scene.claim(total=1), seconds=60, after=0)
        assert len(events) == 505
        for task, makes in ((_recovery(webhook), 0), (_delivered(), 2)):
            job = scene.store.add_job(ACME, task, at_most=2)
            assert scene.store.advance_jobs(most=500, patient=True).made == makes
            scene.store.stop_job(ACME, job.id)

    def test_a_job_waits_for_others_deliveries_ten_minutes_at_most(self, scene: Scene) -> None:
        _crowded(scene)
        scene.clock.advance(599)
        assert scene.store.advance_jobs(most=500, patient=True).made == 0
        scene.clock.advance(1)
        assert scene.store.advance_jobs(most=500, patient=True).made == 3

    def test_a_job_that_waits_lets_those_of_others_pass(self, scene: Scene) -> None:
        _crowded(scene)
        other, _ = _missed(scene, 2, tenant="other")
        scene.store.add_job("other", _recovery(other), at_most=2)
        assert scene.store.advance_jobs(most=500, patient=True).made == 2

    def test_jobs_that_have_ended_are_pruned(self, scene: Scene) -> None:
        webhook, _ = _missed(scene, 1)
        scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        _advanced(scene)
        waiting = scene.store.add_job(ACME, _recovery(webhook), at_most=2)
        scene.clock.advance(100)
        scene.prune(200)
        assert len(scene.store.list_jobs(ACME, Window(limit=10))) == 2
        scene.prune(50)
        assert ids(scene.store.list_jobs(ACME, Window(limit=10))) == [waiting.id]


def _missed(scene: Scene, count: int, *urls: str, tenant: str = ACME) -> tuple[Webhook, list[str]]:
    """Store a webhook with events that it has missed; return the events' ids, too."""
    webhook = scene.inactive(*urls, tenant=tenant)
    events = [scene.event(tenant=tenant) for _ in range(count)]
    scene.submit(*events)
    scene.plan_all()
    return scene.activate(webhook), ids(events)


def _crowded(scene: Scene) -> None:
    """Add a job that makes three deliveries, in a lane where many are due."""
    webhook, _ = _missed(scene, 3)
    scene.several(501)
    scene.store.add_job(ACME, _recovery(webhook), at_most=2)


def _recovery(webhook: Webhook) -> Recovery:
    return Recovery(webhook_id=webhook.id, since=0, until=2**60)


def _failed(*, today: bool = False, webhook_id: str | None = None) -> Task:
    return Replays(filters=DeliveryFilter(state=DeliveryState.FAILED, webhook_id=webhook_id), today=today)


def _delivered(*, today: bool = False) -> Task:
    return Replays(filters=DeliveryFilter(state=DeliveryState.DELIVERED), today=today)


def _advanced(scene: Scene, *, most: int = 500) -> list[int]:
    """Do slices until no job is left; return how much each has made."""
    made = []
    while (advanced := scene.store.advance_jobs(most=most)).more:
        made.append(advanced.made)
    return made


def _done(scene: Scene, tenants: dict[str, int]) -> dict[str, int]:
    def all_of(tenant: str) -> list[Job]:
        return scene.store.list_jobs(tenant, Window(limit=10))

    return {tenant: sum(job.done for job in all_of(tenant)) for tenant in tenants}
