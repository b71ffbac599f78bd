"""What a trained encoder asks of a fit: its own front end, thresholds from clips it never heard.

An embedder says how it was trained by a property `training`; see `nearfar.embedder.contract`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nearfar.embedder.contract import innermost, training_of
from nearfar.embedder.crops import Crops
from nearfar.errors import Once, SettingError
from nearfar.parts.data import described, to_data
from nearfar.scoring.calibrate import ENOUGH, wants_fresh

if TYPE_CHECKING:
    from nearfar.embedder.contract import Embedder
    from nearfar.frontend import Frontend
    from nearfar.system.system import Ensemble, System


MACHINE_HEARD = "machine_heard"  # a fact of a fitted member: 1.0 or 0.0, as facts are numbers


def check_frontend(frontend: Frontend, embedder: Embedder, order: str) -> None:
    """Refuse a front end, a length or a channel order that a trained encoder does not know.

    Raises:
        SettingError: not the one it was trained with.
    """
    training = training_of(embedder)
    if training is None:
        return
    if order != training.order:  # it would hear the other microphone
        raise SettingError(
            f"the encoder was trained with channel order {training.order}, this fit has {order}; "
            f"say --channel-order {training.order} if the files are the same, or --any-frontend"
        )
    now = to_data(frontend)  # as the weights' file has it: part and settings, by name
    if now != training.frontend:
        raise SettingError(
            f"the encoder was trained with {described(training.frontend)}, the system has "
            f"{described(now)}; train another, or take it as it is with --any-frontend"
        )
    from nearfar.embedder.backbone import Backbone  # here: a detector that only scores needs none

    encoder = innermost(embedder)
    if isinstance(encoder, Backbone) and encoder.frames != training.frames:
        raise SettingError(
            f"the encoder was trained with frames={training.frames}, the system has "
            f"{encoder.frames}; "
            f"--set embedder.frames={training.frames}, or --any-frontend"
        )


def fresh_clips(
    system: System | Ensemble, machine: str, digests: Sequence[str], once: Once
) -> tuple[bool, ...] | None:
    """Which clips no encoder of a system was trained on.

    Args:
        system: with encoders, trained or not.
        machine: whose clips they are.
        digests: sha256 of each clip's near channel.
        once: through which warnings go.

    Returns:
        (clips,), or None if nothing was trained.
    """
    # Of any member: a clip that one of them was trained on is no stranger to the ensemble.
    trainings = [t for m in system.members if (t := training_of(m.embedder)) is not None]
    if not trainings:
        return None
    fresh = tuple(not any(t.has_heard(d) for t in trainings) for d in digests)
    for training in trainings:
        # A cut or converted file has another digest, so it looks unheard though it is not.
        if machine in training.machines and not any(training.knows(d) for d in digests):
            once.warn(
                (machine, "not these clips"),
                f"{machine}: the encoder was trained on this machine, but on none of these clips; "
                "if they are cut, trimmed or converted from those, the threshold comes out too "
                "low: fit on the files that it was trained on, cut alike",
            )
            break
    # Of those that ask, some may have no trained encoder: then nothing is amiss with them.
    asks = any(training_of(m.embedder) and wants_fresh(m.calibration) for m in system.members)
    few = asks and sum(fresh) < min(ENOUGH, len(fresh))
    if not any(fresh):  # then all judge, see `Section.judges`
        once.warn(
            (machine, "all heard"),
            f"{machine}: the encoder was trained on all {len(fresh)} clips, so the threshold comes "
            f"out too low{' and calibrated scores too high' * few}; fit on clips it has not heard "
            "too, or train with training.held_out",
        )
    elif few:
        once.warn(
            (machine, "few fresh"),
            f"{machine}: {sum(fresh)} of {len(fresh)} clips are new to the encoder, {ENOUGH} would "
            "calibrate it; with all of them, which it knows, its scores come out too high: fit on "
            "more that it has not heard, or train with more training.held_out",
        )
    return fresh


def warn_untrained(system: System | Ensemble, once: Once) -> None:
    """A crop-averaged encoder with published weights is no System 1; say so.

    Crops of a frozen encoder are the report's frozen baseline (Table 3): right if it is meant.
    """
    from nearfar.embedder.backbone import Backbone
    from nearfar.embedder.yamnet import YAMNet

    for member in system.members:
        encoder = innermost(member.embedder)
        # Who pools the encoder's grid, or takes far off, did not mean System 1.
        if not _only_cropped(member.embedder):
            continue
        # Wrapped and not told how to pool: that is s1 with weights that no finetune made.
        cropped = isinstance(encoder, Backbone | YAMNet) and encoder is not member.embedder
        told = isinstance(encoder, Backbone) and encoder.pooling is not None
        if cropped and not told and training_of(encoder) is None:
            meant = (
                "; --set embedder.embedder.pooling=mean says that it is meant"
                if isinstance(encoder, Backbone)
                else ""
            )
            once.warn(
                ("untrained",),
                "published weights, not trained by nearfar finetune: this is the frozen baseline, "
                f"not System 1{meant}",
            )
            return


def _only_cropped(embedder: Any) -> bool:
    """Is it an encoder in crops, and in nothing else?"""
    return isinstance(embedder, Crops) and embedder.embedder is innermost(embedder)


def machine_facts(embedder: Embedder, machine: str) -> dict[str, float]:
    """What a detector records: was the encoder trained on the machine? {} if on none."""
    training = training_of(embedder)
    return {} if training is None else {MACHINE_HEARD: float(machine in training.machines)}
