"""The page of a comparison says what the comparison says, and nothing in a name is HTML."""

import re

import pytest

from browser import PHONE, opened, overflow
from evaluations import noisy
from made_scores import made
from nearfar.metrics.contest import contest
from nearfar.report.contested import write_contest
from nearfar.report.page import is_page
from nearfar.study.standings import Standings

TABLE, TRUTH = made(51, machines=2, each=14, ties=False)
EVIL = "<img src=x onerror=alert(1)>"


def found(**more):
    systems = {
        "one": [TABLE],
        EVIL: [noisy(TABLE, 0.2), noisy(TABLE, 0.2, 5), noisy(TABLE, 0.3, 6)],
        "far_off": [noisy(TABLE, 9)],
    }
    return Standings(contest(systems, TRUTH, draws=60, holm=True), **more)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "c.html"
    told = found(simulated=("SIMULATED v1 seed 3",), transductive=("one",))
    write_contest(path, told, "nearfar compare a b")
    return path, told


def plain(path):
    text = re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))
    return text.replace("−", "-")


def test_all_numbers_are_on_it(page):
    path, told = page
    text = plain(path)
    assert is_page(path, "contest")
    for standing in told.contest.standings:
        assert f"{100 * standing.score:.2f}" in text
        for row in standing.machines.values():
            for one in row.values():
                assert str(one) in text
    for duel in told.contest.duels:
        low, high = duel.comparison.interval
        assert f"{100 * low:+.2f} to {100 * high:+.2f}" in text
        assert f"{duel.adjusted:.3g}" in text
    assert "SIMULATED v1 seed 3" in text
    assert "one (transductive)" in text
    assert "nearfar compare a b" in text


def test_a_name_is_no_html(page):
    assert "<img" not in page[0].read_text(encoding="utf-8")


def test_one_system_has_no_differences(tmp_path):
    alone = Standings(contest({"s": [TABLE, noisy(TABLE, 1)]}, TRUTH, draws=20))
    text = plain(write_contest(tmp_path / "c.html", alone, "c"))
    assert "Differences" not in text
    assert "over seeds, mean ± sd" in text


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(page, dark):
    with opened(page[0], PHONE, dark=dark) as tab:
        assert overflow(tab) <= 0
