"""The bench of the edge: what it adds up, and that its limit is one."""

import pytest
from bench import edge

LISTED = """numpy 71400000 14000000
scipy 142900000 28600000
onnxruntime 80200000 4500000
pip 14300000 7200000
nearfar 10000000 6000000
rich 2000000 1000000
"""


def test_all_but_the_three_large_ones_and_pip_is_added_up():
    text = "\n".join(edge.sizes(edge.parse(LISTED)))
    assert "| scipy | 142.9 | 28.6 |" in text
    assert "| everything else | 12.0 | 7.0 |" in text
    assert "without what pip compiles (`--no-compile`) 5.0 MB" in text
    assert "pip 14" not in text


@pytest.mark.slow
def test_a_process_that_needs_more_than_its_limit_fails():
    hungry = ["-c", "bytearray(200 << 20)"]
    assert edge.confined(hungry, 400, runs=1).seconds > 0
    with pytest.raises(RuntimeError):
        edge.confined(hungry, 150, runs=1)
    assert 8 <= edge.least(["-c", "pass"]) < 100
