"""What a child process does that keeps a fixed list of clips, to be killed at any moment.

It does what a watch does: it asks which files are known, hears the others in their order, and
keeps each with an event and its station's state. Every third clip is the sound of an earlier one.
"""

import json
from dataclasses import replace

from made_history import alarm, change, event, seen, stamp
from nearfar.errors import StorageError
from nearfar.service.history.store import HistoryStore


def delivered(i):
    """Clip number i as it comes: its name and file are its own, its sound may be an old one's."""
    clip = seen(i, machine=f"m{i % 4}")
    if i % 3 == 2:
        old = seen(i - 1)
        clip = replace(clip, digest=old.digest, machine=f"m{(i - 1) % 4}")
    return clip


def run(where, count, say=print):
    """Until all is kept; says when it begins, and when it is done."""
    while True:
        try:
            store = HistoryStore.open(where, watching=True)
            break
        except StorageError:  # a server lets go of a dead session's lock a moment later
            continue
    say("here")
    states = {key: json.loads(text) for key, text in store.stations().items()}
    last_alarm, last_event = store.highest()
    for i in range(count):
        if store.knows((stamp(i),)):
            continue
        clip = delivered(i)
        if store.has(*clip.key, clip.digest):
            store.keep(replace(change(i), observation=clip, station=None))
            continue
        state = states.get(clip.key, {"clips": 0, "sum": 0})
        state = {"clips": state["clips"] + 1, "sum": state["sum"] + i}
        events = (replace(event(last_event + 1, last_alarm + 1, i), machine=clip.machine),)
        alarms = (replace(alarm(last_alarm + 1, i), machine=clip.machine),)
        said = {"mqtt": last_event + 1}
        row = store.keep(
            replace(change(i, events=events, alarms=alarms, said=said),
                    observation=clip, station=(clip.key, json.dumps(state)))
        )  # fmt: skip
        assert row is not None
        states[clip.key] = state
        last_alarm, last_event = last_alarm + 1, last_event + 1
    store.close()
    say("done")
