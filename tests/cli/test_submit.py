"""`submit`: from detectors to a package whose Ω is theirs, and packages of anyone looked at."""

import json
import os
import shutil
import signal

import pytest
from test_outputs_page import documented, found

import nearfar as nf
from conftest import finish, first_quick
from nearfar.scores.submission.plainyaml import dump_yaml, read_yaml
from processes import python
from submissions import ONE, PDF, SAID, files_of, made, zipped


@pytest.fixture(scope="session")
def logmel_folder(dcase, evaluation_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("floor") / "logmel.detector"
    places = [dcase, evaluation_set / "eval_data/raw"]
    nf.fit(nf.logmel(), nf.Clips.open(places, split="train")).save(folder)
    return folder


@pytest.fixture
def team(tmp_path):
    """What a team has beside its detectors."""
    (tmp_path / "report.pdf").write_bytes(PDF)
    own = {"systems": {2: {"submission": {"name": "Floor", "abbreviation": "floor"}}}}
    (tmp_path / "meta.yaml").write_text(dump_yaml(SAID | own))
    return tmp_path


def submit(run, team, evaluation_set, *more, label="Kim_LUDO", out="p.zip"):
    return run(
        "submit", evaluation_set / "eval_data/raw", *more, "--label", label, "--meta",
        team / "meta.yaml", "--pdf", team / "report.pdf", "-o", team / out, "--workers", 1,
    )  # fmt: skip


@pytest.mark.parametrize("truth", first_quick(["eval_data_list_2026.csv", "ground_truth"]))
def test_a_package_gives_the_detectors_own_omega(
    run, team, both_folder, logmel_folder, dcase, evaluation_set, truth
):
    """With the truth in each published form, out of the zip as it is handed in."""
    detectors = (both_folder, logmel_folder)
    code, told, err = submit(run, team, evaluation_set, *detectors, "--dev", dcase)
    assert code == 0, err
    assert "Kim_LUDO_task2_2: " in told
    assert "24 test clips: drill 12, lathe 12" in told
    place = evaluation_set / "eval_data/raw"
    for number, detector in enumerate(detectors, 1):
        omegas = []
        for what in (
            ("--scores", team / "p.zip" / f"Kim_LUDO_task2_{number}"),
            (place, "--detector", detector, "--no-floor", "--workers", 1),
        ):
            truth_of = ("--truth", evaluation_set / truth, "--json", "-")
            code, told, err = run("evaluate", *what, *truth_of)
            assert code == 0, err
            data = json.loads(told)
            scores = {(r["machine"], r["file"]): r["score"] for r in data["scores"]}
            omegas.append((data["omega"], data["overall"]["harmonic"]["f1"], scores))
        assert omegas[0] == omegas[1]
        assert len(scores) == 24
    code, told, _ = run("submit", "--check", team / "p.zip", place)
    assert (code, "nothing wrong" in told) == (0, True)

    first = (team / "p.zip").read_bytes()
    files = files_of(first)
    meta = read_yaml(files[ONE + "Kim_LUDO_task2_1.meta.yaml"], "m")
    assert set(meta["results"]["development_dataset"]) == {"fan", "pump"}
    assert meta["submission"]["label"] == "Kim_LUDO_task2_1"
    # The same again is the same; over the first one only when that is asked for.
    again = (*detectors, "--dev", dcase)
    code, _, err = submit(run, team, evaluation_set, *again)
    assert (code, err.count("--replace")) == (2, 1)
    assert submit(run, team, evaluation_set, *again, "--replace")[0] == 0
    assert (team / "p.zip").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, (), "give --dev DIR, or a JSON"),
        ({"meta": {"submision": {}}}, ("--dev", "x"), "did you mean 'submission'?"),
        ({"meta": {"results": {}}}, ("--dev", "x"), "exclude each other"),
        ({"meta": {}}, ("--dev", "x", "--results", "a.json"), "exclude each other"),
        ({}, ("--results", "a.json", "--results", "b.json"), "2 --results for 1 detector"),
        ({}, ("--results", "a.json"), "no such file"),
        ({"raw": b"a: !!python/name:os.system"}, ("--dev", "x"), "is not taken"),
        ({"label": "Kim"}, (), "Last_INST"),
        ({"label": "Kim_ABCDEFGHIJK"}, (), "11 characters"),
        ({"label": "Other_INST"}, ("--dev", "x"), "author is 'Kim', the label begins with 'Other'"),
        ({"out": "p.tar"}, (), "p.zip"),
        ({"out": "none/p.zip"}, (), "cannot be written to"),
        ({"out": "report.pdf"}, ("--replace",), "ends in .zip"),
        ({"pdf": b"PK"}, ("--dev", "x"), "no PDF"),
        ({}, ("--template", "gone.yaml", "--dev", "x"), "gone.yaml: cannot be read"),
        ({}, ("--json", "-"), "--json does not go with"),
        ({}, ("--check", "a.zip"), "does not go with --check"),
        ({}, ("--new-meta", "-"), "does not go with --new-meta"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_no_package(
    run, team, both_folder, evaluation_set, change, options, said
):
    said_of = dump_yaml(SAID | change.get("meta", {})).encode()
    (team / "meta.yaml").write_bytes(change.get("raw", said_of))
    (team / "report.pdf").write_bytes(change.get("pdf", PDF))
    before = {path.name: path.read_bytes() for path in team.iterdir()}
    code, out, err = submit(
        run, team, evaluation_set, both_folder, *options, label=change.get("label", "Kim_LUDO"),
        out=change.get("out", "p.zip"),
    )  # fmt: skip
    lines = [line for line in err.splitlines() if not line.startswith(("warning", "fault"))]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert said in err
    assert {path.name: path.read_bytes() for path in team.iterdir()} == before


def test_the_development_set_beside_is_taken_for_the_results(
    run, team, both_folder, dcase, evaluation_set
):
    """The command as short as it can be, in the official layout."""
    (team / "meta.yaml").write_text(dump_yaml(SAID))
    for name, place in (("dev_data", dcase), ("eval_data", evaluation_set / "eval_data/raw")):
        (team / name).mkdir()
        (team / name / "raw").symlink_to(place)
    code, told, err = submit(run, team, team, both_folder)
    assert (code, str(team / "dev_data/raw") in told) == (0, True), err
    code, _, err = submit(run, team, evaluation_set, both_folder, "--dev", dcase, out="other.zip")
    assert code == 0, err
    assert (team / "p.zip").read_bytes() == (team / "other.zip").read_bytes()


def test_what_a_package_needs_is_said_in_one_line(run, tmp_path):
    for given, said in (
        ((), "DATA, a detector, --label Last_INST, --meta FILE.YAML, -o PACKAGE.zip"),
        ((tmp_path, "-o", tmp_path / "p.zip"), "a detector, --label Last_INST, --meta FILE.YAML"),
        ((tmp_path, tmp_path, "-o", "p.zip", "--label", "A_B"), "needs --meta FILE.YAML too"),
    ):  # fmt: skip
        code, out, err = run("submit", *given)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err


def test_detectors_that_do_not_fit_the_set_are_told_before_anything_is_heard(
    run, team, detector_folder, both_folder, evaluation_set, tmp_path
):
    code, _, err = submit(run, team, evaluation_set, detector_folder, "--dev", "x")
    assert (code, "does not know drill, lathe" in err) == (2, True)
    code, _, err = submit(run, team, evaluation_set, both_folder, both_folder, "--dev", "x")
    assert (code, "the same detector" in err) == (2, True)
    shutil.copytree(evaluation_set / "eval_data/raw", tmp_path / "eval_data/raw")
    shutil.rmtree(tmp_path / "eval_data/raw/drill/test")
    code, _, err = submit(run, team, tmp_path, both_folder, "--dev", "x")
    assert (code, "no test clips of drill" in err) == (2, True)
    assert not (team / "p.zip").exists()


def test_the_help_says_what_replace_does_here(run):
    """Unlike other commands this one refuses its own earlier package."""
    words = " ".join(run("submit", "--help")[1].replace("│", " ").split())
    assert "Write over a package, meta file or JSON that is there" in words
    assert "no earlier result of this command" not in words


def test_an_empty_meta_file_is_written_and_not_over_another(run, tmp_path):
    path = tmp_path / "meta.yaml"
    assert run("submit", "--new-meta", path)[:2] == (0, f"wrote {path}\n")
    assert run("submit", "--new-meta", "-")[1] == path.read_text()
    code, _, err = run("submit", "--new-meta", path)
    assert (code, "--replace" in err) == (2, True)
    (tmp_path / "year.yaml").write_text("submission: {name: x, hall: y}\n")
    template = ("--template", tmp_path / "year.yaml")
    assert "hall:" in run("submit", "--new-meta", "-", *template)[1]


def test_a_package_of_anyone_is_judged(run, tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(made())
    assert run("submit", "--check", path)[:2] == (
        0, "p.zip: 2 systems, 2 machines, 400 test clips: nothing wrong\n",
    )  # fmt: skip
    zipped(path, {n.removeprefix("task2/"): c for n, c in files_of(made()).items()})
    code, told, _ = run("submit", "--check", path, "--json", "-")
    data = json.loads(told)
    assert (code, data["wrong"], len(data["remarks"])) == (1, True, 1)
    assert set(data) == {key for key in documented("submit --check") if "[" not in key}
    assert all(found(data, key) for key in documented("submit --check"))
    report = tmp_path / "found.json"
    for _ in range(2):  # an earlier result of the same is written over
        code, told, _ = run("submit", "--check", path, "--json", report)
        assert (code, told.splitlines()[0].startswith("wrong: ")) == (1, True)
    assert json.loads(report.read_text()) == data
    code, _, err = run("submit", "--check", tmp_path / "gone.zip")
    assert (code, err.count("\n"), "cannot be read" in err) == (2, 1, True)


def test_a_clip_that_cannot_be_judged_leaves_no_package(
    run, team, both_folder, dcase, evaluation_set, tmp_path
):
    shutil.copytree(evaluation_set / "eval_data/raw", tmp_path / "eval_data/raw")
    (tmp_path / "eval_data/raw/drill/test/section_00_0001.wav").write_bytes(b"RIFF")
    (team / "meta.yaml").write_text(dump_yaml(SAID))
    code, out, err = submit(run, team, tmp_path, both_folder, "--dev", dcase)
    assert (code, out, (team / "p.zip").exists()) == (2, "", False)
    assert "section_00_0001.wav" in err
    assert "--skip-bad" not in err


KILLED = """
import os, signal, sys
from nearfar.cli.main import main

WRITING = ("write", "flush", "fsync", "close", "replace", "rename", "chmod", "unlink")
turn, steps = int(sys.argv[1]), 0

def step():
    global steps
    steps += 1
    if steps == turn:
        os.kill(os.getpid(), signal.SIGKILL)

def named(kind, arguments):
    if kind in ("open", "os.rename", "os.remove", "os.link") and "p.zip" in str(arguments):
        sys.setprofile(called)  # from here on before and after what no audit tells
        step()

def called(frame, kind, function):
    if kind in ("c_call", "c_return") and function.__name__ in WRITING:
        where = frame.f_code.co_filename
        if where.endswith(("files.py", "package.py")) or "pathlib" in where:
            step()

sys.argv = ["nearfar", *sys.argv[2:]]
sys.addaudithook(named)
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.slow
def test_killed_at_any_step_of_writing_the_package_is_the_old_one_or_the_new_one(
    run, team, both_folder, dcase, evaluation_set
):
    """At each file that is opened, written, named or removed; the next run sweeps what is left."""
    (team / "meta.yaml").write_text(dump_yaml(SAID))
    more = (both_folder, "--dev", dcase)
    assert submit(run, team, evaluation_set, *more)[0] == 0
    old = (team / "p.zip").read_bytes()
    (team / "report.pdf").write_bytes(PDF.replace(b"endobj", b"2 0 obj\nendobj"))
    assert submit(run, team, evaluation_set, *more, out="new.zip")[0] == 0
    new = (team / "new.zip").read_bytes()
    (team / "new.zip").unlink()
    there = {path.name for path in team.iterdir()}
    words = [
        "submit", evaluation_set / "eval_data/raw", both_folder, "--label", "Kim_LUDO", "--meta",
        team / "meta.yaml", "--pdf", team / "report.pdf", "-o", team / "p.zip", "--dev", dcase,
        "--workers", 1, "--replace",
    ]  # fmt: skip
    states, left, code, turn = [], set(), None, 0
    while code != 0:
        turn += 1
        assert turn < 40
        (team / "p.zip").write_bytes(old)
        killed = python(KILLED, turn, *words)
        _, err = finish(killed)
        code = killed.returncode
        assert code in (0, -signal.SIGKILL), err
        content = (team / "p.zip").read_bytes()
        assert content in (old, new)
        states.append((code, content == new))
        left |= {path.name for path in team.iterdir()} - there
    # Killed with the old one still there, and with the new one; one of them left its part.
    assert {(-signal.SIGKILL, False), (-signal.SIGKILL, True)} <= set(states)
    assert states[-1] == (0, True)
    assert left
    assert all(name.startswith(".p.zip.") for name in left)
    assert {path.name for path in team.iterdir()} == there
