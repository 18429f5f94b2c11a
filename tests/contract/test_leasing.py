from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unihooks._contract.leasing import holder, holder_of, new_token


@given(st.text(max_size=40))
def test_a_token_tells_its_worker_and_fits_every_database(worker_id):
    token = new_token(worker_id)
    assert holder(token) == holder_of(worker_id)
    assert 0 <= token < 2**62


def test_tokens_of_one_worker_differ():
    assert len({new_token("one") for _ in range(1000)}) == 1000
