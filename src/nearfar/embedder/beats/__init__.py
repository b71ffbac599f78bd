"""BEATs (Chen et al., ICML 2023), iteration 3, exact: the second encoder.

audio → features (Kaldi's log-mel) → model (torch) → pooling → one row a clip
"""

from nearfar.embedder.beats.embed import BEATs

__all__ = ["BEATs"]
