"""Every kind that is found says what it means for a score."""

import re
from pathlib import Path

import nearfar
from nearfar.health.kinds import KINDS, MEANS, means

HEALTH = Path(nearfar.__file__).parent / "health"


def test_every_kind_says_what_it_does_to_scores():
    assert set(KINDS) <= set(MEANS)
    for meaning in MEANS.values():
        assert meaning.endswith(".")
        assert len(meaning) <= 160  # short
        assert "\n" not in meaning


def test_every_finding_of_a_set_has_a_meaning():
    text = (HEALTH / "inventory.py").read_text(encoding="utf-8")
    used = set(re.findall(r"Finding\(\s*(?:machine\.name|\"\"),\s*\"([a-z ]+)\"", text))
    used |= set(re.findall(r"_finding\(\s*machine,\s*\"([a-z ]+)\"", text))
    assert {"count", "name", "attributes", "prefix"} <= used <= set(MEANS)


def test_every_line_has_a_way_out():
    for says in KINDS.values():
        assert re.search(r"\?|; |, or ", says)


def test_a_kind_is_explained_once():
    assert list(means(["leak", "copy", "leak"])) == ["leak", "copy"]


def test_the_page_tells_every_kind_and_what_it_does():
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z ]+)` \| .* \| (.*) \|$", page, flags=re.MULTILINE))
    assert rows == MEANS
