"""nearfar compare: files in, a table and words out; every mistake is one line."""

import json

import pytest

from command import failed
from conftest import DATA
from evaluations import as_files, as_json, noisy, truth_file
from made_scores import made
from nearfar.scores.files import read_scores
from nearfar.study.standings import compare_files
from submissions import zipped

TABLE, TRUTH = made(41, machines=2, each=12, ties=False)
GOLD = DATA / "eval"


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, sd in (("a", 0), ("b", 0.5), ("c", 1)):
        as_json(tmp_path / f"{name}.json", noisy(TABLE, sd), TRUTH)
        as_files(tmp_path / name, noisy(TABLE, sd))
    truth_file(tmp_path / "truth.csv", TRUTH)
    files = {f"task2/Kim_LUDO_task2_{n}/{p.name}": p.read_bytes()
             for n, name in enumerate("ab", 1) for p in (tmp_path / name).iterdir()}  # fmt: skip
    zipped(tmp_path / "p.zip", files)
    return tmp_path


def test_evaluations_are_compared(run, world):
    code, out, err = run("compare", "a.json", "b.json", "--draws", 50)
    assert code == 0, err
    assert out == compare_files(["a.json", "b.json"], draws=50).text + "\n"


def test_what_evaluate_wrote_is_compared_with_its_numbers(run, world):
    """The whole way: both commands print the same Ω and interval."""
    for name in ("a", "b"):
        code, out, err = run("evaluate", "--scores", name, "--truth", "truth.csv", "--json",
                             f"new_{name}.json")  # fmt: skip
        assert code == 0, err
    interval = out.rsplit("Ω = ", 1)[1].split(" % interval ")[1].split()[0]
    code, out, err = run("compare", "new_a.json", "new_b.json")
    assert code == 0, err
    assert interval in out
    assert "ΔΩ = " in out


def test_score_files_of_anyone(run, world):
    code, out, err = run("compare", "--scores", "a", "b", "c", "--truth", "truth.csv", "--holm",
                         "--draws", 50)  # fmt: skip
    assert code == 0, err
    assert out.count("ΔΩ") == 3
    assert out.count("by Holm, among 3 comparisons") == 3


def test_systems_of_a_package_as_evaluate_reads_them(run, world):
    one, two = "p.zip/Kim_LUDO_task2_1", "p.zip/2"
    more = ("--truth", "truth.csv", "--draws", 50, "--json", "-")
    code, out, err = run("compare", "--scores", f"a={one}", f"b={two}", *more)
    assert code == 0, err
    folders, zips = (json.loads(text) for text in (run("compare", "a", "b", *more)[1], out))
    assert zips["differences"] == folders["differences"]
    # Names of this length fill 80 columns: the one difference needs no second line.
    code, out, _ = run("compare", one, "Kim_LUDO_task2_2=b", "--truth", "truth.csv", "--draws", 50)
    assert code == 0
    assert max(map(len, out.split("per cent")[0].splitlines())) <= 80


def test_the_official_evaluators_number(run, tmp_path):
    gold = json.loads((GOLD / "gold.json").read_text())["cases"]["dev7_realistic"]["evaluator2024"]
    case = GOLD / "dev7_realistic"
    as_files(tmp_path / "other", noisy(read_scores(case), 0.1))
    code, out, err = run("compare", "--scores", case, tmp_path / "other", "--truth",
                         case / "truth.csv", "--draws", 20, "--json", "-")  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["systems"][0]["score"] == pytest.approx(
        gold["official score"], rel=1e-12
    )


def test_files_for_programs(run, world):
    code, out, err = run("compare", "a.json", "b.json", "--draws", 50, "--json", "o.json", "--csv",
                         "o.csv")  # fmt: skip
    assert code == 0, err
    assert "wrote o.json" in out
    assert json.loads((world / "o.json").read_text())["schema"] == 1
    assert (world / "o.csv").read_text().startswith("machine,system,minus,auc_source,")
    # Its own may be written over, and an input may not.
    assert run("compare", "a.json", "c.json", "--draws", 50, "--json", "o.json")[0] == 0
    before = (world / "a.json").read_bytes()
    failed(run("compare", "a.json", "b.json", "--json", "a.json"), "a.json", "input")
    failed(run("compare", "x=a.json,b.json", "c.json", "--json", "b.json"), "b.json", "input")
    failed(run("compare", "x=a.json,b.json", "c.json", "--json", "b.json", "--replace"), "input")
    assert (world / "a.json").read_bytes() == before
    (world / "mine.json").write_text("{}")
    failed(run("compare", "a.json", "b.json", "--json", "mine.json"), "--replace")
    failed(run("compare", "a.json", "b.json", "--json", "o.txt"), ".json")
    failed(run("compare", "a.json", "b.json", "--json", "-", "--csv", "-"), "standard output")


def test_a_page(run, world):
    for _ in range(2):  # its own may be written over
        code, out, err = run("compare", "a.json", "b.json", "--draws", 30, "-o", "page.html")
        assert code == 0, err
    assert "wrote page.html" in out
    assert "ΔΩ" in (world / "page.html").read_text(encoding="utf-8")
    failed(run("compare", "a.json", "b.json", "-o", "page.htm"), ".html")
    failed(run("compare", "a.json", "b.json", "-o", "-"), "a page is a file")
    (world / "mine.html").write_text("mine")
    failed(run("compare", "a.json", "b.json", "-o", "mine.html"), "--replace")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.json"], ["1 result"]),
        (["a.json", "a.json"], ["named twice"]),
        (["a.json", "gone.json"], ["gone.json"]),
        (["--scores", "a", "b"], ["a", "--truth FILE"]),
        (["--scores", "a", "gone", "--truth", "truth.csv"], ["gone"]),
        (["--scores", "a.json", "b.json"], ["--scores: a.json"]),
        (["a.json", "b.json", "--truth", "gone.csv"], ["gone.csv"]),
        (["a.json", "b.json", "--against", "bb"], ["'bb'", "did you mean 'b'"]),
        (["a.json", "b.json", "--confidence", "95"], ["confidence 95"]),
        (["a.json", "b.json", "--draws", "1"], ["--draws"]),
        (["a.json", "b.json", "--draws", "300000000"], ["300,000,000 draws", "2,000"]),
        (["x=" + "gone.json," * 30 + "a.json", "b.json", "--csv", "o.csv"], ["gone.json"]),
        (["--scores", "a", "p.zip/9", "--truth", "truth.csv"], ["no system '9'"]),
        (["a.json", "b.json", "--seed", "-1"], ["--seed"]),
        (["a.json", "b.json", "--rule", "2019"], ["--rule"]),
        (["a.json", "truth.csv"], ["truth.csv", "nearfar score --csv"]),
        ([], ["compare"]),
    ],
)
def test_every_mistake_is_one_line(run, world, arguments, words):
    failed(run("compare", *arguments), *words)


def test_other_clips_are_said_in_a_line_each(run, world):
    short = type(TABLE)(TABLE.rows[3:])
    for name in ("x", "y"):
        as_files(world / name, noisy(short, 0.2, len(name)))
    result = run("compare", "--scores", "a", "x", "y", "--truth", "truth.csv")
    line = failed(result, "2 results are not of the first one's clips")
    assert len(line) <= 520
    faults = [x for x in result[2].splitlines() if x.startswith("fault: ")]
    assert len(faults) == 2
    assert "3 clips missing (m_0/" in faults[0]


def test_a_hostile_name_is_shown_harmlessly(run, world):
    (world / "\x1b[31mred.json").write_text((world / "a.json").read_text())
    code, out, err = run("compare", "\x1b[31mred.json", "b.json", "--draws", 20)
    assert code == 0, err
    assert "\x1b" not in out + err
