"""The index of a detector's folder: what it says, that it is whole, and who may read it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.detector import Detector
from nearfar.detector.folder.formats import ADAPTED, FORMAT, UNADAPTED
from nearfar.detector.folder.index import INDEX, check_target, read
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError, StorageError

PLAIN = nf.System(nf.Near(), nf.LogMel(n_mels=3))


def detector(system=PLAIN, keys=(("fan", "00"), ("fan", "01"))):
    rows = np.eye(3, dtype=np.float32)
    domain = np.array([0, 0, 1], np.int8)
    adapted = system.adaptation and system.adaptation.fit(rows, domain)
    member = Member(rows, np.arange(3), domain, None, np.array([0.1, 0.2, 0.3]), {}, adapted)
    clips = tuple(TrainingClip(f"{i}.wav", "0" * 64) for i in range(3))
    return Detector(system, {key: Section((member,), clips, None, 10.0) for key in keys})


def sealed(data):
    """With its own hash, as the format has it: of everything else, sorted, without spaces."""
    rest = {k: v for k, v in data.items() if k != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return rest | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


@pytest.fixture
def folder(tmp_path):
    return detector().save(tmp_path / "detector")


def changed(folder, change):
    data = json.loads((folder / INDEX).read_text())
    change(data)
    (folder / INDEX).write_text(json.dumps(sealed(data)))
    return folder


# ---- what it says ----------------------------------------------------------------------------


def test_it_says_what_people_ask_for(folder):
    data = json.loads((folder / INDEX).read_text())
    assert data == sealed(data)
    assert list(data)[-1] == "sha256"
    assert data["provenance"]["nearfar"] == nf.__version__
    names = [(s["machine"], s["section"], s["threshold"]) for s in data["sections"]]
    assert names == [("fan", "00", 0.3), ("fan", "01", 0.3)]
    for section in data["sections"]:
        bank = (folder / section["bank"]).read_bytes()
        assert hashlib.sha256(bank).hexdigest() == section["sha256"]
        assert section["bank"] == f"bank-{section['sha256'][:32]}.safetensors"


def test_sections_with_equal_rows_have_a_bank_each(folder):
    assert len(list(folder.glob("bank-*"))) == 2
    assert list(read(folder).sections) == [("fan", "00"), ("fan", "01")]


def test_swapped_banks_do_not_load(folder):
    """By their names on disk, or in an index that somebody wrote anew."""
    first, second = (
        folder / s["bank"] for s in json.loads((folder / INDEX).read_text())["sections"]
    )
    names = [first.name, second.name]
    for old, new in ((first, folder / "x"), (second, first), (folder / "x", second)):
        old.rename(new)
    refused(lambda: read(folder), names[0], "is of fan 01, not of fan 00", error=FormatError)

    def swap(data):
        one, other = data["sections"]
        kept = {name: one[name] for name in ("bank", "sha256")}
        one.update({name: other[name] for name in kept})
        other.update(kept)

    for old, new in ((first, folder / "x"), (second, first), (folder / "x", second)):
        old.rename(new)
    assert read(folder).sections
    refused(lambda: read(changed(folder, swap)), names[1], "of fan 01, not of fan 00")


def test_only_an_adaptation_needs_the_newer_format(tmp_path):
    """A detector without one is readable by whoever could read it before there was any."""
    formats = {}
    for part in (None, nf.UnitLength(), nf.MeanShift()):
        folder = detector(replace(PLAIN, adaptation=part)).save(tmp_path / str(part))
        formats[part] = json.loads((folder / INDEX).read_text())["format"]
        assert read(folder).system.adaptation == part
    assert formats == {None: UNADAPTED, nf.UnitLength(): ADAPTED, nf.MeanShift(): ADAPTED}


def test_layout_and_order_do_not_count(folder):
    data = json.loads((folder / INDEX).read_text())
    turned = dict(sorted(data.items(), reverse=True))
    (folder / INDEX).write_text(json.dumps(turned, indent=7))
    assert read(folder).system == PLAIN


def test_saved_twice_it_is_the_same_text(folder, tmp_path):
    again = detector().save(tmp_path / "again")
    assert (again / INDEX).read_bytes() == (folder / INDEX).read_bytes()


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format=FORMAT + 1), "upgrade nearfar"),
        (lambda d: d.update(format=0), "none below 1"),
        (lambda d: d.update(format="1"), "not a nearfar detector"),
        (lambda d: d.update(channel_order="left-right"), "channel order"),
        (lambda d: d.update(false_alarm_rate=2), "as nearfar writes it"),
        (lambda d: d.update(sections=[]), "without sections"),
        (lambda d: d["sections"].append(d["sections"][0]), "is there twice"),
        (lambda d: d.update(system=d["system"]["frontend"]), "no System"),
        (lambda d: d.update(embedders=[]), "0 embedders for 1 systems"),
        (lambda d: d["embedders"][0].update(dim=4), "has not 4 dimensions"),
        (lambda d: d["embedders"][0].update(dim=0), "without dimensions"),
        (lambda d: d["embedders"][0].pop("fingerprint"), "not described"),
        (lambda d: d.pop("system"), "as nearfar writes it"),
    ],
)
def test_an_index_that_is_whole_and_wrong_is_one_line(change, said, folder):
    with pytest.raises(FormatError, match=said) as caught:
        read(changed(folder, change))
    assert "\n" not in str(caught.value)


def test_a_detector_that_does_not_say_its_embedders_is_an_early_one(folder):
    content = read(changed(folder, lambda d: d.pop("embedders")))
    assert [origin.dim for origin in content.origins] == [3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a nearfar detector"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": 1}', "changed since it was written"),
    ],
)
def test_a_file_that_is_no_index_is_one_line(text, said, folder):
    (folder / INDEX).write_bytes(text)
    with pytest.raises(FormatError, match=said) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_a_target_is_looked_at_before_any_work(folder, tmp_path):
    assert check_target(folder)
    assert not check_target(tmp_path / "new")
    (tmp_path / "file").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / INDEX).write_text("{}")
    for place in (tmp_path / "file", other):
        with pytest.raises(StorageError):
            check_target(place)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["sections"][0].update(clip_seconds=10**400),
        lambda data: data["sections"][0].update(fresh=[float("inf")]),
    ],
)
def test_a_number_larger_than_any_is_told(folder, change):
    with pytest.raises(FormatError, match="fit again"):
        read(changed(folder, change))


@pytest.mark.parametrize("inside", ["sub", "sub/further"])
def test_no_detector_lies_in_another(tmp_path, inside):
    (tmp_path / "det").mkdir()
    (tmp_path / "det" / INDEX).write_text("{}")
    with pytest.raises(StorageError, match=r"lies in the detector .*det; choose another folder"):
        check_target(tmp_path / "det" / inside)
    assert [p.name for p in (tmp_path / "det").iterdir()] == [INDEX]
    assert not check_target(tmp_path / "other")


@pytest.mark.parametrize("url", ["s3://plant/det", "local:///srv/det"])
def test_no_detector_is_written_to_a_folder_that_is_called_like_a_url(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match=f"^{url}: .* this machine"):
        check_target(Path(url))
    assert not list(tmp_path.iterdir())
