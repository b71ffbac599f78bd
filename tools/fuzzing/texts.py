"""Score files, ground truth, lists of clips and file names, as people and programs write them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from nearfar.clips import Clips
from nearfar.metrics.comparison import compare
from nearfar.metrics.official import evaluate
from nearfar.scores.files import read_scores, write_scores
from nearfar.scores.truth import read_truth
from tools.fuzzing.damage import any_bytes, damaged_rows, odd, pick, written

KINDS = tuple((d, k) for d in ("source", "target") for k in ("normal", "anomaly"))
HEADERS = (
    ["path", "machine", "section", "domain", "split", "label", "start", "stop", "time"],
    ["near", "far", "machine", "attributes"],
    ["path", "machine"],
    ["path", "start", "stop"],
)


def run_scores(folder: Path, rng: np.random.Generator) -> str:
    """Score files and truth are read, judged and printed."""
    truth = _lay_scores(folder, rng)
    table = read_scores(folder)
    labels = read_truth(truth)
    result = evaluate(table, labels, draws=10)
    compared = compare(table, table, labels, draws=10)
    # What was taken is also printed and written, and read back as it was.
    for limits in (result.interval, compared.interval):
        if limits is not None and not (limits[0] <= limits[1]):
            return f"interval {limits}"
    if not (0 <= result.score <= 1) or not f"{result}{compared}{result.to_dict()}":
        return f"Ω = {result.score}"
    write_scores(folder / "again", table)
    if sorted(r.score for r in read_scores(folder / "again").rows) != sorted(
        r.score for r in table.rows
    ):
        return "other scores after writing and reading"
    return ""


def _lay_scores(folder: Path, rng: np.random.Generator) -> Path:
    """Score files of a machine or two, and one of the forms of ground truth; damaged somewhere."""
    each, harmed = int(rng.integers(1, 6)), int(rng.integers(0, 4))
    rows: dict[str, list[list[str]]] = {"scores": [], "decisions": [], "truth": []}
    machine = odd(rng) if rng.random() < 0.1 else "fan"
    for domain, label in KINDS:
        for c in range(each):
            file = f"section_00_{domain}_test_{label}_{c:04d}.wav"
            rows["scores"].append([file, repr(float(rng.normal()))])
            rows["decisions"].append([file, str(int(rng.integers(2)))])
            digits = [str(int(domain == "target")), str(int(label == "anomaly"))]
            rows["truth"].append([machine, "00", file, *digits])
    rows["truth"].insert(0, ["machine", "section", "file", "domain", "label"])
    name = f"{machine}_section_00_test.csv"
    form = int(rng.integers(3))
    files = {f"anomaly_score_{name}": rows["scores"], f"decision_result_{name}": rows["decisions"]}
    if form == 0:
        files["truth.csv"] = rows["truth"]
    elif form == 1:
        files[f"truth/ground_truth_data/ground_truth_{name}"] = [
            [r[2], r[4]] for r in rows["truth"][1:]
        ]
        files[f"truth/ground_truth_domain/ground_truth_{name}"] = [
            [r[2], r[3]] for r in rows["truth"][1:]
        ]
    else:
        anonymous = [[r[2], r[2]] for r in rows["truth"][1:]]
        files["eval_data_list_2023.csv"] = [[machine], *anonymous]
    for n, (file, lines) in enumerate(files.items()):
        text = "".join(",".join(line) + "\n" for line in lines).encode()
        if n == harmed:  # one at a time: two faults hide one another
            text = written(damaged_rows(lines, rng), rng)
        _put(folder / file, text)
    return folder / ("truth.csv", "truth", "eval_data_list_2023.csv")[form]


def run_list(folder: Path, rng: np.random.Generator) -> str:
    """A list of clips is opened, and its clips are read."""
    header = list(pick(HEADERS, rng))
    good = {"machine": "fan", "section": "00", "domain": "source", "split": "train",
            "label": "normal", "start": "0", "stop": "1", "time": "2026-06-15T08:30:00",
            "attributes": "a"}  # fmt: skip
    names = [f"clip_{n}.wav" for n in range(int(rng.integers(1, 5)))]
    for name in names:
        _sound(folder / name, rng)
    rows = [header, *([good.get(c, name) for c in header] for name in names)]
    (folder / "list.csv").write_bytes(written(damaged_rows(rows, rng), rng))
    clips = Clips.open(folder / "list.csv", clip_seconds=1.0 if rng.random() < 0.3 else None)
    return _all_read(clips)


def run_names(folder: Path, rng: np.random.Generator) -> str:
    """Files and folders of odd names are listed, and read."""
    root = os.fsencode(folder / "data")
    os.makedirs(root)
    for _ in range(int(rng.integers(1, 5))):
        parts = [_name(rng) for _ in range(int(rng.integers(1, 4)))]
        if rng.random() < 0.3:
            parts[0] = pick((b"train", b"test", b"source_test", b"test_rename"), rng)
        place = os.path.join(root, *parts)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            _sound(Path(os.fsdecode(place)), rng)
        except (OSError, ValueError):  # the file system itself takes no such name
            continue
    split = pick((None, "train", "test"), rng)
    return _all_read(Clips.open(folder / "data", split=split))


def _name(rng: np.random.Generator) -> bytes:
    stem = odd(rng).replace("/", "_").replace("\x00", "_")[:200].encode("utf-8", "replace")
    kind = int(rng.integers(4))
    if kind == 0:
        stem += bytes([int(rng.integers(128, 256))])  # a byte that is no UTF-8
    elif kind == 1:
        stem = any_bytes(stem, rng).replace(b"/", b"_").replace(b"\x00", b"_")
    return (stem or b"x")[:240] + pick(
        (b".wav", b".wav", b".WAV", b".flac", b".txt", b"", b"_near.wav"), rng
    )


def _all_read(clips: Clips) -> str:
    for clip in clips:
        clip.read()
        f"{clip!r} {clip.name} {clip.file}"
    return ""


def _sound(path: Path, rng: np.random.Generator) -> None:
    samples = rng.uniform(-0.5, 0.5, (int(rng.choice((800, 16_000, 17_000))), 2))
    with path.open("wb") as file:
        soundfile.write(file, samples, 16_000, format="WAV", subtype="PCM_16")


def _put(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except (OSError, ValueError):  # a machine of such a name has no file
        return
