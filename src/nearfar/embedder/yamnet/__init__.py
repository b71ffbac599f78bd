"""YAMNet-256, the small learned ear: the first six layers of YAMNet, in NumPy alone.

audio → log-mel → separable convolutions → a grid of 8 bands → one row a clip
"""

from nearfar.embedder.yamnet.embed import YAMNet

__all__ = ["YAMNet"]
