"""`python -m tools.messages`: provokes what goes wrong and prints what is really said of it.

With --write PAGE the blocks go between the page's marks; `test_errors_page.py` holds the page to
what this prints. Everything is made in a folder of its own, and called by short relative names.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from nearfar.cli import main as cli
from tools.page import filled

RATE = 16_000  # Hz
FIT = "-s logmel -o new.detector"  # the quickest system: what is said is the same for all

# Title → what a person types; the folders and files are those of `_make`.
CASES: dict[str, tuple[str, ...]] = {
    "How a command is called": (
        "fot normal",
        "fit --sytem s4 normal",
        "fit",
        "check normal --near a",
        "inspect normal --channel-order up",
    ),
    "Recordings": (
        f"fit gone {FIT}",
        f"fit empty {FIT}",
        "fit mono -s s4 -o new.detector",
        f"fit silent {FIT}",
        f"fit short {FIT}",
        f"fit holes {FIT}",
        f"fit text {FIT}",
        f"fit mp3 {FIT}",
        f"fit alone {FIT}",
        f"fit normal {FIT} --clip-seconds 0.1",
        "score fan.detector silent --machine fan",
        "mask normal/00.wav -o normal/00.wav",
        "mask silent/00.wav -o clean.wav",
    ),
    "Lists of clips": (
        f"fit lists/column.csv {FIT}",
        f"fit lists/header.csv {FIT}",
        f"fit lists/missing.csv {FIT}",
        f"fit lists/label.csv {FIT}",
        f"fit lists/anomaly.csv {FIT}",
    ),
    "Recordings and caches by URL": (
        f"fit lists/url.csv {FIT}",
        f"fit https://files.example/hall {FIT}",
        f"fit normal {FIT} --cache nothing://bucket/cache",
        f"fit normal {FIT} --cache s3://",
        "watch fan.detector s3://bucket/hall",
        "fit normal -s logmel -o s3://bucket/fan.detector",
        f"fit normal {FIT} --shard 1/2".replace("new.detector", "s3://bucket/1.part"),
    ),
    "Clusters and fleets": (
        f"fit normal {FIT} --engine dask",
        f"fit normal {FIT} --engine ray://127.0.0.1:9",
        "fit normal -s logmel -o part --shard a/b",
        f"fit normal {FIT} --shard 1/2 --engine ray",
        "fleet empty",
        "fleet fan.detector broken.detector",
        f"fit two {FIT} --each --shard 1/2",
    ),
    "Exported detectors": (
        "export fan.detector -o fan.detector",
        "export fan.detector -o new.edge --precision int8",
        "export fan.detector -o new.edge --no-verify --clips normal",
        "verify fan.detector normal --against fan.detector",
        "verify fan.edge normal --against two.detector",
        "verify fan.edge empty --against fan.detector",
    ),
    "Machines and detectors": (
        f"fit few {FIT}",
        "score two.detector normal --machine pumpe",
        "score fan.detector normal --section 07",
        "score normal normal",
        "score gone.detector normal",
        "score broken.detector normal",
        "score fan.detector normal --part gone.py:Mine",
    ),
    "Systems and settings": (
        "fit normal -o new.detector -s s9",
        "fit normal -o new.detector --set whitening.shrinkge=0.1",
        "fit normal -o new.detector --set whitening.shrinkage=7",
        "fit normal -o new.detector --set rule=KKN",
        "fit normal -o new.detector --set whitening",
        "fit normal -o new.detector -s s3",
        "fit normal -o new.detector -s s4 --weights anything",
        f"fit normal {FIT} --false-alarm-rate 2",
        "evaluate",
        "evaluate --scores empty",
        "features normal",
        "simulate",
    ),
    "Places": (
        "score fan.detector normal --csv no/such/folder/today.csv",
        "embed normal -s logmel -o rows.csv",
        "fit normal -s logmel --machine pump7 -o two.detector",
        "fit few -s logmel --machine fan -o fan.detector",
        "fit normal -s logmel -o broken.detector",
        "fit normal -s logmel --machine fan -o mine.detector",
        "fit normal -s logmel -o fan.detector.previous",
    ),
    "Warnings": (
        "fit mixed -s logmel -o mixed.detector --skip-bad",
        "fit copies -s logmel -o copies.detector",
        "fit same -s s4 -o same.detector",
        "score fan.detector moved --machine fan",
        "score fan.detector long --machine fan",
    ),
    "In shards": (
        f"fit normal {FIT} --shard 17/16",
        "score fan.detector normal --shard 1/2 -o part --csv today.csv",
        "merge parts/1 -o new.detector",
        "merge parts/1 parts/other -o new.detector",
        "merge parts/1 parts/cut -o new.detector",
        "merge parts/1 normal -o new.detector",
        "merge parts/1 parts/2",
        "merge parts/scores --csv today.csv",
    ),
    "Beside the machine": (
        "watch fan.detector",
        "watch fan.detector gone",
        "watch fan.detector -",
        "watch fan.detector normal --rate 48000",
        "watch fan.detector normal --alarm 5/3",
        "watch fan.detector normal --keep 90d",
        "watch fan.detector normal --history text/a.wav",
        "watch fan.detector normal --mqtt mqtt://kim:secret@broker",
        "watch plant.toml",
        "watch gone normal",
        "watch gone/new normal --page 127.0.0.1:8080",
        "watch fan.detector normal --token-file token",
        "serve fan.detector two.detector",
        "serve fan.detector --machine pump",
        "history gone.db",
        "alarms gone.db --ack 1",
        "alarms heard.db --ack 7",
        "alarms heard.db --shelve 7 --for soon",
    ),
    "No fault": ("score fan.detector moved --machine fan --fail-on-anomaly",),
}


def messages() -> str:
    """Every case as a shell shows it: the command, what it says on standard error, its code."""
    lines = []
    with _somewhere():
        _make()
        for title, commands in CASES.items():
            lines += [f"### {title}", "", "```"]
            for command in commands:
                code, said = _said(command)
                lines += [f"$ nearfar {command}", *said, f"[{code}]", ""]
            lines[-1:] = ["```", ""]
    return "\n".join(lines).strip()


@contextlib.contextmanager
def _somewhere() -> Iterator[None]:
    before, cache = os.getcwd(), os.environ.get("NEARFAR_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["NEARFAR_CACHE"] = str(Path(folder, "cache"))
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.pop("NEARFAR_CACHE")
            if cache is not None:
                os.environ["NEARFAR_CACHE"] = cache


def _said(command: str) -> tuple[int, list[str]]:
    """Exit code and lines on standard error; called here, for a process takes a second."""
    argv, shown, filters = sys.argv, warnings.showwarning, warnings.filters[:]
    error, code = io.StringIO(), 0
    sys.argv = ["nearfar", *shlex.split(command)]
    try:
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv, warnings.showwarning = argv, shown
        warnings.filters[:] = filters  # type: ignore[index]
    shutil.rmtree("new.detector", ignore_errors=True)
    return code, error.getvalue().splitlines()


def _sound(seed: int, seconds: float = 1.5) -> np.ndarray:
    """(2, samples): a hum, less of it far, and noise in both."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * 90 * k * t + rng.uniform(0, 6)) / k for k in range(1, 9))
    gains = np.array([[0.05], [0.01]])
    return gains * hum + 0.01 * rng.standard_normal((2, t.size))


def _write(place: str, audio: np.ndarray) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(place, audio.T, RATE, subtype="FLOAT")


def _make() -> None:
    for n in range(6):
        sound = _sound(n)
        _write(f"normal/{n:02d}.wav", sound)
        _write(f"mixed/{n:02d}.wav", sound)
        _write(f"two/fan/{n:02d}.wav", sound)
        _write(f"two/pump/{n:02d}.wav", sound)
        _write(f"copies/{n:02d}.wav", _sound(n % 5))
        _write(f"same/{n:02d}.wav", sound[[0, 0]])
        _write(f"mono/{n:02d}.wav", sound[:1])
        _write(f"silent/{n:02d}.wav", sound * 0)
        _write(f"short/{n:02d}.wav", sound[:, :4000])
        _write(f"holes/{n:02d}.wav", np.where(np.arange(sound.shape[1]) == 7, np.nan, sound))
    for n in (6, 7):
        _write(f"mixed/{n:02d}.wav", _sound(n) * 0)
    _write("alone/a_near.wav", _sound(0)[:1])
    _write("moved/a.wav", _sound(9)[::-1])
    _write("long/a.wav", _sound(9, 6.0))
    for n in range(2):
        _write(f"few/{n}.wav", _sound(n))
    for folder in ("empty", "text", "mp3", "lists"):
        Path(folder).mkdir()
    Path("text/a.wav").write_text("no sound at all")
    Path("mp3/a.mp3").write_bytes(b"ID3")
    lists = {
        "column": "path,colour\n../normal/00.wav,red\n",
        "header": "path,machine\n",
        "missing": "path\n../normal/gone.wav\n",
        "url": "path\n../normal/00.wav\nmemory://hall/gone.wav\nmemory://hall/lost.wav\n",
        "label": "path,label\n../normal/00.wav,loud\n",
        "anomaly": "path,label\n../normal/00.wav,anomaly\n",
    }
    for name, text in lists.items():
        Path(f"lists/{name}.csv").write_text(text)
    for command in (
        "fit normal -s logmel --machine fan -o fan.detector",
        "fit two -s logmel -o two.detector",
        "export fan.detector -o fan.edge --clips normal",
    ):
        _done(command)
    _make_parts()
    Path("plant.toml").write_text(
        '[[machine]]\nname = "fan"\ndetector = "fan.detector"\n\n[[source]]\nfolder = "normal"\n'
        'settle = "fast"\npol = "10s"\n'
    )
    _done("watch fan.detector normal --history heard.db --once --quiet")
    shutil.copytree("fan.detector", "broken.detector")
    Path("broken.detector/detector.json").write_text("{")
    shutil.copytree("fan.detector", "mine.detector")
    Path("mine.detector.previous").mkdir()
    Path("mine.detector.previous/notes.txt").write_text("mine")


def _done(command: str) -> None:
    code, said = _said(command)
    if code:
        raise RuntimeError(f"{command}: {said}")


def _make_parts() -> None:
    fit = "fit normal -s logmel --machine fan"
    shutil.copytree("fan.detector", "moved.detector")
    for command in (
        f"{fit} --shard 1/2 -o parts/1",
        f"{fit} --shard 2/2 -o parts/2",
        f"{fit} --shard 2/2 -o parts/other --false-alarm-rate 0.2",
        "score moved.detector normal --shard 1/1 -o parts/scores",
    ):
        _done(command)
    Path("parts/cut").write_bytes(Path("parts/2").read_bytes()[:-9])
    _done("threshold moved.detector --false-alarm-rate 0.2")


def main() -> None:
    """Print the blocks, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    page = parser.parse_args().write
    said = messages()
    if page is None:
        print(said)
    else:
        page.write_text(filled(page.read_text(encoding="utf-8"), "messages", said), "utf-8")


if __name__ == "__main__":
    main()
