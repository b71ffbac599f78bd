"""A section as tensors and back: nothing is lost, and what does not fit is refused."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

import nearfar as nf
from conftest import refused
from nearfar.detector.folder import banks
from nearfar.detector.folder.banks import bank_of, owner, read_section, section_data, tensors_of
from nearfar.detector.member import Member
from nearfar.detector.origin import Origin
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError
from nearfar.scoring.whiten import Whitening

DIM, REAL = 4, 5
PLAIN = nf.System(nf.Near(), nf.LogMel(n_mels=DIM))
WHITE = replace(PLAIN, whitening=nf.ZCA(), adaptation=nf.MeanShift())
BOTH = nf.Ensemble((WHITE, PLAIN))


def member(white, extra=0, seed=0):
    """Five real rows, and some made of the first ones."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((REAL + extra, DIM)).astype(np.float32)
    origin = np.r_[np.arange(REAL), np.arange(extra)]
    domain = np.r_[np.zeros(REAL), np.ones(extra)].astype(np.int8)
    whitening = Whitening(rng.standard_normal(DIM), rng.standard_normal((DIM, DIM)))
    adapted = nf.MeanShift().fit(rows[:REAL], np.array([0, 0, 0, 1, 1], np.int8))
    return Member(
        rows, origin, domain, whitening if white else None, rng.standard_normal(REAL),
        {"rows": REAL + extra, "shift": float("nan")}, adapted if white else None,
    )  # fmt: skip


def section(**changes):
    clips = tuple(TrainingClip(f"{i}.wav", f"{i:064x}") for i in range(REAL))
    own = Section((member(True, 3), member(False)), clips, (-3.5, 8.25), 10.0,
                  (True, False, False, True, False))  # fmt: skip
    return replace(own, **changes)


def back(kept, folder, system=BOTH, *, tensors=None, entry=None, dims=(DIM, DIM)):
    """Written and read again, with some of it changed on the way."""
    content = save({**tensors_of(kept), **(tensors or {})})
    (folder / "bank").write_bytes(content)
    return read_section(folder, entry_of(kept, content) | (entry or {}), system, known(dims))


def entry_of(kept, content):
    told = {"machine": "fan", "section": "00", "bank": "bank"}
    return told | {"sha256": hashlib.sha256(content).hexdigest(), **section_data(kept)}


def known(dims=(DIM, DIM)):
    return [Origin(f"embedder {i}", dim) for i, dim in enumerate(dims)]


def test_everything_comes_back_bit_for_bit(tmp_path):
    kept = section()
    found = back(kept, tmp_path)
    assert (found.clips, found.levels, found.seconds, found.fresh) == (
        kept.clips, kept.levels, kept.seconds, kept.fresh)  # fmt: skip
    wanted, got = tensors_of(kept), tensors_of(found)
    assert set(wanted) == set(got)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(got[name], tensor, strict=True)
    for one, other in zip(found.members, kept.members, strict=True):
        assert one.facts == pytest.approx(other.facts, nan_ok=True)
        np.testing.assert_array_equal(one.bank.embeddings, other.bank.embeddings)


@pytest.fixture
def large(monkeypatch):
    """These few rows count as many, and as wide ones."""
    monkeypatch.setattr(banks, "LARGE", 1)
    monkeypatch.setattr(banks, "WIDE", 1)


def test_a_large_bank_is_kept_whitened_and_is_the_same_to_the_bit(tmp_path, large, monkeypatch):
    kept = section()
    assert {"0.scaled"} == {name for name in tensors_of(kept) if name.endswith("scaled")}
    found = back(kept, tmp_path).members[0]
    whitened = []
    monkeypatch.setattr(Whitening, "__call__", record(Whitening.__call__, whitened))
    np.testing.assert_array_equal(found.bank.embeddings, found.scaled)
    assert len(whitened) == 1  # some rows, to see how this machine rounds
    np.testing.assert_array_equal(found.scaled, kept.members[0].bank.embeddings)
    assert pickle.loads(pickle.dumps(found)).scaled is None  # as large again, and known there
    assert bank_of(replace(kept, members=(found, kept.members[1])), {}) == bank_of(kept, {})


def record(work, calls):
    return lambda self, z: calls.append(len(z)) or work(self, z)


def test_whitened_rows_of_a_machine_that_rounds_otherwise_are_worked_out_anew(tmp_path, large):
    kept = section()
    rows = kept.members[0].bank.embeddings
    found = back(kept, tmp_path, tensors={"0.scaled": np.nextafter(rows, np.inf)}).members[0]
    np.testing.assert_array_equal(found.bank.embeddings, rows)


def test_small_and_narrow_banks_are_not_kept_twice(monkeypatch):
    assert "0.scaled" not in tensors_of(section())
    monkeypatch.setattr(banks, "LARGE", 1)
    assert "0.scaled" not in tensors_of(section())


@pytest.mark.parametrize("rows", [np.ones((REAL, DIM)), np.full((REAL + 3, DIM), np.nan)])
def test_whitened_rows_that_do_not_fit_are_refused(tmp_path, large, rows):
    refused(lambda: back(section(), tmp_path, tensors={"0.scaled": rows}), "do not fit each other")


@pytest.mark.parametrize("fresh", [None, (False,) * REAL, (True,) * REAL])
def test_who_is_fresh_and_that_nobody_was_trained_are_told_apart(fresh, tmp_path):
    assert back(section(fresh=fresh), tmp_path).fresh == fresh


def test_a_section_of_one_channel_has_no_levels(tmp_path):
    assert back(section(levels=None), tmp_path).levels is None


def test_facts_are_json(tmp_path):
    import json

    facts = json.loads(json.dumps(section_data(section()), allow_nan=False))["facts"]
    assert facts[0] == {"rows": REAL + 3, "shift": None}


ROWS = np.zeros((REAL, DIM), np.float32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensors": {"1.embeddings": ROWS[:, :3]}}, "do not fit each other"),
        ({"tensors": {"1.embeddings": ROWS[:4]}}, "do not fit each other"),
        ({"tensors": {"1.embeddings": np.full_like(ROWS, np.nan)}}, "do not fit each other"),
        ({"tensors": {"1.domain": np.zeros(4, np.int8)}}, "do not fit each other"),
        ({"tensors": {"1.self_scores": np.zeros(0)}}, "do not fit each other"),
        ({"tensors": {"1.self_scores": np.zeros(4)}}, "do not fit"),
        ({"tensors": {"0.origin": np.array([0, 1, 2, 3, 4, 0, 1, 9])}}, "do not fit each other"),
        ({"tensors": {"0.mean": np.zeros(3)}}, "whitening"),
        ({"tensors": {"0.matrix": np.full((DIM, DIM), np.inf)}}, "do not fit each other"),
        ({"tensors": {"0.adaptation.sd": np.zeros(3)}}, "adapted other than its system"),
        ({"tensors": {"1.adaptation.sd": np.zeros(DIM)}}, "adapted other than its system"),
        ({"tensors": {"1.mean": np.zeros(DIM), "1.matrix": np.eye(DIM)}}, "whitened other than"),
        ({"system": nf.Ensemble((PLAIN, PLAIN))}, "other than its system"),
        ({"dims": (DIM, DIM + 1)}, "do not fit each other"),
        ({"entry": {"clips": []}}, "0 clips do not fit"),
        ({"entry": {"clip_seconds": 0}}, "clips of 0"),
        ({"entry": {"clip_seconds": float("nan")}}, "clips of nan"),
        ({"entry": {"levels_db": [float("nan"), 1.0]}}, "nan"),
        ({"entry": {"fresh": [REAL]}}, "fresh clips that are not there"),
        ({"entry": {"sha256": "0" * 64}}, "damaged or truncated"),
        ({"entry": {"bank": "nowhere"}}, "cannot be read"),
    ],
)
def test_parts_that_do_not_fit_are_one_line(changes, said, tmp_path):
    with pytest.raises(FormatError, match=said) as caught:
        back(section(), tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_a_bank_is_looked_for_in_the_folder_and_nowhere_else(tmp_path):
    inside = tmp_path / "detector"
    inside.mkdir()
    (tmp_path / "bank").write_bytes(b"somebody's")
    found = back(section(), inside, entry={"bank": "../bank"})
    assert found.clips == section().clips  # its name alone counts


# ---- whose it is ---------------------------------------------------------------------------------

FAN = owner("fan", "00", known())


def given(folder, whose):
    """A section read as that of fan 00, of a bank that says to be somebody's."""
    content = bank_of(section(), whose)
    (folder / "bank").write_bytes(content)
    return read_section(folder, entry_of(section(), content), BOTH, known())


def test_a_bank_is_its_own_machines_and_equal_content_is_equal_bytes(tmp_path):
    assert given(tmp_path, FAN).clips == section().clips
    turned = dict(reversed(FAN.items()))
    assert bank_of(section(), turned) == bank_of(section(), FAN) == (tmp_path / "bank").read_bytes()
    assert bank_of(section(), owner("pump", "00", known())) != bank_of(section(), FAN)


def test_to_others_a_bank_with_an_owner_is_a_bank(tmp_path):
    """An early nearfar, or any program that reads safetensors."""
    from safetensors.numpy import load

    found, wanted = load(bank_of(section(), FAN)), tensors_of(section())
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor, strict=True)


@pytest.mark.parametrize(
    ("whose", "said"),
    [
        (owner("pump", "00", known()), "is of pump 00, not of fan 00"),
        (owner("fan", "01", known()), "is of fan 01, not of fan 00"),
        (owner("fan", "00", known()[::-1]), "is of other members"),
        (owner("fan", "00", known()[:1]), "is of other members"),
        (owner("fan\n\x1b[31m", "00", known()), "not of fan 00"),
        ({}, "not of fan 00"),
    ],
)
def test_a_bank_of_another_is_refused_in_one_line(whose, said, tmp_path):
    refused(lambda: given(tmp_path, whose), "bank: is of", said, "again", error=FormatError)


@pytest.mark.parametrize("text", ["", "[1]", "[[1]]", "7", "null", "{", "[" * 10_000])
def test_what_is_no_owner_of_ours_says_nothing(text, tmp_path):
    content = save(tensors_of(section()), metadata={"nearfar": text})
    (tmp_path / "bank").write_bytes(content)
    assert read_section(tmp_path, entry_of(section(), content), BOTH, known()).seconds == 10.0
