"""What a clip is, where clips come from, and which proxy class each belongs to.

    clip        one clip, and what a DCASE Task 2 file name says
    folders     folders → clips: DCASE Task 2, 2020 to 2026, and plain recordings
    lists       CSV files → clips; long recordings → consecutive clips
    collection  many clips in an order, and their proxy classes

Only names are read here, no sound; with `clip_seconds` also the lengths. What lies in a folder is
listed or refused by name, never left out in silence.
"""

from nearfar.clips.clip import Clip, Name, parse_name
from nearfar.clips.collection import Clips
from nearfar.clips.training import proxy_classes

__all__ = ["Clip", "Clips", "Name", "parse_name", "proxy_classes"]
