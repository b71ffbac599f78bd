"""Fitting and scoring whole folders of WAV files with System 4: scaling, memory, overhead."""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

import nearfar as nf
from bench.dif import ROUNDS, milliseconds
from nearfar.sound.audio import SAMPLE_RATE, check, digest_of, read

COUNTS = (250, 500, 1000, 2000)
SECONDS = 10
DIFFERENT = 64  # clips drawn; the rest are these shifted, so that no two are equal


def write_clips(folder: Path, count: int, seconds: int = SECONDS) -> None:
    """A DCASE machine of partly correlated noise: 1 % of its clips are target clips."""
    train = folder / "noise" / "train"
    train.mkdir(parents=True)
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal((seconds * SAMPLE_RATE, 2)) for _ in range(DIFFERENT)]
    for clip in clips:
        clip[:, 1] = 0.5 * clip[:, 1] + 0.1 * clip[:, 0]
    for i in range(count):
        domain, number = ("target", i // 100) if i % 100 == 0 else ("source", i - i // 100 - 1)
        x = 0.05 * np.roll(clips[i % DIFFERENT], 37 * (i // DIFFERENT), axis=0)
        x[i // DIFFERENT] += 0.01
        name = f"section_00_{domain}_train_normal_{number:04d}_noAttribute.wav"
        soundfile.write(train / name, x, SAMPLE_RATE, subtype="PCM_16")


def read_and_dif(paths: list[Path]) -> float:
    """Processor seconds of reading and DIF alone."""
    dif = nf.DIF()
    start = time.process_time()
    for path in paths:
        dif([check(read(path), name=path.name)])
    return time.process_time() - start


def fit_seconds(folder: Path, workers: int) -> float:
    """Of one worker processor seconds, of several those of the clock."""
    clock = time.process_time if workers == 1 else time.perf_counter
    clips = nf.Clips.open(folder, split="train")
    start = clock()
    nf.fit(nf.s4(), clips, nf.Runtime(workers=workers))
    return clock() - start


def in_pool(paths: list[Path], workers: int) -> tuple[float, float]:
    """Seconds until spawned workers have imported what a job needs, and of read + DIF in them."""
    start = time.perf_counter()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_load, range(workers)))
        begin = time.perf_counter()
        list(pool.map(read_and_dif, [paths[i::workers] for i in range(workers)]))
        return begin - start, time.perf_counter() - begin


def _load(_: int) -> None:
    dif = nf.DIF()
    dif([np.random.default_rng(0).standard_normal((2, SAMPLE_RATE)).astype(np.float32)])
    time.sleep(0.05)  # so that no worker takes two of these


def peak_megabytes(folder: Path) -> float:
    """Peak resident memory of a process that fits; of its own, not of the one that started it."""
    if not Path("/proc/self/status").exists():
        return float("nan")
    code = (
        "import re, pathlib, nearfar as nf\n"
        "if __name__ == '__main__':\n"
        f"    nf.fit(nf.s4(), nf.Clips.open({str(folder)!r}, split='train'))\n"
        "    status = pathlib.Path('/proc/self/status').read_text()\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', status)[1])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(out.stdout) / 1024


def scoring(folder: Path) -> tuple[float, float, float]:
    """Median processor seconds of read + DIF, of scoring a file and an array, one clip each."""
    clips = nf.Clips.open(folder, split="train")
    detector = nf.fit(nf.s4(), clips)
    parts: tuple[list[float], list[float], list[float]] = ([], [], [])
    for clip in clips[:60]:
        audio = read(clip.path)
        one = nf.Clips([clip])
        for times, call in zip(
            parts,
            (
                lambda clip=clip: read_and_dif([clip.path]),
                lambda one=one: detector.score(one),
                lambda audio=audio: detector.score(audio, sr=SAMPLE_RATE),
            ),
            strict=True,
        ):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
    floor, file, array = (statistics.median(t) for t in parts)
    return floor, file, array


def hashing(folder: Path) -> tuple[float, float, float]:
    """Processor milliseconds a clip of its hashes, of those of as many bytes, and of its fit."""
    clips = nf.Clips.open(folder, split="train")
    audio = read(clips[0].path)
    bytes_ = np.random.default_rng(0).bytes(audio.nbytes + audio[:1].nbytes)
    works = {
        # Both channels are the clip's name; by the near one alone folds are dealt.
        "hashes": lambda: [digest_of(audio), digest_of(audio[:1])],
        "bytes": lambda: hashlib.sha256(bytes_).digest(),
    }
    took = milliseconds(works, ROUNDS)
    return took["hashes"], took["bytes"], 1e3 * fit_seconds(folder, 1) / len(clips)


def run() -> str:
    rows = [
        "## Fitting and scoring, System 4",
        "",
        f"WAV files, {SECONDS} s, stereo, 16 kHz, 1 % target clips (uncorrelated enough for the "
        "tier with one residual row per source clip), no cache. "
        "Read + DIF: nothing else, in as many processes, started before. One worker: processor "
        "seconds; two: seconds of the clock, with the machine to itself.",
        "",
        "| clips | read + DIF, s | fit, 1 worker, s | ratio | read + DIF in 2, s "
        "| pool start-up, s | fit, 2 workers, s | ratio without start-up | peak memory, MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for count in COUNTS:
            folder = Path(name) / str(count)
            write_clips(folder, count)
            paths = sorted((folder / "noise" / "train").iterdir())
            floor, one = read_and_dif(paths), fit_seconds(folder, 1)
            start_up, both = in_pool(paths, 2)
            two = fit_seconds(folder, 2)
            rows.append(
                f"| {count} | {floor:.2f} | {one:.2f} | {one / floor:.2f} | {both:.2f} "
                f"| {start_up:.2f} | {two:.2f} | {(two - start_up) / both:.2f} "
                f"| {peak_megabytes(folder):.0f} |"
            )
        floor, file, array = scoring(Path(name) / str(COUNTS[0]))
        hashes, alone, whole = hashing(Path(name) / str(COUNTS[0]))
    return "\n".join(
        [
            *rows,
            "",
            "A clip's sha256, of both channels and of the near one by itself, takes "
            f"{hashes:.2f} ms of {whole:.1f} of a fit with one worker; as many bytes in one piece "
            f"take {alone:.2f}.",
            "",
            "One clip with a warm detector, median of 60:",
            "",
            "| | ms | × (read + DIF) |",
            "|---|--:|--:|",
            f"| read + DIF | {1e3 * floor:.2f} | 1 |",
            f"| score one WAV file | {1e3 * file:.2f} | {file / floor:.2f} |",
            f"| score one array in memory | {1e3 * array:.2f} | {array / floor:.2f} |",
        ]
    )
