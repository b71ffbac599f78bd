"""One law for whatever does jobs: their order, their errors, and nothing asked for too soon."""

import numpy as np
import pytest

from nearfar.errors import SettingError
from nearfar.runtime.executors import Processes, executor_of, run_counted
from nearfar.runtime.runtime import Runtime


@pytest.mark.parametrize("engine", ["dask", "", "ray:", "ray:// a", 3])
def test_an_engine_that_is_none_is_refused_with_those_that_are(engine):
    with pytest.raises(SettingError, match="it is local, ray, or ray://HOST:PORT"):
        Runtime(engine=engine)


def test_an_executor_that_is_given_goes_before_the_engine():
    mine = Processes(1)
    assert executor_of(Runtime(workers=2, executor=mine)) is mine


def test_progress_counts_what_each_result_is_worth():
    told = []
    runtime = Runtime(progress=lambda *line: told.append(line))
    done = run_counted(np.arange, [1, 3], runtime, "counting", 4, len)
    assert [list(some) for some in done] == [[0], [0, 1, 2]]
    assert told == [("counting", 0, 4), ("counting", 1, 4), ("counting", 4, 4)]
