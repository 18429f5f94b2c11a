from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unihooks._base.ids import new_id
from unihooks._contract.leasing import Share, holder, holder_of, new_token


@given(st.text(max_size=40))
def test_a_token_names_its_worker_and_fits_every_database(worker_id):
    token = new_token(worker_id)
    assert holder(token) == holder_of(worker_id)
    assert 0 <= token < 2**62


def test_tokens_of_one_worker_differ():
    assert len({new_token("one") for _ in range(1000)}) == 1000


def test_endpoints_that_were_made_together_belong_to_all_workers_alike():
    endpoints = [new_id("end_", 1_767_323_045_000_000) for _ in range(1_000)]
    counts = [len(endpoints) - len(Share(rank, 8).of_others(endpoints)) for rank in range(8)]
    assert sum(counts) == len(endpoints)
    assert min(counts) > 80
    assert max(counts) < 170
