"""EAT, the Efficient Audio Transformer (Chen et al., IJCAI 2024), exact and fast.

    audio → features (log-mel) → model (torch) → pooling → one row a clip

`EAT` is plain data. torch is loaded when the first clip is encoded; `model`, `fast`, `infer`,
`device` and `convert` import it and are themselves imported inside functions only.
"""

from nearfar.embedder.eat.embed import EAT

__all__ = ["EAT"]
