"""Metric learning on proxy classes: from published weights to a trained encoder (report §2.2).

    clips → examples (front end, log-mel, class) → loop (crops, encoder, ArcFace) → one safetensors

    system = nf.finetune(nf.s1("EAT_DIR"), clips, nf.FineTuning(seed=1), out="s1.safetensors")

`FineTuning` is plain data; torch is loaded when `finetune` is asked for.
"""

from typing import TYPE_CHECKING, Any

from nearfar.training.settings import FineTuning

if TYPE_CHECKING:
    from nearfar.training.run import finetune

__all__ = ["FineTuning", "finetune"]


def __getattr__(name: str) -> Any:
    if name != "finetune":
        raise AttributeError(f"module 'nearfar.training' has no attribute {name!r}")
    from nearfar.training.run import finetune

    return finetune
