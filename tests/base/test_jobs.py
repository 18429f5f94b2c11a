from __future__ import annotations

import threading
import traceback

import pytest

from unihooks._base.jobs import OneShot


@pytest.mark.parametrize("early", [True, False])
def test_who_waits_gets_the_result_whenever_it_comes(early):
    promise = OneShot()
    keeper = threading.Thread(target=promise.set_result, args=([1, 2],))
    if early:
        keeper.start()
        keeper.join()
        assert promise.result() == [1, 2]
    else:
        threading.Timer(0, keeper.start).start()
        assert promise.result() == [1, 2]
        keeper.join()


def test_an_error_is_raised_where_it_is_waited_for():
    promise = OneShot()
    error = ZeroDivisionError("of the work")
    promise.set_exception(error)
    with pytest.raises(ZeroDivisionError) as caught:
        promise.result()
    assert caught.value is error


def test_an_error_does_not_keep_what_was_promised_alive():
    promise = OneShot()
    promise.set_exception(ZeroDivisionError())
    try:
        promise.result()
    except ZeroDivisionError as error:
        inside = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
    assert inside == [{}]
