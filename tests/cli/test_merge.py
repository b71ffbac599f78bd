"""nearfar merge makes of all parts what one run would have made, to the byte."""

import pytest


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def parts_of(run, of, to, *command):
    """The parts of all shards, the last first."""
    made = []
    for number in range(of, 0, -1):
        made.append(to / f"{number}.part")
        code, told, err = run(*command, "-o", made[-1], "--shard", f"{number}/{of}", "--workers", 1)
        assert (code, f"shard {number}/{of}" in told) == (0, True), err
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("system", "of"), [("logmel", 2), ("s4", 1), ("s4", 3), ("logmel", 40)])
def test_a_merged_fit_is_the_fit(run, dcase, tmp_path, system, of):
    command = ("fit", dcase, "-s", system)
    code, _, alone = run(*command, "-o", tmp_path / "whole", "--workers", 1)
    assert code == 0
    parts = parts_of(run, of, tmp_path / "parts", *command)
    code, _, err = run("merge", *parts, "-o", tmp_path / "det", "--workers", 1)
    assert (code, err) == (0, alone)
    assert contents(tmp_path / "det") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_merged_score_is_the_score(run, dcase, detector_folder, tmp_path):
    for name in ("broken.wav", "void.wav"):
        (tmp_path / "today").mkdir(exist_ok=True)
        (tmp_path / "today" / name).write_bytes(b"no sound")
    command = ("score", detector_folder, dcase / "fan" / "test", tmp_path / "today", "--skip-bad",
               "--machine", "fan")  # fmt: skip
    tables = ("--csv", "a.csv"), ("--json", "a.json")
    for option, name in tables:
        assert run(*command, option, tmp_path / name, "--workers", 1)[0] == 0
    parts = parts_of(run, 3, tmp_path / "parts", *command)
    for option, name in tables:
        code, _, err = run("merge", *parts, option, tmp_path / f"b{name}")
        assert code == 0, err
        assert (tmp_path / f"b{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_what_does_not_fit_together_is_refused_in_one_line(run, dcase, tmp_path):
    command = ("fit", dcase, "-s", "logmel")
    two, one = parts_of(run, 2, tmp_path / "a", *command)
    far, _ = parts_of(run, 2, tmp_path / "b", *command, "--channel-order", "far-near")
    bad = tmp_path / "bad.part"
    content = bytearray(one.read_bytes())
    content[-5] ^= 1
    bad.write_bytes(content)
    det = ("-o", tmp_path / "det")
    for words, arguments in {
        "1 of 2 shards missing: 2/2": (one, *det),
        "name each shard once": (one, two, one, *det),
        "channel order differs": (one, far, *det),
        "changed since it was written": (bad, two, *det),
        "are for parts of a score": (one, two, "--csv", tmp_path / "a.csv"),
        "say -o DET": (one, two),
        "is an input": (one, two, "-o", tmp_path / "a"),
        "no part": (dcase, *det),
    }.items():
        code, _, err = run("merge", *arguments)
        assert (code, err.count("\n"), words in err) == (2, 1, True), err
    assert not (tmp_path / "det").exists()
    code, _, err = run(*command, "-o", two, "--shard", "1/2")
    assert (code, "--replace" in err) == (2, True)
