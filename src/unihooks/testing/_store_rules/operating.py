"""The rules for what every store shows an operator: trends, backlogs, leases, jobs of all tenants."""

from __future__ import annotations

from unihooks._base.times import SECOND, from_us, to_us
from unihooks._contract.activity import HOUR, SLICE
from unihooks._contract.jobs import Replays
from unihooks._contract.leasing import Lease, holder_of, new_token
from unihooks.abc import Capacity, DeliveryFilter
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene

OTHER = "other"


def _note(scene: Scene) -> None:
    """Do the chore that records the age of the queue."""
    scene.store.expire_held(scene.store.now() - 5 * 24 * HOUR, 100)


class OperatingRules:
    """The rules of `trends`, `backlog`, `leased` and `newest_jobs`."""

    def test_age_of_the_queue_is_noted_at_its_worst_in_each_five_minutes(self, scene: Scene) -> None:
        scene.active()
        _note(scene)
        assert scene.store.trends(10).ages[-1].age_us == 0
        start = scene.store.now()
        scene.emit()
        scene.clock.advance(20)
        _note(scene)
        scene.plan()
        scene.deliver(*scene.claim())
        _note(scene)
        [*_, worst] = scene.store.trends(10).ages
        assert (worst.at, worst.age_us) == (from_us(start // SLICE * SLICE), 20 * SECOND)

    def test_overdue_deliveries_age_the_queue_and_future_retries_do_not(self, scene: Scene) -> None:
        scene.active()
        scene.retry(scene.claimed(), after=600)
        _note(scene)
        assert scene.store.trends(10).ages[-1].age_us == 0
        scene.clock.advance(31)
        # A worker that has looked at the lane after the lease ended knows when it is due.
        assert scene.claim() == []
        scene.clock.advance(1_169)
        _note(scene)
        assert scene.store.trends(10).ages[-1].age_us == 600 * SECOND

    def test_ages_of_more_than_a_day_ago_are_forgotten(self, scene: Scene) -> None:
        for _ in range(3):
            _note(scene)
            scene.clock.advance(13 * 3_600)
        assert len(scene.store.trends(10).ages) == 1

    def test_throughput_is_of_all_tenants_hour_by_hour(self, scene: Scene) -> None:
        scene.active()
        scene.active(OTHER_URL, tenant=OTHER)
        scene.emit()
        scene.emit(tenant=OTHER)
        scene.plan()
        ours, theirs = sorted(scene.claim(), key=lambda one: one.tenant)
        scene.deliver(ours)
        scene.retry(theirs, after=7_200)
        _note(scene)
        hours = scene.store.trends(10).hours
        assert (len(hours), to_us(hours[-1].hour)) == (25, scene.store.now() // HOUR * HOUR)
        assert (hours[-1].attempts, hours[-1].delivered, hours[-1].failed) == (2, 1, 1)
        scene.clock.advance(3_600)
        assert [one.attempts for one in scene.store.trends(10).hours[-2:]] == [2, 0]

    def test_tenants_with_the_most_failures_come_first_and_those_without_are_left_out(self, scene: Scene) -> None:
        for tenant, count in (("a", 1), ("b", 2), ("c", 0)):
            scene.active(f"https://{tenant}.example.com/", tenant=tenant)
            for number in range(3):
                scene.planned(tenant=tenant)
                [claimed] = scene.claim()
                if number < count:
                    scene.retry(claimed, after=7_200)
                else:
                    scene.deliver(claimed)
        _note(scene)
        assert [(one.tenant, one.attempts, one.failed) for one in scene.store.trends(10).tenants] == [
            ("b", 3, 2),
            ("a", 3, 1),
        ]
        assert [one.tenant for one in scene.store.trends(1).tenants] == ["b"]

    def test_of_an_erased_tenant_no_figures_are_left(self, scene: Scene) -> None:
        scene.active()
        scene.retry(scene.claimed(), after=7_200)
        _note(scene)
        scene.erase_tenant()
        assert scene.store.trends(10).tenants == []

    def test_backlog_says_what_pending_deliveries_wait_for(self, scene: Scene) -> None:
        webhook, off = scene.active(), scene.active(OTHER_URL)
        scene.active("https://else.example.com/", tenant=OTHER)
        start = scene.store.now()
        scene.emit()
        scene.emit(tenant=OTHER)
        found = scene.store.backlog(ACME)
        assert (found.unplanned, found.due, found.oldest_unplanned_at) == (1, 0, from_us(start))
        scene.plan()
        scene.deactivate(off)
        found = scene.store.backlog(ACME)
        assert (found.unplanned, found.due, found.held, found.oldest_due_at) == (0, 1, 1, from_us(start))
        [claimed] = [one for one in scene.claim() if one.tenant == ACME]
        found = scene.store.backlog(ACME)
        assert (found.due, found.in_flight, found.later) == (0, 1, 0)
        scene.retry(claimed, after=600)
        found = scene.store.backlog(ACME)
        assert (found.due, found.in_flight, found.later, found.held) == (0, 0, 1, 1)
        scene.store.delete_webhook(ACME, webhook.id)
        assert scene.store.backlog(ACME).later == 0
        assert scene.store.backlog("nobody").due == 0

    def test_leases_say_which_worker_holds_what_and_until_when(self, scene: Scene) -> None:
        scene.active()
        scene.planned()
        lease = Lease(token=new_token("worker-1"), seconds=30)
        [claimed] = scene.store.claim(lease, Capacity(10, 10))
        [held] = scene.store.leased(10)
        assert (held.id, held.tenant, held.holder) == (claimed.id, ACME, holder_of("worker-1"))
        assert held.leased_until_at == from_us(scene.store.now() + 30 * SECOND)
        assert held.url == URL
        assert scene.store.leased(0) == []
        scene.clock.advance(31)
        assert scene.store.leased(10) == []

    def test_jobs_of_all_tenants_are_listed_newest_first_with_all_that_have_not_ended(self, scene: Scene) -> None:
        jobs = []
        for tenant in (ACME, OTHER, ACME, OTHER):
            scene.clock.advance(1)
            jobs.append(scene.store.add_job(tenant, Replays(filters=DeliveryFilter()), at_most=10))
        for job in jobs[1:]:
            scene.store.stop_job(job.tenant, job.id)
        found = scene.store.newest_jobs(2)
        assert [one.id for one in found] == [jobs[3].id, jobs[2].id, jobs[0].id]
        assert [one.tenant for one in found] == [OTHER, ACME, ACME]
