"""What a trained encoder asks of a fit: its own front end, thresholds from clips it never heard.

An embedder says how it was trained by a property `training`; see `nearfar.eat.training`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nearfar.errors import NearfarWarning, SettingError
from nearfar.recipe import to_data

if TYPE_CHECKING:
    from nearfar.embedder import Embedder
    from nearfar.frontend import Frontend
    from nearfar.system import Ensemble, System


def training_of(embedder: Embedder) -> Any:
    """How an embedder was trained; None for one that was not."""
    return getattr(embedder, "training", None)


def check_frontend(frontend: Frontend, embedder: Embedder) -> None:
    """Refuse a front end, or a length, that a trained encoder does not know.

    Raises:
        SettingError: not the one it was trained with.
    """
    training = training_of(embedder)
    if training is None:
        return
    now = to_data(frontend)
    if now != training.frontend:
        raise SettingError(
            f"the encoder was trained with {_words(training.frontend)}, the system has "
            f"{_words(now)}; train another, or take it as it is with --any-frontend"
        )
    frames = getattr(getattr(embedder, "embedder", embedder), "frames", None)
    if frames != training.frames:
        raise SettingError(
            f"the encoder was trained with frames={training.frames}, the system has {frames}; "
            f"--set embedder.frames={training.frames}, or --any-frontend"
        )


def fresh_clips(
    system: System | Ensemble, machine: str, digests: Sequence[str]
) -> tuple[bool, ...] | None:
    """Which clips no encoder of a system was trained on.

    Args:
        system: with encoders, trained or not.
        machine: whose clips they are.
        digests: sha256 of each clip's near channel.

    Returns:
        (clips,), or None if nothing was trained.
    """
    trainings = [t for m in system.members if (t := training_of(m.embedder)) is not None]
    if not trainings:
        return None
    fresh = tuple(not any(t.has_heard(d) for t in trainings) for d in digests)
    if not any(fresh):
        warnings.warn(
            f"{machine}: the encoder was trained on all {len(fresh)} clips, so the threshold comes "
            "out too low; fit on clips it has not heard too, or train with training.held_out",
            NearfarWarning,
            stacklevel=2,
        )
    return fresh


def unheard_machines(system: System | Ensemble, machines: Sequence[str]) -> list[str]:
    """Machines that no encoder of a system was trained on; all if nothing was trained."""
    trainings = [t for m in system.members if (t := training_of(m.embedder)) is not None]
    return [name for name in machines if not any(name in t.machines for t in trainings)]


def _words(data: Any) -> str:
    """A front end's data as it is written in Python."""
    settings = ", ".join(f"{k}={v!r}" for k, v in data.items() if k != "type")
    return f"{data['type']}({settings})"
