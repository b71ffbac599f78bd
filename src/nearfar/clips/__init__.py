"""What a clip is, where clips come from, which of them may be learned from.

Clips are listed by their names alone, with `clip_seconds` also by their lengths; only `survey`
reads them. What lies in a folder is listed or refused by name, never left out in silence.
"""

from nearfar.clips.clip import Clip, Name, parse_name
from nearfar.clips.collection import Clips
from nearfar.clips.training import faults, proxy_classes, refuse_faults

__all__ = ["Clip", "Clips", "Name", "faults", "parse_name", "proxy_classes", "refuse_faults"]
