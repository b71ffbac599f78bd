"""Two walks through the whole program: a researcher's day and an engineer's week.

Each takes its commands from its page, in their order, and does what a person would do between them.
"""

import csv
import json
import shlex
import shutil

import numpy as np
import pytest

import evaluation_set
from conftest import machine_sound, write, write_machine
from record_server import serve
from shown_commands import ROOT, shown
from submissions import PDF

META = """
submission:
  name: Two microphones
  abbreviation: near
  authors:
    - lastname: Muster
      firstname: A
      email: a@b.c
      corresponding: true
      affiliation:
        institution: INST
        department: !!null
        location: Musterstadt
"""
CODES = {"check": {1}}  # sets as small as these lack clips, and check says so


def commands(page):
    """Those that a page shows."""
    return [command.text for command in shown((ROOT / "docs" / page).read_text("utf-8"), page)]


def scores_of(result):
    """Clip → score, of an evaluation's JSON."""
    return {(row["machine"], row["file"]): row["score"] for row in result["scores"]}


class Walker:
    """Types commands; keeps what each wrote, by its first words."""

    def __init__(self, run):
        self.run, self.said, self.codes = run, [], {}

    def type(self, text):
        words = shlex.split(text)[1:]
        code, out, err = self.run(*words)
        assert code in {0} | CODES.get(words[0], set()), f"{text}\n{out}\n{err}"
        self.said.append((text, out, err))
        self.codes[words[0]] = code

    def __getitem__(self, begin):
        [found] = [out for text, out, _ in self.said if text.startswith(f"nearfar {begin}")]
        return found


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What a record server serves, and the truth that comes out later."""
    root = evaluation_set.make(tmp_path_factory.mktemp("published"), ("Sander", "ToothBrush"))
    for number, machine in enumerate(("fan", "valveEmu")):
        write_machine(root / "dev_data/raw", machine, number, source=8, target=3, test=3)
    return root


@pytest.mark.slow
def test_a_researchers_day(published, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta.yaml").write_text(META)
    (tmp_path / "report.pdf").write_bytes(PDF)
    walker = Walker(run)
    with serve(published) as url:
        monkeypatch.setenv("NEARFAR_ZENODO", url)
        for text in commands("day.md"):
            if "ground_truth/" in text:  # months later
                shutil.copytree(published / "ground_truth", tmp_path / "ground_truth")
                shutil.copy(published / "eval_data_list_2026.csv", tmp_path)
            walker.type(text)

    # What was fetched is what was published, in the official layout.
    for place in ("dev_data/raw/fan", "eval_data/raw/Sander"):
        names = sorted(p.name for p in (published / place).rglob("*.wav"))
        assert sorted(p.name for p in (tmp_path / "dcase2026t2" / place).rglob("*.wav")) == names
    # Too few clips, for the year's counts are known.
    assert walker.codes["check"] == 1
    findings = json.loads((tmp_path / "check.json").read_text())
    assert any("990" in json.dumps(found) for found in findings["findings"])
    # The comparison has the Ω of both evaluations, and says in words what it means.
    omegas = [json.loads((tmp_path / f).read_text())["omega"] for f in ("s4.json", "logmel.json")]
    for omega in omegas:
        assert f"{100 * omega:.2f}" in walker["compare"]
    verdicts = [line for line in walker["compare"].splitlines() if "istinguishable" in line]
    assert len(verdicts) == 1
    # Test clips only, two files a machine.
    files = sorted((tmp_path / "s4_scores").iterdir())
    assert len(files) == 4
    for file in files:
        assert len(file.read_text().splitlines()) == 12
    # Inside and outside of the package the scores are the same.
    handed, packed = (
        json.loads((tmp_path / f).read_text()) for f in ("handed.json", "packed.json")
    )
    assert handed["omega"] == packed["omega"]
    # All are right on clips as plain as these: that it is this system its scores tell.
    assert scores_of(handed) == scores_of(packed)
    code, out, _ = run(
        "evaluate", "--scores", "submission.zip/2", "--truth", "ground_truth/", "--json", "-"
    )
    assert (code, scores_of(json.loads(out)) == scores_of(handed)) == (0, False)


def filtered(rng, **how):
    """The pump with its new filter: a hiss of air, near the machine."""
    sound = machine_sound(rng, **how)
    hiss = np.diff(rng.standard_normal(sound.shape[1] + 1)).astype(np.float32)
    return sound + np.float32(0.03) * np.stack([hiss, 0.1 * hiss])


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """A week of recordings; on Monday the filter is new."""
    root, rng = tmp_path_factory.mktemp("pump"), np.random.default_rng(4)
    for n in range(30):
        write(root / "normal" / f"{n:02d}.wav", machine_sound(rng))
    for day, sound, count in (
        ("monday", filtered, 5), ("tuesday", filtered, 5), ("monday2", filtered, 8),
    ):  # fmt: skip
        for n in range(count):
            write(root / day / f"{n:02d}.wav", sound(rng))
    for n in range(3):  # and then a bearing goes
        write(root / "monday2" / f"fault{n}.wav", filtered(rng, anomaly=True))
    # Somebody went and listened: these are the clips that called.
    for day in ("monday", "tuesday"):
        for file in (root / day).iterdir():
            (root / "confirmed").mkdir(exist_ok=True)
            shutil.copy(file, root / "confirmed" / f"{day}_{file.name}")
    return root


def anomalous(path):
    """Clip → its verdict, of a table."""
    with path.open(newline="") as stream:
        return {row["clip"]: row["anomalous"] == "True" for row in csv.DictReader(stream)}


@pytest.mark.slow
def test_an_engineers_week(pump, tmp_path, run, monkeypatch):
    shutil.copytree(pump, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    walker = Walker(run)
    for text in commands("week.md"):
        walker.type(text)
    # Before: the new filter calls, each time. After: it does not, and a fault still does.
    for day in ("monday", "tuesday"):
        assert all(anomalous(tmp_path / "here" / f"{day}.csv").values())
    after = anomalous(tmp_path / "here" / "monday2.csv")
    called = {name for name, verdict in after.items() if verdict}
    assert {n for n in after if "fault" in n} <= called
    assert len(called) <= 5  # of eight with the filter at most two
    assert "confirmed" in walker["learn pump7.detector --log"]
