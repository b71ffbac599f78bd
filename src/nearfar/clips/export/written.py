"""A clip's file in the exported folder: linked, copied, or written anew without a loss."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np

from nearfar.clips.clip import Clip
from nearfar.errors import AudioError, hold_warnings
from nearfar.runtime.remote import Remote
from nearfar.runtime.urls import url_of
from nearfar.sound import audio


def is_rewritten(clip: Clip) -> bool:
    """Is its sound no whole file: a part of one, a near and a far one, what a damaged one has?

    Raises:
        AudioError: a file that cannot be read.
    """
    if clip.far is not None or clip.start or clip.stop is not None:
        return True
    if not clip.salvage:
        return False
    # Only a damaged one: what others could not read they would not get.
    try:
        audio.duration(clip.path)
    except AudioError:
        return True
    return False


def channels_in(
    clip: Clip, order: audio.ChannelOrder, *, rewritten: bool
) -> tuple[int, int] | None:
    """Near and far in the file that is exported, counted from 1; None of a file of one channel.

    Raises:
        AudioError: a file that cannot be read, has too few channels, or more than two and nobody
            says which of them are near and far.
    """
    if clip.fault:
        raise AudioError(clip.fault)
    if clip.far is not None:
        for file in (clip.path, clip.far):
            audio.duration(file, salvage=clip.salvage)
        return 1, 2
    count = 2 if rewritten and clip.salvage else audio.channels(clip.path)
    if count == 1:
        return None
    told = clip.channels or (order if not isinstance(order, str) else None)
    if told is None and count > 2:
        raise AudioError(
            f"{clip.path}: {count} channels; say which are near and far with --near and --far"
        )
    chosen = told or ((1, 2) if order == "near-far" else (2, 1))
    if max(chosen) > count:
        raise AudioError(f"{clip.path}: {count} channels, there is no channel {max(chosen)}")
    # What is written anew is written near first.
    return (1, 2) if rewritten else chosen


def put(clip: Clip, to: Path, order: audio.ChannelOrder, *, link: bool, rewritten: bool) -> None:
    """Put a clip's sound into a new file; the original is only read.

    Args:
        clip: whose.
        to: a file that is not there, in a folder that is.
        order: of the channels of files, where the clip does not say.
        link: make it another name of the same file where the disk can, else a copy.
        rewritten: as `is_rewritten` says.

    Raises:
        AudioError: it cannot be read.
        OSError: it cannot be written.
    """
    if rewritten:
        to.write_bytes(_lossless(clip, order))
        return
    if url_of(clip.path) is not None:
        to.write_bytes(fetched(clip.path))
        return
    if link:
        try:
            os.link(clip.path.resolve(), to)
            return
        except OSError:  # another disk, or one without links
            pass
    shutil.copyfile(clip.path, to)


def fetched(path: Path) -> bytes:
    """The bytes of a file at a URL.

    Raises:
        AudioError: they are not to be had.
    """
    try:
        return Remote(path, AudioError).fetch()
    except OSError as error:
        raise AudioError(f"{path}: cannot be fetched ({error})") from None


def _lossless(clip: Clip, order: audio.ChannelOrder) -> bytes:
    """The clip as a WAV file at its own rate, near first, in the shortest samples that hold it."""
    import soundfile

    with hold_warnings():  # said when it is read as it is
        rate = clip.read_recorded(order)[1].sample_rate
    sound = audio.read(
        clip.path, clip.far, start=clip.start, stop=clip.stop, order=clip.channels or order,
        sample_rate=rate, salvage=clip.salvage,
    )  # fmt: skip
    # Recorders write whole numbers: as floats they would take twice the place.
    for subtype in ("PCM_16", "PCM_24"):
        content = audio.encode(sound, subtype, rate)
        again, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        if np.array_equal(again.T, sound):
            return content
    return audio.encode(sound, "FLOAT", rate)
