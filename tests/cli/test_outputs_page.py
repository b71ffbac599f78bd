"""docs/outputs.md names the keys that JSON really has, and no others."""

import json
import re
import shutil

import pytest

from conftest import TESTS, first_quick, machine_sound, write
from evaluations import as_json, noisy
from heard_clips import write_history
from made_history import make_history
from made_scores import made

PAGE = (TESTS.parent / "docs" / "outputs.md").read_text(encoding="utf-8")
PLAIN = ("-s", "logmel", "--set", "embedder.n_mels=20")


def documented(title):
    section = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
    (text,) = (part for part in section if part.splitlines()[0] == title)
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def found(data, path):
    """Is there something at a path, such as `floor.difference` or `rows[].name`?"""
    for name in path.split("."):
        plain = name.removesuffix("[]")
        if not isinstance(data, dict) or plain not in data:
            return False
        data = data[plain]
        if name != plain:
            if not data:
                return False
            data = data[0]
    return True


@pytest.fixture(scope="module")
def press(tmp_path_factory):
    """Clips of which one has its channels exchanged."""
    import numpy as np

    root = tmp_path_factory.mktemp("press") / "press"
    rng = np.random.default_rng(4)
    for i in range(12):
        audio = machine_sound(rng)
        write(root / f"c{i:02d}.wav", audio[::-1] if i == 5 else audio)
    return root


@pytest.fixture(scope="module")
def hidden(dcase, tmp_path_factory):
    """A machine whose test clips tell no label."""
    root = tmp_path_factory.mktemp("hidden") / "data"
    shutil.copytree(dcase / "fan", root / "fan")
    for i, path in enumerate(sorted((root / "fan" / "test").iterdir())):
        path.rename(path.with_name(f"section_00_{i:04d}.wav"))
    return root


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """What a watch has heard."""
    place = tmp_path_factory.mktemp("heard") / "plant.db"
    make_history(place)
    return write_history(place)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two evaluations of the same clips."""
    root = tmp_path_factory.mktemp("results")
    table, truth = made(3, ties=False)
    for name, sd in (("a", 0.0), ("b", 0.5)):
        as_json(root / f"{name}.json", noisy(table, sd), truth)
    return root


@pytest.fixture(scope="module")
def small(detector_folder, tmp_path_factory):
    """System 4, exported."""
    from nearfar.detector.edge.departure import export

    folder = tmp_path_factory.mktemp("small") / "edge"
    export(detector_folder, folder, verify=False)
    return folder


COMMANDS = {
    "evaluate": ("evaluate", "{dcase}", *PLAIN),
    "evaluate --lomo": ("evaluate", "{dcase}", *PLAIN, "--lomo", "--vary",
                        "rule.metric=[cosine,euclidean]"),
    "evaluate --choose balance": ("evaluate", "{dcase}", *PLAIN, "--choose", "balance", "--vary",
                                  "rule.metric=[cosine,euclidean]"),
    "evaluate, dev and eval": ("evaluate", "{dcase}/fan", "--eval", "{dcase}/pump", *PLAIN),
    "evaluate, without labels": ("evaluate", "{hidden}", *PLAIN),
    "ablate": ("ablate", "{dcase}", "enrichment"),
    "compare": ("compare", "{results}/a.json", "{results}/b.json"),
    "inspect": ("inspect", "{press}"),
    "check": ("check", "{press}", *PLAIN),
    "fleet": ("fleet", "{full}"),
    "history": ("history", "{heard}"),
    "alarms": ("alarms", "{heard}"),
    "features": ("features", "{press}/c00.wav"),
    "verify": ("verify", "{small}", "{dcase}", "--against", "{full}"),
    "features --select": ("features", "--select", "{dcase}"),
}  # fmt: skip
ONE_PROCESS = ("inspect", "compare", "fleet", "history", "alarms")  # they have no --workers


@pytest.mark.parametrize("title", first_quick(["check", *(t for t in COMMANDS if t != "check")]))
def test_the_page_names_the_keys_of_the_json(
    run, dcase, press, hidden, heard, results, small, detector_folder, title
):
    places = {
        "dcase": dcase, "press": press, "hidden": hidden, "heard": heard, "results": results,
        "small": small, "full": detector_folder,
    }  # fmt: skip
    args = [arg.format(**places) for arg in COMMANDS[title]]
    one_process = () if title in ONE_PROCESS else ("--workers", 1)
    code, out, err = run(*args, *one_process, "--json", "-")
    assert code in (0, 1), err
    data = json.loads(out)
    # In front, where a program looks first.
    assert next(iter(data.items())) == ("schema", 2 if title == "check" else 1)
    told = documented(title)
    several = any(word in title for word in ("--lomo", "--choose", "dev and eval"))
    extra = documented("evaluate") if several else []
    # Scores of several candidates: the page says that they are not there.
    extra = [path for path in extra if path != "scores" or "--" not in title]
    top = {path.split(".")[0].removesuffix("[]") for path in (*told, *extra)}
    assert set(data) == top
    for path in told:
        assert found(data, path), path


def test_the_page_names_every_column_of_the_scores():
    from pathlib import Path

    from nearfar.clips import Clip
    from nearfar.scores.verdict import Verdict

    row = Verdict.none(Clip(Path("a.wav")), 1.0, "").as_dict()
    table = PAGE.partition("## The score table")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE) == list(row)


@pytest.mark.parametrize("name", ["check", "inspect", "features"])
def test_json_goes_over_no_recording_and_over_its_own(run, press, tmp_path, name):
    clip = press / "c00.wav"
    before = clip.read_bytes()
    args = [name, clip if name == "features" else press, *PLAIN * (name == "check")]
    code, _, err = run(*args, "--json", clip)
    assert (code, err.count("\n")) == (2, 1)
    assert clip.read_bytes() == before
    mine = tmp_path / "mine.json"
    mine.write_text('{"phone": 1}')
    code, _, err = run(*args, "--json", mine)
    assert (code, "--replace" in err, mine.read_text()) == (2, True, '{"phone": 1}')
    for _ in range(2):  # made anew, for it is plainly an earlier output
        assert run(*args, "--json", tmp_path / "out.json")[0] in (0, 1)
        assert json.loads((tmp_path / "out.json").read_text())["schema"] == (
            2 if name == "check" else 1
        )
