"""Metric learning on proxy classes: from published weights to a trained encoder (report §2.2).

clips → examples (front end, log-mel, class) → loop (crops, encoder, ArcFace) → one safetensors
"""

from typing import TYPE_CHECKING, Any

from nearfar.training.settings import FineTuning

if TYPE_CHECKING:
    from nearfar.training.run import finetune

__all__ = ["FineTuning", "finetune"]


def __getattr__(name: str) -> Any:
    # `FineTuning` is plain data; torch is loaded when `finetune` is asked for.
    if name != "finetune":
        raise AttributeError(f"module 'nearfar.training' has no attribute {name!r}")
    from nearfar.training.run import finetune

    return finetune
