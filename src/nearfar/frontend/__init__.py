"""Audio → audio: what the embedder gets to hear."""

from nearfar.frontend.cancel import FarCancel
from nearfar.frontend.mask import CoherenceMask
from nearfar.frontend.plain import Far, Frontend, Near, Stereo

__all__ = ["CoherenceMask", "Far", "FarCancel", "Frontend", "Near", "Stereo"]
