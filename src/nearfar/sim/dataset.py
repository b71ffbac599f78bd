"""Write a simulated data set: resumable, one clip at a time, never a half-written file.

    OUT/<machine>/{train,test}/section_00_….wav    16 kHz, two channels, 16 bit
    OUT/<machine>/attributes_00.csv                what the file names say
    OUT/<machine>/supplemental/{machine,noise}/    with stems: the two parts of each clip, float
    OUT/ground_truth.jsonl                         fault, severity, SNR; no system reads it
    OUT/manifest.json                              version, settings, sha256 of every clip

Of the preset `wear` the clips are OUT/normal/<time>.wav and OUT/watched/<time>.wav, see `sim.wear`.

A clip is a pure function of (SIM_VERSION, seed, key). `journal.jsonl` lists what is finished until
the manifest is written; an interrupted run is completed by running it again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.errors import FormatError, SettingError, StorageError
from nearfar.files import atomic_file, sha256, storage_errors, sweep, write_text
from nearfar.runtime import workers as processes
from nearfar.runtime.runtime import check_workers
from nearfar.sim.plan import PRESETS, Item, machines_of, plan
from nearfar.sim.scene import render
from nearfar.sim.version import SIM_VERSION
from nearfar.sim.wear import WEAR, course
from nearfar.sound.audio import encode

MANIFEST, JOURNAL, TRUTH = "manifest.json", "journal.jsonl", "ground_truth.jsonl"
STEMS = ("machine", "noise")  # fields of `Rendered`, and folders
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Written:
    """A simulated data set on disk.

    >>> done = Written(Path("mini"), label(0), clips=156, rendered=0)
    >>> done.label
    'SIMULATED v1 seed 0'
    """

    folder: Path
    label: str  # "SIMULATED v1 seed 0", to be printed with whatever comes from it
    clips: int
    rendered: int  # the rest was there already


def label(seed: int) -> str:
    """What every table made from a simulated data set says."""
    return f"SIMULATED v{SIM_VERSION} seed {seed}"


def simulate(
    out: Path,
    preset: str = "mini",
    seed: int = 0,
    *,
    machines: Sequence[str] | None = None,
    stems: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Written:
    """Simulate near/far recordings of machines in the DCASE 2026 layout.

    Args:
        out: folder; completed if it holds the same data set, refused if it holds another.
        preset: one of `PRESETS`, or "wear": one machine over time.
        seed: of everything.
        machines: only these of the preset's.
        stems: also write what the machine and what the noise alone would have been.
        workers: processes.
        progress: called as `progress(what, done, of)`.

    Raises:
        SettingError: unknown preset or machine, a negative seed, a number of processes that is
            none, or a folder with other settings.
        StorageError: the folder cannot be written; what is finished stays.
    """
    machines_of(preset)  # refuses an unknown one
    if seed < 0:
        raise SettingError(f"seed {seed}; it is a whole number from 0 up")
    check_workers(workers)  # before there is a folder
    items = course(machines) if preset == WEAR else plan(PRESETS[preset], seed, machines)
    names = list(dict.fromkeys(item.key.machine for item in items))
    settings = {"version": SIM_VERSION, "seed": seed, "preset": preset, "machines": names,
                "stems": stems}  # fmt: skip
    with _undone_if_empty(out):
        done = _prepare(out, settings)
        todo = [item for item in items if item.file not in done]  # found whole, by its sum
        jobs = [_Rendering(item, str(out), seed, stems) for item in todo]
        with storage_errors(out), (out / JOURNAL).open("a", encoding="utf-8") as journal:
            for n, entry in enumerate(processes.run(_write_clip, jobs, workers), 1):
                # In front of the first: the last line that is there may be torn.
                journal.write("\n" * (n == 1) + json.dumps(entry) + "\n")
                journal.flush()  # a killed run loses the clips in the making, no finished one
                done[entry["file"]] = entry
                if progress is not None:
                    progress("rendering", n, len(jobs))
    _finish(out, settings, [done[item.file] for item in items])
    return Written(out, label(seed), len(items), len(todo))


@dataclass(frozen=True)
class _Rendering:
    item: Item
    out: str
    seed: int
    stems: bool


def _write_clip(job: _Rendering) -> dict[str, Any]:
    """Render and write one clip; its line of the journal."""
    rendered = render(job.item.key, job.seed, moment=job.item.moment)
    path = Path(job.out) / job.item.file
    content = encode(rendered.audio, "PCM_16")
    if job.stems:  # before the clip: where there is a clip, its stems are there
        for name in STEMS:
            # float: 16 bits each would not add up to the clip
            _put(_stem(path, name), encode(getattr(rendered, name), "FLOAT"))
    _put(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": job.item.file, "sha256": digest, "truth": rendered.truth}


def _put(path: Path, content: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content)


def _prepare(out: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is finished already; refuse a folder with anything else in it."""
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        present = _settings_of(out)
        if present is None:
            sweep(out)  # a run that was killed at its very first file is no set of somebody
            if any(out.iterdir()):
                raise StorageError(f"{out}: has other files in it; choose a new folder")
            # First of all, so that a folder says what it will be before it has a clip.
            write_text(out / MANIFEST, json.dumps({"simulation": settings, "complete": False}))
            return {}
    differ = [
        f"{k} {present.get(k)!r}, not {v!r}" for k, v in settings.items() if present.get(k) != v
    ]
    if differ:
        raise SettingError(f"{out}: holds a set with {'; '.join(differ)}; choose another folder")
    return {e["file"]: e for e in _journal(out) if _is_whole(out, e, settings["stems"])}


@contextmanager
def _undone_if_empty(out: Path) -> Iterator[None]:
    """Of a run that ends before its first clip leave nothing that binds the folder to its seed."""
    there, begun = out.exists(), not (out / MANIFEST).exists()
    try:
        yield
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            bare = {p.name for p in out.rglob("*") if p.is_file()} <= {MANIFEST, JOURNAL}
            if begun and bare and not _journal(out):
                for folder in [p for p in out.iterdir() if p.is_dir()]:
                    shutil.rmtree(folder)  # made for a clip that was not written
                (out / JOURNAL).unlink(missing_ok=True)
                (out / MANIFEST).unlink(missing_ok=True)
                if not there:
                    out.rmdir()
        raise


def _settings_of(out: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((out / MANIFEST).read_text(encoding="utf-8"))["simulation"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise FormatError(
            f"{out / MANIFEST}: not a manifest of ours; choose another folder"
        ) from None


def _journal(out: Path) -> list[dict[str, Any]]:
    """Finished clips; what an interruption tore or somebody damaged is rendered again."""
    lines = (out / JOURNAL).read_text(errors="replace").splitlines() if _has_journal(out) else []
    found: list[Any] = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # torn by a power cut: that clip is made again
            continue
    listed = json.loads((out / MANIFEST).read_text(encoding="utf-8")).get("clips")
    found += listed if isinstance(listed, list) else []
    return [e for e in found if isinstance(e, dict) and _is_entry(e)]


def _has_journal(out: Path) -> bool:
    return (out / JOURNAL).is_file()


def _is_entry(entry: dict[str, Any]) -> bool:
    texts = isinstance(entry.get("file"), str) and isinstance(entry.get("sha256"), str)
    truth = entry.get("truth")
    return texts and isinstance(truth, dict) and "file" not in truth


def _is_whole(out: Path, entry: dict[str, Any], stems: bool) -> bool:
    path = out / entry["file"]
    if not path.is_file() or sha256(path) != entry["sha256"]:
        return False
    return not stems or all(_stem(path, name).is_file() for name in STEMS)


def _stem(path: Path, name: str) -> Path:
    return path.parents[1] / "supplemental" / name / path.name


def _finish(out: Path, settings: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    for machine in settings["machines"]:
        files = [e["file"] for e in entries if e["file"].startswith(f"{machine}/")]
        if files:  # of a course in time no name has attributes, nor a machine a folder
            write_text(out / machine / "attributes_00.csv", attributes_csv(files))
    lines = [json.dumps({"file": e["file"], **e["truth"]}) for e in entries]
    write_text(out / TRUTH, "\n".join(lines) + "\n")
    manifest = {"simulation": settings, "label": label(settings["seed"]), "complete": True,
                "clips": entries}  # fmt: skip
    write_text(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    (out / JOURNAL).unlink(missing_ok=True)  # last: until here an interruption costs nothing


def attributes_csv(files: Sequence[str]) -> str:
    """The table that lies beside train and test: file name, then parameter and value pairs.

    >>> print(attributes_csv(["fan/train/section_00_source_train_normal_0000_spd_1.wav"]), end="")
    file_name,d1p,d1v
    fan/train/section_00_source_train_normal_0000_spd_1.wav,spd,1
    """
    rows = [(file, _pairs(file)) for file in files]
    width = max((len(pairs) for _, pairs in rows), default=0)
    header = ["file_name"] + [f"d{i}{x}" for i in range(1, width + 1) for x in "pv"]
    lines = [",".join([file, *(x for pair in pairs for x in pair)]) for file, pairs in rows]
    return "\n".join([",".join(header), *lines]) + "\n"


def _pairs(file: str) -> list[tuple[str, str]]:
    tail = Path(file).stem.split("_", 6)[6]  # after section, number, domain, split, label, number
    if tail == "noAttribute":
        return []
    words = tail.split("_")
    return list(zip(words[::2], words[1::2], strict=True))
