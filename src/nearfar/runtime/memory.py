"""Memory that clips use one after the other, kept for the next instead of given back."""

from __future__ import annotations

from functools import cache

# Bytes. A stereo clip of a minute has 8 MB, and some arrays of its size live at once. The C library
# keeps twice this much of what is free, and no more.
LARGEST = 16 << 20


@cache
def keep_freed() -> None:
    """Have this process keep what a clip's arrays gave back, for those of the next clip.

    glibc takes what is large from the system and returns it at once, and each page that is touched
    again is filled with zeros first: some 650 faults and a fifth of the time for a clip of 10 s. It
    learns from what it frees: blocks as large as one that was freed are kept from then on, up to
    twice that (mallopt(3), M_MMAP_THRESHOLD; at most 32 MB). So it is shown a block, of which
    nothing is ever touched. Other C libraries pay no heed.

    Kept by the allocator, not by us: no array is shared, so threads and results need no care.
    """
    bytes(LARGEST)  # zeros that nobody reads are never made
