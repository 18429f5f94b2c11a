"""The suite that every store has to pass."""

from __future__ import annotations

import pytest

from unihooks.abc import Store
from unihooks.testing._clock import FakeClock
from unihooks.testing._store_rules.activity import ActivityRules
from unihooks.testing._store_rules.answers import AnswersRules
from unihooks.testing._store_rules.breaker import BreakerRules
from unihooks.testing._store_rules.claiming import ClaimingRules
from unihooks.testing._store_rules.configuration import ConfigurationRules
from unihooks.testing._store_rules.emitting import EmittingRules
from unihooks.testing._store_rules.erasing import ErasingRules
from unihooks.testing._store_rules.figures import FiguresRules
from unihooks.testing._store_rules.health import HealthRules
from unihooks.testing._store_rules.jobs import JobRules
from unihooks.testing._store_rules.limits import LimitRules
from unihooks.testing._store_rules.log import LogRules
from unihooks.testing._store_rules.operating import OperatingRules
from unihooks.testing._store_rules.order import OrderRules
from unihooks.testing._store_rules.planning import PlanningRules
from unihooks.testing._store_rules.quotas import QuotaRules
from unihooks.testing._store_rules.recording import RecordingRules
from unihooks.testing._store_rules.recovering import RecoveringRules
from unihooks.testing._store_rules.retention import RetentionRules
from unihooks.testing._store_rules.scene import Scene
from unihooks.testing._store_rules.searching import SearchRules
from unihooks.testing._store_rules.state import StateRules
from unihooks.testing._store_rules.subjects import SubjectRules
from unihooks.testing._store_rules.telling import TellingRules
from unihooks.testing._store_rules.tenants import TenantRules


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
