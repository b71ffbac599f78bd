"""Meta files in packages of anyone."""

import copy

import pytest

from nearfar.scores.submission.archive import ZipContents
from nearfar.scores.submission.form import FORM, form_of
from nearfar.scores.submission.metafiles import meta_remarks
from nearfar.scores.submission.plainyaml import dump_yaml
from submissions import LABEL, META, meta, zipped

NAME = LABEL.system(1)


def remarks(tmp_path, content, name=META, form=FORM):
    files = {} if content is None else {name: content}
    path = zipped(tmp_path / "p.zip", {f"task2/{NAME}/{n}": c for n, c in files.items()})
    below = {n: f"task2/{NAME}/{n}" for n in files}
    return list(meta_remarks(ZipContents.open(path), NAME, below, form))


def text(change):
    data = copy.deepcopy(meta(1))
    change(data)
    return dump_yaml(data).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no Kim_LUDO_task2_1.meta.yaml"),
        (b"a: [", "meta.yaml: line 1: not YAML"),
        (b"a: !!python/name:os.system", "is not taken"),
        (b"a: \xff", "not UTF-8"),
        (b"- 1", "no meta file"),
        (b"", "no meta file"),
        (text(lambda d: d["submission"].update(label="Kim_LUDO_task2_2")), "make them equal"),
        (text(lambda d: d["submission"].pop("label")), "label is missing"),
        (text(lambda d: d["submission"].update(name="")), "submission/name: is empty"),
        (text(lambda d: d["submission"].pop("authors")), "authors[1]/lastname: missing"),
        (text(lambda d: d["submission"]["authors"][0].pop("corresponding")), "0 of 1 are corr"),
        (text(lambda d: d["results"]["development_dataset"]["fan"].update(pauc="x")), "per cent"),
        (text(lambda d: d.pop("results")), "no machine"),
        (text(lambda d: d.pop("system")), "system: missing or empty; write system: and under it"),
        (text(lambda d: d.update(sistem=d.pop("system"))), "system: missing"),
        (text(lambda d: d.update(system=None)), "system: missing"),
        (text(lambda d: d["system"].pop("complexity")), "system/complexity: missing"),
        (
            text(lambda d: d["submission"]["authors"][0].update(lastname="Lee")),
            "author is 'Lee', the label begins with 'Kim'; it begins with",
        ),
        (text(lambda d: d.pop("submission")), "submission: missing"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path, content, words):
    found = remarks(tmp_path, content)
    assert any(words in r.line and r.wrong for r in found), [r.line for r in found]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["system"].update(gpu="x"), "system/gpu: unknown key"),
        (lambda d: d["results"]["development_dataset"]["fan"].update(pauc=13.6), "McClish"),
        (lambda d: d["results"]["development_dataset"].update(
            fan={"auc_source": 0.8, "auc_target": 0.7, "pauc": 0.6}), "in per cent"),
    ],
)  # fmt: skip
def test_what_may_be_meant_is_a_doubt(tmp_path, change, words):
    (found,) = remarks(tmp_path, text(change))
    assert not found.wrong
    assert words in found.line


@pytest.mark.parametrize("name", ["Kim_LUDO_task2_1.meta.YAML", "Kim_LUDO_task2_1.meta.yml"])
def test_another_ending_is_read_and_told(tmp_path, name):
    (found,) = remarks(tmp_path, dump_yaml(meta(1)).encode(), name)
    assert "is to be called Kim_LUDO_task2_1.meta.yaml" in found.line


def test_a_years_template_knows_its_own_keys(tmp_path):
    content = text(lambda d: d["system"].update(gpu="x"))
    form = form_of({**meta(1), "system": {**meta(1)["system"], "gpu": "y"}}, "t")
    assert remarks(tmp_path, content, form=form) == []
