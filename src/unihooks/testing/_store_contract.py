"""The suite that every store has to pass."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "unihooks.testing._store_activity",
    "unihooks.testing._store_answers",
    "unihooks.testing._store_breaker",
    "unihooks.testing._store_claiming",
    "unihooks.testing._store_configuration",
    "unihooks.testing._store_emitting",
    "unihooks.testing._store_erasing",
    "unihooks.testing._store_figures",
    "unihooks.testing._store_health",
    "unihooks.testing._store_recovering",
    "unihooks.testing._store_retention",
    "unihooks.testing._store_jobs",
    "unihooks.testing._store_limits",
    "unihooks.testing._store_log",
    "unihooks.testing._store_operating",
    "unihooks.testing._store_order",
    "unihooks.testing._store_planning",
    "unihooks.testing._store_quotas",
    "unihooks.testing._store_recording",
    "unihooks.testing._store_scene",
    "unihooks.testing._store_searching",
    "unihooks.testing._store_state",
    "unihooks.testing._store_subjects",
    "unihooks.testing._store_tenants",
    "unihooks.testing._store_telling",
)

from unihooks.abc import Store  # noqa: E402 - asserts are to be rewritten first
from unihooks.testing._clock import FakeClock  # noqa: E402
from unihooks.testing._store_activity import ActivityRules  # noqa: E402
from unihooks.testing._store_answers import AnswersRules  # noqa: E402
from unihooks.testing._store_breaker import BreakerRules  # noqa: E402
from unihooks.testing._store_claiming import ClaimingRules  # noqa: E402
from unihooks.testing._store_configuration import ConfigurationRules  # noqa: E402
from unihooks.testing._store_emitting import EmittingRules  # noqa: E402
from unihooks.testing._store_erasing import ErasingRules  # noqa: E402
from unihooks.testing._store_figures import FiguresRules  # noqa: E402
from unihooks.testing._store_health import HealthRules  # noqa: E402
from unihooks.testing._store_jobs import JobRules  # noqa: E402
from unihooks.testing._store_limits import LimitRules  # noqa: E402
from unihooks.testing._store_log import LogRules  # noqa: E402
from unihooks.testing._store_operating import OperatingRules  # noqa: E402
from unihooks.testing._store_order import OrderRules  # noqa: E402
from unihooks.testing._store_planning import PlanningRules  # noqa: E402
from unihooks.testing._store_quotas import QuotaRules  # noqa: E402
from unihooks.testing._store_recording import RecordingRules  # noqa: E402
from unihooks.testing._store_recovering import RecoveringRules  # noqa: E402
from unihooks.testing._store_retention import RetentionRules  # noqa: E402
from unihooks.testing._store_scene import Scene  # noqa: E402
from unihooks.testing._store_searching import SearchRules  # noqa: E402
from unihooks.testing._store_state import StateRules  # noqa: E402
from unihooks.testing._store_subjects import SubjectRules  # noqa: E402
from unihooks.testing._store_telling import TellingRules  # noqa: E402
from unihooks.testing._store_tenants import TenantRules  # noqa: E402


class StoreContract(
    ConfigurationRules,
    EmittingRules,
    QuotaRules,
    PlanningRules,
    ClaimingRules,
    LimitRules,
    RecordingRules,
    BreakerRules,
    HealthRules,
    ActivityRules,
    LogRules,
    SearchRules,
    SubjectRules,
    OrderRules,
    RecoveringRules,
    RetentionRules,
    JobRules,
    ErasingRules,
    TenantRules,
    FiguresRules,
    OperatingRules,
    AnswersRules,
    StateRules,
    TellingRules,
):
    """The rules of `unihooks.abc.Store` as tests.

    Subclass it in a test module, and override the fixture `store` so that it
    gives an empty store and closes it afterwards::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self, tmp_path):
                store = MyStore(tmp_path / "webhooks")
                yield store
                store.close()
    """

    @pytest.fixture
    def store(self) -> Store:
        """Give an empty store; override this one."""
        pytest.fail("override the fixture `store` so that it gives an empty store")

    @pytest.fixture
    def clock(self, store: Store) -> FakeClock:
        """Give the clock from which the store takes all times."""
        clock = FakeClock()
        store.use_clock(clock)
        return clock

    @pytest.fixture
    def scene(self, store: Store, clock: FakeClock) -> Scene:
        """Give the store together with its clock and builders."""
        return Scene(store, clock)
