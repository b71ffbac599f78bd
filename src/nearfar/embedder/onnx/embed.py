"""An exported encoder as an embedder: plain frozen data; what it is, its file says."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.encoders import KINDS
from nearfar.embedder.onnx.modelfile import AGAIN, MODEL, ModelFile, open_model
from nearfar.embedder.record import Training
from nearfar.errors import AudioError, SettingError, WeightsError, needs
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio
from nearfar.sound.fbank import group_edges

Float32 = NDArray[np.float32]

REVISION = 1  # raised when the same file would give other numbers
PATCH = 16  # frames of a column


@dataclass(frozen=True)
class OnnxEncoder:
    """An encoder that was exported as ONNX: the same log-mels, and onnxruntime for PyTorch.

    One file holds all of it: weights, pooling, layer, a trained head, how long a clip may be.
    `nearfar.embedder.onnx.exporting` makes it, of an EAT or a BEATs.

    Args:
        weights: the folder with `encoder.onnx`, or that file.

    Raises:
        SettingError: no path.

    The file is looked at, and onnxruntime is loaded, when they are needed first. It runs on the
    processor, whatever the runtime's device, and gives the same bits with any number of threads.

    >>> OnnxEncoder("a folder")
    OnnxEncoder(weights='a folder')
    """

    weights: str

    channels: ClassVar[int] = 1  # which one, a front end decides
    grid_bands: ClassVar[int] = 8  # of 16 mel bands each
    grid_hertz: ClassVar[tuple[float, ...]] = group_edges(8)

    def __post_init__(self) -> None:
        if not isinstance(self.weights, str | os.PathLike) or not os.fspath(self.weights):
            raise SettingError(
                f"OnnxEncoder.weights is {self.weights!r}; give the folder that an export made"
            )
        object.__setattr__(self, "weights", os.fspath(self.weights))

    def opened(self) -> ModelFile:
        """The file, looked at and whole.

        Raises:
            WeightsError: not there, not whole, or no export of ours.
        """
        return open_model(self.weights)

    @property
    def dim(self) -> int:
        """Numbers a clip."""
        return int(self.opened().facts["dim"])

    @property
    def grid_dim(self) -> int:
        """Numbers a token, also where the encoder has a head behind them."""
        return int(self.opened().facts["grid_dim"])

    @property
    def fingerprint(self) -> str:
        """The file's hash, and what it is."""
        return f"onnx-{REVISION}|{self.opened().sha256}|{self.identity}"

    @property
    def identity(self) -> str:
        """What was exported, and how: without the place where the file lies."""
        facts = self.opened().facts
        # The source's own word for its precision is not what runs here.
        was = re.sub(r", precision=\w+", "", str(facts["source"]["identity"]))
        return f"kind={facts['kind']}, {was}, precision={facts['precision']}"

    @property
    def alike(self) -> tuple[str, ...]:
        """The fingerprint of the encoder it was made of, where rows differ by rounding alone."""
        facts = self.opened().facts
        exact = facts["precision"] == facts["source"].get("precision") == "fp32"
        return (str(facts["source"]["fingerprint"]),) if exact else ()

    @property
    def preparation(self) -> str:
        """What a log-mel depends on but the audio, and how long it may be."""
        return f"{self._ear.preparation} longest={self.opened().facts['longest']}"

    @property
    def training(self) -> Training | None:
        """How nearfar trained the weights it was made of; None for published ones."""
        file: Any = self.opened()  # has a path and metadata, as weights do
        return Training.of(file)

    @property
    def files(self) -> dict[str, Path]:
        """What a copy of it consists of: name in a folder → file."""
        return {MODEL: self.opened().path}

    @property
    def _ear(self) -> Any:
        """The encoder it was made of, as far as it makes log-mels: none of its weights."""
        facts = self.opened().facts
        ear = KINDS[facts["kind"]].of("none are read")
        return ear if facts.get("frames") is None else replace(ear, frames=facts["frames"])

    def check(self, runtime: Runtime) -> None:
        """Refuse what cannot run here, before any clip is read; no session is made.

        Raises:
            WeightsError: no file there, or another's; no onnxruntime.
        """
        self.opened()
        with needs("edge", "an exported encoder needs onnxruntime", WeightsError):
            import onnxruntime  # noqa: F401

    def __call__(self, audios: Sequence[Audio]) -> Float32:
        """(1, samples) float32 each, at 16 kHz → (batch, dim).

        Raises:
            WeightsError: no file there, or no onnxruntime.
            AudioError: too short, or longer than was exported.
        """
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> Float32:
        """The log-mel of one clip, (frames, 128), as of the encoder that it was made of.

        Raises:
            AudioError: not one channel, too short, too long, or not finite.
        """
        mel: Float32 = self._ear.prepare(audio)
        self._check_length(len(mel))
        return mel

    def encode(self, mels: Sequence[Float32], runtime: Runtime) -> Float32:
        """(frames, 128) each → (batch, dim); a clip at a time, whatever is beside it."""
        rows = self._run(mels, "row", runtime)
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)

    def grids(self, mels: Sequence[Float32], runtime: Runtime) -> list[Float32]:
        """(frames, 128) each → (columns, 8, dim) each, bands from low to high."""
        found = self._run(mels, "grid", runtime)
        return [grid.reshape(-1, self.grid_bands, grid.shape[-1]) for grid in found]

    def _run(self, mels: Sequence[Float32], output: str, runtime: Runtime) -> list[Float32]:
        self.check(runtime)
        from nearfar.embedder.onnx.runner import session

        made = session(self.opened())
        found = []
        for mel in mels:
            self._check_length(len(mel))
            columns = np.ascontiguousarray(mel).reshape(len(mel) // PATCH, PATCH, -1)
            (numbers,) = made.run([output], {"columns": columns})
            if not np.isfinite(numbers).all():
                raise WeightsError(
                    f"{self.weights}: gives NaN or infinite numbers, so the weights it was made of "
                    f"are damaged; {AGAIN}, of others"
                )
            found.append(numbers)
        return found

    def _check_length(self, frames: int) -> None:
        longest = int(self.opened().facts["longest"])
        if frames > longest:
            raise AudioError(
                f"{frames / 100:.1f} s are {frames} frames, this exported encoder reads {longest} "
                f"at most; cut the clip, or export again with longest={-(-frames // 100)}"
            )
