"""EAT, the Efficient Audio Transformer (Chen et al., IJCAI 2024), exact and fast.

audio → features (log-mel) → model (torch) → pooling → one row a clip
"""

from nearfar.embedder.eat.embed import EAT

__all__ = ["EAT"]
