"""The settings of a computation that change no result."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.errors import SettingError
from nearfar.parts.valid import is_whole, whole
from nearfar.runtime.urls import place, url_of

if TYPE_CHECKING:
    from nearfar.runtime.executor import Executor

Progress = Callable[[str, int, int], None]  # (what, done, of)
LOCAL = "local"  # the engine that is this machine's processes
_ENGINE = re.compile(r"local|ray|ray://[^/\s]+")
MOST_WORKERS = 1024  # processes; each is a whole Python, and more cores than that has no machine


@dataclass(frozen=True)
class Runtime:
    """How to compute, never what: no field changes a score by more than rounding.

    Args:
        workers: processes that read and embed clips, 1 to 1024; 1 stays in this process.
        cache: folder of the embedding cache, or a URL as "s3://bucket/cache"; None keeps nothing.
        progress: called as `progress(what, done, of)`.
        device: of encoders: "auto" (CUDA, then MPS, then CPU), "cpu", "cuda", "cuda:1", "mps".
        batch_size: clips an encoder takes at a time; None leaves it to the device. Rows then agree
            to 1e-6 in fp32; in bf16, and on a GPU, they may differ in bfloat16's own rounding.
        keep: also keep in this machine's cache folder what encoders are given of each clip, for
            others behind the same front end: in ten crops 4 MB for 10 s.
        engine: where jobs are done: "local", in processes of this machine; "ray", on the Ray
            cluster that is here, or one started for this; "ray://head:10001", on one elsewhere.
        executor: what does jobs in place of an engine.

    >>> Runtime(workers=2, device="cpu").engine
    'local'
    """

    workers: int = 1
    cache: Path | None = None
    progress: Progress | None = None
    device: str = "auto"
    batch_size: int | None = None
    keep: bool = False
    engine: str = LOCAL
    executor: Executor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if self.cache is not None:  # frozen, so by the back door: a text becomes a Path
            object.__setattr__(self, "cache", place(self.cache))
        # Which devices there are, torch knows; it is asked when an encoder needs one.
        if not isinstance(self.device, str):
            raise SettingError(f"device is {self.device!r}; it is auto, cpu, cuda, cuda:1 … or mps")
        if not isinstance(self.engine, str) or not _ENGINE.fullmatch(self.engine):
            raise SettingError(
                f"engine is {self.engine!r}; it is local, ray, or ray://HOST:PORT of a cluster"
            )
        if self.batch_size is not None:
            whole("batch_size", self.batch_size, 1, what="a number of clips")

    @property
    def folder(self) -> Path | None:
        """The cache folder on this machine, for what is too large to be sent: log-mels.

        That of the cache; beside a cache at a URL this user's own; None without any cache.

        >>> Runtime(cache=Path("here")).folder.name, Runtime().folder
        ('here', None)
        """
        if self.cache is None or url_of(self.cache) is None:
            return self.cache
        from nearfar.runtime.cache import machine_cache

        return machine_cache()


def check_workers(workers: object) -> None:
    """Refuse what is no number of processes that a machine could bear.

    Raises:
        SettingError: says what it may be.

    >>> check_workers(10**30)
    Traceback (most recent call last):
    nearfar.errors.SettingError: workers is 1e+30; it is a number of processes from 1 to 1024
    """
    # Of an absurd number the digits would be the whole message.
    shown = 1e30 if is_whole(workers, 10**30) else workers
    whole("workers", shown, 1, MOST_WORKERS, what="a number of processes")


def runtime_of(given: object) -> Runtime:
    """What somebody gave for a runtime; None is one process without a cache.

    Raises:
        SettingError: it is none; a number of workers is what people give.

    >>> runtime_of(None).workers
    1
    """
    if given is None or isinstance(given, Runtime):
        return given or Runtime()
    raise SettingError(f"runtime is {given!r}; it is a Runtime, as in nf.Runtime(workers=4)")
