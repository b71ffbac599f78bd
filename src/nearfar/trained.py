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
    from nearfar.detector import Detector
    from nearfar.embedder import Embedder
    from nearfar.frontend import Frontend
    from nearfar.system import Ensemble, System


MACHINE_HEARD = "machine_heard"  # a fact of a fitted member


def training_of(embedder: Embedder) -> Any:
    """How an embedder was trained; None for one that was not."""
    return getattr(embedder, "training", None)


def check_frontend(frontend: Frontend, embedder: Embedder, order: str) -> None:
    """Refuse a front end, a length or a channel order that a trained encoder does not know.

    Raises:
        SettingError: not the one it was trained with.
    """
    training = training_of(embedder)
    if training is None:
        return
    if order != training.order:
        raise SettingError(
            f"the encoder was trained with channel order {training.order}, this fit has {order}; "
            f"say --channel-order {training.order} if the files are the same, or --any-frontend"
        )
    now = to_data(frontend)
    if now != training.frontend:
        raise SettingError(
            f"the encoder was trained with {described(training.frontend)}, the system has "
            f"{described(now)}; train another, or take it as it is with --any-frontend"
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
    for training in trainings:
        if machine in training.machines and not any(training.knows(d) for d in digests):
            warnings.warn(
                f"{machine}: the encoder was trained on this machine, but on none of these clips; "
                "if they are cut, trimmed or converted from those, the threshold comes out too "
                "low: fit on the files that it was trained on, cut alike",
                NearfarWarning,
                stacklevel=2,
            )
            break
    if not any(fresh):
        warnings.warn(
            f"{machine}: the encoder was trained on all {len(fresh)} clips, so the threshold comes "
            "out too low; fit on clips it has not heard too, or train with training.held_out",
            NearfarWarning,
            stacklevel=2,
        )
    return fresh


def warn_untrained(system: System | Ensemble) -> None:
    """A crop-averaged encoder with published weights is no System 1; say so.

    Crops of a frozen encoder are the report's frozen baseline (Table 3): right if it is meant.
    """
    for member in system.members:
        inner: Any = getattr(member.embedder, "embedder", None)
        is_eat = hasattr(type(inner), "training") and getattr(inner, "pooling", "") is None
        if is_eat and training_of(inner) is None:
            warnings.warn(
                "published weights, not trained by nearfar finetune: this is the frozen baseline, "
                "not System 1; --set embedder.embedder.pooling=mean says that it is meant",
                NearfarWarning,
                stacklevel=2,
            )
            return


def machine_facts(embedder: Embedder, machine: str) -> dict[str, float]:
    """What a detector records: was the encoder trained on the machine? {} if on none."""
    training = training_of(embedder)
    return {} if training is None else {MACHINE_HEARD: float(machine in training.machines)}


def unheard_machines(detector: Detector) -> list[str]:
    """Machines that some trained encoder of a detector was not trained on, as it recorded."""
    return list(
        dict.fromkeys(
            machine
            for (machine, _), section in detector.sections.items()
            if any(m.facts.get(MACHINE_HEARD) == 0.0 for m in section.members)
        )
    )


def described(data: Any) -> str:
    """A part's data as they are written in Python."""
    settings = ", ".join(f"{k}={v!r}" for k, v in data.items() if k != "type")
    return f"{data['type']}({settings})"
