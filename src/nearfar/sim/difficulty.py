"""How hard a simulated data set is, for simple baselines only.

The knobs of the simulation were set on these and on the statistics of normal clips, never on
Systems 1 to 4 of the report: otherwise the benchmark would flatter them.

    rms        level of the near channel, nearest neighbour: must stay at chance
    logmel     mean log-mel spectrum of the near channel, nearest neighbour by cosine
    linear AE  what eight principal components leave of the near channel's log-mel frames
    oracle     mean, spread and 97th percentile of the log-mel spectrum of the machine alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.metrics.evaluation import Evaluation
from nearfar.metrics.official import evaluate
from nearfar.runtime import workers as processes
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.sim.plan import Item, Size, plan
from nearfar.sim.scene import render
from nearfar.sound.spectral import log_mel

Rows = NDArray[np.float64]
MELS, COMPONENTS, SHRINKAGE = 64, 8, 0.1  # 8: the bottleneck of the official autoencoder
FIGURES = ("auc_source", "auc_target", "pauc")
BASELINES = ("rms", "logmel", "linear AE", "oracle")


@dataclass(frozen=True, eq=False)
class BaselineInput:
    """What the baselines need of one clip.

    >>> clip = BaselineInput(-30.0, np.zeros(MELS), np.eye(MELS), np.zeros(3 * MELS))
    >>> clip.clean.shape
    (192,)
    """

    rms: float  # dB
    mean: Rows  # (mels,) of the log-mel frames
    moment: Rows  # (mels, mels) mean of their outer products
    clean: Rows  # (3 · mels,) of the machine alone


def measure(preset: Size, seed: int, workers: int = 1) -> dict[str, Evaluation]:
    """Evaluate the four baselines on a simulated data set, rendered in memory.

    Args:
        preset: its size.
        seed: of the data set.
        workers: processes.

    Returns:
        By name, in the order of `BASELINES`.
    """
    items = plan(preset, seed)
    jobs = [(item.key, seed) for item in items]
    summaries = list(processes.run(_summarise, jobs, workers))
    return {name: _evaluate(items, _scores(items, summaries, name)) for name in BASELINES}


def _summarise(job: tuple[object, int]) -> BaselineInput:
    key, seed = job
    rendered = render(key, seed)  # type: ignore[arg-type]
    near = np.round(rendered.audio[0] * 32768) / 32768  # as the file has it
    frames = log_mel(near.astype(np.float32), n_mels=MELS).T.astype(np.float64)
    clean = log_mel(rendered.machine[0], n_mels=MELS).astype(np.float64)
    power = float(np.mean(near**2))
    return BaselineInput(
        10 * np.log10(power + 1e-12),
        frames.mean(axis=0),
        frames.T @ frames / len(frames),
        np.concatenate([clean.mean(axis=1), clean.std(axis=1), np.percentile(clean, 97, axis=1)]),
    )


def _scores(items: Sequence[Item], summaries: Sequence[BaselineInput], name: str) -> list[float]:
    scores = [0.0] * len(items)
    for machine in dict.fromkeys(item.key.machine for item in items):
        mine = [i for i, item in enumerate(items) if item.key.machine == machine]
        train = [i for i in mine if items[i].key.split == "train"]
        test = [i for i in mine if items[i].key.split == "test"]
        rule = {"rms": _rms, "logmel": _logmel, "linear AE": _autoencoder, "oracle": _oracle}[name]
        values = rule([summaries[i] for i in train], [summaries[i] for i in test])
        for i, value in zip(test, values, strict=True):
            scores[i] = float(value)
    return scores


def _rms(train: Sequence[BaselineInput], test: Sequence[BaselineInput]) -> Rows:
    levels = np.array([s.rms for s in train])
    nearest: Rows = np.abs(np.array([s.rms for s in test])[:, None] - levels).min(axis=1)
    return nearest


def _logmel(train: Sequence[BaselineInput], test: Sequence[BaselineInput]) -> Rows:
    bank, queries = (np.stack([s.mean for s in part]) for part in (train, test))
    bank, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
    closest: Rows = 1 - (queries @ bank.T).max(axis=1)
    return closest


def _autoencoder(train: Sequence[BaselineInput], test: Sequence[BaselineInput]) -> Rows:
    mean = np.mean([s.mean for s in train], axis=0)
    covariance = np.mean([s.moment for s in train], axis=0) - np.outer(mean, mean)
    kept = np.linalg.eigh(covariance)[1][:, -COMPONENTS:]
    left = np.eye(len(mean)) - kept @ kept.T  # projects onto what the components leave
    errors = []
    for s in test:  # mean over frames of ‖left (x − mean)‖², from the frames' moments
        spread = s.moment - np.outer(s.mean, mean) - np.outer(mean, s.mean) + np.outer(mean, mean)
        errors.append(np.trace(left @ spread))
    return np.array(errors)


def _oracle(train: Sequence[BaselineInput], test: Sequence[BaselineInput]) -> Rows:
    bank, queries = (np.stack([s.clean for s in part]) for part in (train, test))
    mean, scale = bank.mean(axis=0), bank.std(axis=0) + 1e-9
    bank, queries = (bank - mean) / scale, (queries - mean) / scale
    correlation = bank.T @ bank / len(bank) * (1 - SHRINKAGE) + SHRINKAGE * np.eye(bank.shape[1])
    values, vectors = np.linalg.eigh(correlation)
    root = vectors / np.sqrt(values)
    bank, queries = bank @ root, queries @ root
    # rounding may leave a clip at a distance of −1e-12 from its copy
    squares = (queries**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * queries @ bank.T
    closest: Rows = np.sqrt(np.maximum(squares.min(axis=1), 0))
    return closest


def _evaluate(items: Sequence[Item], scores: Sequence[float]) -> Evaluation:
    test = [i for i, item in enumerate(items) if item.key.split == "test"]
    names = [items[i].file.rsplit("/", 1)[1] for i in test]
    keys = [items[i].key for i in test]
    table = ScoreTable(
        tuple(
            ScoredFile(key.machine, "00", name, scores[i])
            for i, key, name in zip(test, keys, names, strict=True)
        )
    )
    truth = Truth(
        tuple(
            LabelledFile(key.machine, "00", name, key.domain, key.label)
            for key, name in zip(keys, names, strict=True)
        )
    )
    return evaluate(table, truth, draws=0)  # no interval: a band around Ω is tested instead


def report(results: Mapping[str, Evaluation]) -> str:
    """A table for people: AUC (source) / AUC (target) / pAUC per machine and Ω, in per cent."""
    machines = list(next(iter(results.values())).machines)
    rows = [["baseline", *machines, "Ω"]]
    for name, result in results.items():
        cells = []
        for machine in machines:
            cell = result.machines[machine]["00"]
            cells.append("/".join(f"{100 * (cell[name] or 0):.0f}" for name in FIGURES))
        rows.append([name, *cells, f"{100 * result.score:.1f}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
