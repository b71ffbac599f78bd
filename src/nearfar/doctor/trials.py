"""What works, really tried on made sound in a folder of its own, each by itself."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from nearfar.doctor.sign import Sign, asked, timed

CLIPS, SECONDS = 6, 1.2
RATE = 44_100  # Hz of one file, to have it resampled


def trials() -> Iterator[Sign]:
    """Try what most commands need."""
    # Not in the cache's folder, nor in that where it is typed: neither may be written to.
    with tempfile.TemporaryDirectory(prefix="nearfar-doctor-") as name:
        folder = Path(name)
        asks: dict[str, Callable[[Path], str]] = {
            "WAV": _wav, "FLAC": _flac, "resampling": _resampled, "safetensors": _safetensors,
            "fit and score": _fit, "worker process": _worker, "PyTorch": _torch,
        }  # fmt: skip
        for title, ask in asks.items():
            if title == "PyTorch" and importlib.util.find_spec("torch") is None:
                continue  # said of its extra
            yield asked("works", title, timed(partial(ask, folder)))


def sound(number: int, rate: int = 16_000) -> object:
    """(2, samples) float32, near and far: noise in both, a hum that is louder near."""
    import numpy as np

    rng = np.random.default_rng(number)  # of each clip another, for equal ones are copies
    t = np.arange(round(SECONDS * rate)) / rate
    hum = np.sin(2 * np.pi * (90 + number) * t) + 0.3 * np.sin(2 * np.pi * 180 * t)
    noise = rng.standard_normal((2, len(t)))
    return (np.outer((0.2, 0.05), hum) + 0.02 * noise).astype(np.float32)


def _wav(folder: Path) -> str:
    from nearfar.sound import audio

    made = sound(0)
    audio.write(folder / "a.wav", made)  # type: ignore[arg-type]
    if not (audio.read(folder / "a.wav") == made).all():
        raise ValueError("what was written is not what is read")
    return "read as written"


def _flac(folder: Path) -> str:
    import numpy as np
    import soundfile

    from nearfar.sound import audio

    made = np.round(np.asarray(sound(1)) * 32768) / 32768  # as 16 bits can say it
    soundfile.write(folder / "a.flac", made.T, audio.SAMPLE_RATE, subtype="PCM_16")
    if not (audio.read(folder / "a.flac") == made.astype(np.float32)).all():
        raise ValueError("what was written is not what is read")
    return "read as written"


def _resampled(folder: Path) -> str:
    import numpy as np

    from nearfar.sound import audio

    audio.write(folder / "b.wav", np.asarray(sound(2, RATE)), RATE)
    heard = audio.read(folder / "b.wav")
    if abs(heard.shape[1] - SECONDS * audio.SAMPLE_RATE) > 1 or not np.isfinite(heard).all():
        raise ValueError(f"{RATE} Hz gave {heard.shape[1]} samples")
    return f"{RATE:,} to {audio.SAMPLE_RATE:,} Hz"


def _safetensors(folder: Path) -> str:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    made = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_file({"bank": made}, folder / "a.safetensors")
    if not (load_file(folder / "a.safetensors")["bank"] == made).all():
        raise ValueError("what was written is not what is read")
    return "read as written"


def _fit(folder: Path) -> str:
    """System 4 fitted on made clips, saved, loaded, and one of them scored twice alike."""
    import numpy as np

    from nearfar.clips.clip import Clip
    from nearfar.clips.collection import Clips
    from nearfar.detector.detector import load
    from nearfar.detector.fitting import fit
    from nearfar.sound import audio
    from nearfar.system.presets import s4

    home = folder / "machine"
    home.mkdir()
    for number in range(CLIPS):
        audio.write(home / f"{number}.wav", np.asarray(sound(number)))
    clips = Clips(Clip(home / f"{number}.wav", machine="made") for number in range(CLIPS))
    detector = fit(s4(), clips)
    new = np.asarray(sound(CLIPS))
    score = detector.score(new, sr=audio.SAMPLE_RATE)[0].score
    again = load(detector.save(folder / "detector")).score(new, sr=audio.SAMPLE_RATE)[0].score
    if score != again or not np.isfinite(score):
        raise ValueError(f"the same clip scored {score} and, loaded anew, {again}")
    return f"s4 on {CLIPS} made clips, saved and loaded"


def _worker(_: Path) -> str:
    from nearfar.runtime.workers import run

    # Two jobs: one alone would be done in this process.
    if list(run(_doubled, [1, 2], workers=2)) != [2, 4]:
        raise ValueError("a worker process gave something else than was asked of it")
    return "started anew (spawn), and answered"


def _doubled(number: int) -> int:
    return 2 * number


def _torch(_: Path) -> str:
    import torch

    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    devices += ["mps"] * torch.backends.mps.is_available()
    for device in devices:
        layer = torch.nn.Linear(4, 2).to(device)
        with torch.inference_mode():
            given = layer(torch.ones(3, 4, device=device)).cpu()
        wanted = layer.weight.detach().cpu().sum(1) + layer.bias.detach().cpu()
        # Loosely: a GPU may multiply with fewer digits.
        if not torch.allclose(given, wanted.expand(3, 2), atol=1e-3):
            raise ValueError(f"{device}: a layer gave other numbers than its sum")
    return f"a layer on {', '.join(devices)}"
