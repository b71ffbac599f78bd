"""The contract every part must pass, ours and yours.

Each function raises `AssertionError` with one line that says which promise is broken:

    from nearfar.testing import check_embedder
    check_embedder(MyEmbedder())
"""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import numpy as np

from nearfar.embedder.contract import Embedder
from nearfar.errors import NearfarError
from nearfar.frontend import Frontend
from nearfar.parts.data import from_data, to_data
from nearfar.parts.own import lacking
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank
from nearfar.scoring.rule import Rule
from nearfar.sound.audio import SAMPLE_RATE, Audio
from nearfar.system.system import Ensemble, System

SECONDS = (1.0, 1.7, 3.0)  # the shortest that is allowed, and two longer ones


def noise(channels: int = 2, seconds: float = 2.0, seed: int = 0) -> Audio:
    """Partly correlated noise, (channels, samples) float32: a clip that every part must take."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((channels, round(seconds * SAMPLE_RATE)))
    # So quiet that nothing is clipped; the first channel is in all, so that they correlate.
    return (0.05 * (x + 0.5 * x[:1])).astype(np.float32)


def check_part(part: Any) -> None:
    """A frozen dataclass that hashes, compares, pickles, and comes back from plain data."""
    made = is_dataclass(part) and not isinstance(part, type)
    _require(made, f"{part!r} is no dataclass: give an instance of a frozen one")
    _require(type(part).__dataclass_params__.frozen, f"{type(part).__name__} is not frozen")
    # Workers get parts by pickle, detectors keep them as plain data.
    _require(hash(part) == hash(pickle.loads(pickle.dumps(part))), f"{part!r}: hash changes")
    _require(pickle.loads(pickle.dumps(part)) == part, f"{part!r}: a copy is not equal")
    _require(from_data(to_data(part), _types(part)) == part, f"{part!r}: not plain data")
    for field in fields(part)[:1]:  # if one can be set, all can; a part may have none
        try:
            setattr(part, field.name, getattr(part, field.name))
        except (FrozenInstanceError, AttributeError):
            continue
        raise AssertionError(f"{type(part).__name__} is not frozen")


def _types(part: Any) -> tuple[type, ...]:
    """Classes of a part and of all parts in it: a person's own are on no list."""
    if isinstance(part, tuple):
        return tuple(kind for one in part for kind in _types(one))
    if not is_dataclass(part) or isinstance(part, type):
        return ()
    inner = tuple(getattr(part, field.name) for field in fields(part))
    return (type(part), *_types(inner))


def check_frontend(part: Frontend) -> None:
    """Shape, type, determinism, and its input left alone."""
    check_part(part)
    _require_names(part, "needs", "channels", "fingerprint")
    for seconds in SECONDS:
        audio = noise(part.needs, seconds)
        before = audio.copy()
        out = part(audio)
        _require(out.shape == (part.channels, audio.shape[1]), f"{part!r} gave shape {out.shape}")
        _require(out.dtype == np.float32, f"{part!r} gave {out.dtype}")
        _require(bool(np.isfinite(out).all()), f"{part!r} gave NaN or infinite samples")
        _require(np.array_equal(audio, before), f"{part!r} changed its input")
        _require(np.array_equal(part(audio), out), f"{part!r} gave two answers to one clip")


def check_embedder(part: Embedder) -> None:
    """Shape, type, finiteness, and a row that does not depend on the clips beside it."""
    check_part(part)
    _require_names(part, "channels", "dim", "fingerprint")
    _require(bool(part.fingerprint), f"{part!r} has an empty fingerprint")
    audios = [noise(part.channels, s, seed=i) for i, s in enumerate((*SECONDS, 3.0))]
    before = [a.copy() for a in audios]
    rows = part(audios)
    _require(rows.shape == (len(audios), part.dim), f"{part!r} gave shape {rows.shape}")
    _require(rows.dtype == np.float32, f"{part!r} gave {rows.dtype}")
    _require(bool(np.isfinite(rows).all()), f"{part!r} gave NaN or infinite numbers")
    _require(all(map(np.array_equal, audios, before)), f"{part!r} changed its input")
    alone = np.concatenate([part([a]) for a in audios])
    # Not to the bit: a GPU, or another shape of a matrix product, rounds otherwise.
    same = np.allclose(alone, rows, rtol=1e-6, atol=1e-6)
    _require(same, f"{part!r}: alone and among others differ")
    turned = part(audios[::-1])[::-1]
    same = np.allclose(turned, rows, rtol=1e-6, atol=1e-6)
    _require(same, f"{part!r}: the order of clips matters")


def check_rule(part: Rule) -> None:
    """Shape, batch independence, leaving out by origin, and anomalous means high."""
    check_part(part)
    _require_names(part, "metric", "neighbours")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 8)) + 3.0  # off the origin, so that −rows is far by angle, too
    domain = np.where(np.arange(60) < 50, SOURCE, TARGET).astype(np.int8)
    origin = np.arange(60) % 30  # two rows of each clip
    bank = MemoryBank(rows, origin, domain)
    # A hair beside rows of the bank, and opposite to them: by any metric the second is farther.
    near, far = rows[:20] + 0.01, -rows[:20]
    scores = part(near, bank)
    _require(scores.shape == (20,), f"{part!r} gave shape {scores.shape}")
    _require(bool(np.isfinite(scores).all()), f"{part!r} gave NaN or infinite scores")
    alone = np.concatenate([part(q[None], bank) for q in near])
    _require(np.array_equal(alone, scores), f"{part!r}: alone and among others differ")
    _require(part(far, bank).min() > scores.max(), f"{part!r}: far away does not score higher")
    without = MemoryBank(rows[origin != 3], origin[origin != 3], domain[origin != 3])
    left = part(near[3:4], bank, leave_out=np.array([3]))
    _require(
        bool(np.allclose(left, part(near[3:4], without), atol=1e-12)),
        f"{part!r}: leaving out a clip leaves some of its rows",
    )


def check_system(system: System | Ensemble) -> None:
    """Parts that pass, ours or yours, data that come back, and settings that are looked at."""
    check_part(system)
    for member in system.members:
        check_frontend(member.frontend)
        check_embedder(member.embedder)
        check_rule(member.rule)
        for part in (member.adaptation, member.whitening, member.calibration, *member.enrichment):
            if part is not None:
                check_part(part)
        _check_settings(member)


def _check_settings(system: System) -> None:
    for bad in ({"folds": 1}, {"seed": -1}, {"false_alarm_rate": 0}):
        try:
            type(system)(**{**{f.name: getattr(system, f.name) for f in fields(system)}, **bad})
        except NearfarError:
            continue
        raise AssertionError(f"{type(system).__name__} accepts {bad}")


def _require_names(part: Any, *names: str) -> None:
    """Say which of its names a part lacks, of all that it has to have."""
    missing = [*lacking(part, *names), *(["a call"] if not callable(part) else [])]
    wanted = f"; it has to have {', '.join(names)} and a call"
    _require(not missing, f"{part!r} lacks {', '.join(missing)}{wanted}")


def _require(promise: bool, message: str) -> None:
    if not promise:
        raise AssertionError(message)
