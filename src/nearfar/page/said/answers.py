"""What people say of clips: normal, which is learnt, or a fault, which is kept; and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from nearfar.clips.clip import Clip
from nearfar.errors import SettingError, StorageError
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.hub import Message
from nearfar.page.refusal import Refusal
from nearfar.page.replies import SCHEMA
from nearfar.page.said.audited import audited
from nearfar.page.said.teaching import learnt_of, taught, unchanged, untaught
from nearfar.page.sounds.row_sound import find_recording, row_of
from nearfar.service.history.changes import ClipLabel
from nearfar.service.history.questions import HistoryRow
from nearfar.service.incoming import now
from nearfar.service.labelled import LabelledSound
from nearfar.service.outputs.said import one_line_json
from nearfar.service.plant import Key
from nearfar.text import called

Word = Literal["normal", "fault"]


@dataclass(frozen=True)
class Saying:
    """What a person says of a clip.

    >>> Saying("kim").learn
    True
    """

    who: str = ""
    note: str = ""
    learn: bool = True  # of a normal one: shall the detector learn it?
    domain: str | None = None  # of one to be learnt that does not say it


def call_normal(
    desk: Desk, visitor: Visitor, key: Key, digest: str, said: Saying
) -> dict[str, Any]:  # fmt: skip
    """A clip is normal: its label, and what the detector has learnt of it, if it shall.

    Raises:
        Refusal: no such clip, one that has a label or that the detector was fitted on, whose
            sound is gone, or that is no sound of a running machine.
        NearfarError: it cannot be heard or kept; nothing is half done.
    """
    how = "to be learnt" if said.learn else "noted, not learnt"
    about = _about(desk, key, digest, how, _noted(said.note))
    with audited(desk, visitor, "call normal", about, said.who):
        row = _unlabelled(desk, key, digest)
        if said.learn and row.observation.status != "judged":
            raise Refusal(
                409,
                f"{row.observation.name}: was not judged ({row.observation.status}), so nothing is "
                "to be learnt of it; call it normal without",
            )
        with ExitStack() as whole:
            clip = whole.enter_context(_kept(desk, row))
            learnt = None
            if said.learn:
                hold, name = desk.hold(key), row.observation.name
                if _learnt(desk, key, digest):
                    # At a terminal, or by one that was ended before it wrote the label down.
                    learnt = unchanged(hold.detector, name, key)
                else:
                    learnt = whole.enter_context(
                        taught(hold.settings, clip, name, key, said.domain)
                    )
            # Last, so that what is not written down is not learnt either.
            label = _labelled(desk, row, "normal", said)
    if learnt is not None:
        desk.backend.renewed()
    _tell(desk, label)
    return {"label": label.as_dict(), "learnt": learnt}


def call_fault(
    desk: Desk, visitor: Visitor, key: Key, digest: str, said: Saying
) -> dict[str, Any]:  # fmt: skip
    """A clip is of a fault: its sound is kept with its label.

    Raises:
        Refusal: no such clip, one that has a label already or is learnt, or whose sound is gone.
        NearfarError: it cannot be kept; nothing is half done.
    """
    about = _about(desk, key, digest, _noted(said.note))
    with audited(desk, visitor, "call a fault", about, said.who):
        row = _unlabelled(desk, key, digest)
        # Else it would be told apart as a fault by a detector that takes it for normal.
        if _learnt(desk, key, digest):
            raise Refusal(409, f"{row.observation.name}: the detector has learnt it as normal; "
                          "take that back first")  # fmt: skip
        with _kept(desk, row):
            label = _labelled(desk, row, "fault", replace(said, learn=False))
    _tell(desk, label)
    return {"label": label.as_dict()}


def take_back(desk: Desk, visitor: Visitor, key: Key, digest: str, who: str) -> dict[str, Any]:
    """Undo a label; what was learnt, with a label or without, is forgotten, to the byte.

    Raises:
        Refusal: it has no label and is not learnt, or the detector would know too few clips.
        NearfarError: detector or history cannot be written; all is as it was.
    """
    with audited(desk, visitor, "take back", _about(desk, key, digest), who):
        label = desk.store.label_of(*key, digest) or _unwritten(desk, key, digest)
        # Forgotten first: if the label cannot be undone then, the body's end makes it known again.
        with ExitStack() as whole:
            forgotten = None
            if label.learnt:
                known = _known_by(desk, digest)
                forgotten = whole.enter_context(untaught(desk.hold(key).settings, known, key))
            at = now()
            undone = desk.store.unlabel(*key, digest, who, at)
        folder = _sound_or_none(desk)
        # The same sound may be labelled of another machine: its file is of both.
        if folder is not None and not desk.store.labels(digests=[digest]):
            with suppress(StorageError):  # undone it is, and a file too many harms nobody
                folder.remove(digest)
    if label.learnt:
        desk.backend.renewed()
    _tell(desk, label, stands=False)
    stood = undone or replace(label, undone=at, undone_by=who)
    return {"label": stood.as_dict(), "forgotten": forgotten}


def labelled_sound(desk: Desk) -> LabelledSound:
    """Where the sound of labelled clips is kept.

    Raises:
        Refusal: nowhere, for the history is in memory or on a server.
    """
    found = _sound_or_none(desk)
    if found is None:
        raise Refusal(409, "the sound of labelled clips can be kept nowhere; keep the history in a "
                      "file, or say audio_folder in plant.toml")  # fmt: skip
    return found


def _sound_or_none(desk: Desk) -> LabelledSound | None:
    folder = desk.backend.plant.history.labelled_folder
    return None if folder is None else LabelledSound(folder)


def _unlabelled(desk: Desk, key: Key, digest: str) -> HistoryRow:
    """A clip that nobody has called anything; a label is never replaced unasked.

    Raises:
        Refusal: no such clip, or it has one.
    """
    row = row_of(desk, *key, digest)
    label = desk.store.label_of(*key, digest)
    if label is not None:
        word = "a fault" if label.label == "fault" else "normal" + ", and learnt" * label.learnt
        by = f" by {label.who}" if label.who else ""
        raise Refusal(409, f"{row.observation.name}: was called {word}{by} already; take that back "
                      "first")  # fmt: skip
    return row


@contextmanager
def _kept(desk: Desk, row: HistoryRow) -> Iterator[Clip]:
    """The clip, whose sound is kept; what the body raises removes it if it was not there before."""
    folder, digest = labelled_sound(desk), row.observation.digest
    clip = find_recording(desk, row).clip
    fresh = folder.keep(digest, clip, desk.hold(row.observation.key).detector.order)
    try:
        yield clip
    except BaseException:
        if fresh:
            with suppress(StorageError):
                folder.remove(digest)
        raise


def _labelled(desk: Desk, row: HistoryRow, word: Word, said: Saying) -> ClipLabel:
    seen = row.observation
    label = ClipLabel(
        0, *seen.key, seen.digest, word, now(), who=said.who, note=said.note,
        learnt=said.learn, name=seen.name,
    )  # fmt: skip
    try:
        return replace(label, id=desk.store.label(label, first=True))
    except SettingError as error:  # on a page of another process, since it was looked at
        raise Refusal(409, f"{error}; look at it again") from None


def _known_by(desk: Desk, digest: str) -> set[str]:
    """Digests that a detector may know a clip by, as it was heard and as it is kept."""
    from nearfar.detector.learning.forgetting import digests_of

    folder = _sound_or_none(desk)
    copy = None if folder is None else folder.path(digest)
    return {digest} | (set() if copy is None else digests_of(copy))


def _learnt(desk: Desk, key: Key, digest: str) -> dict[str, str]:
    """The clip among those that the detector has learnt since its fit: digest → name."""
    known = _known_by(desk, digest)
    found = learnt_of(desk.hold(key).detector, key)
    return {one: name for one, name in found.items() if one in known}


def _unwritten(desk: Desk, key: Key, digest: str) -> ClipLabel:
    """What is learnt and has no label, as if it had one: so it can be taken back.

    Raises:
        Refusal: it is not learnt either.
    """
    for name in _learnt(desk, key, digest).values():
        return ClipLabel(0, *key, digest, "normal", now(), learnt=True, name=name)
    raise Refusal(409, f"{called(*key)}: {digest[:12]!r} has no label; nothing to undo")


def _about(desk: Desk, key: Key, digest: str, *more: str) -> str:
    """The clip in words, and what else is said; its digest last, for programs."""
    row = desk.store.row(*key, digest)
    name = "no such clip"
    if row is not None:
        seen = row.observation
        name = f"{seen.name} of {(seen.time or seen.arrived).isoformat(' ', 'seconds')}"
    words = [f"{called(*key)}: {name}", *filter(None, more), f"clip {digest[:64]}"]
    return "; ".join(words)


def _noted(note: str) -> str:
    return f"note: {note}" if note else ""


def _tell(desk: Desk, label: ClipLabel, *, stands: bool = True) -> None:
    """All who look."""
    said = {
        "schema": SCHEMA, "machine": label.machine, "section": label.section,
        "digest": label.digest, "label": label.label if stands else None,
        "learnt": label.learnt and stands,
    }  # fmt: skip
    desk.hub.send(Message("label", one_line_json(said)))
