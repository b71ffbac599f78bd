"""Observations of files that nobody recorded, for tests of the history."""

import hashlib
from datetime import datetime, timedelta, timezone

import numpy as np

from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation

START = datetime(2026, 11, 1, 8, tzinfo=timezone.utc)  # noqa: UP017
SECOND = timedelta(seconds=1)


def seen(i, **given):
    """Observation number i of 20 machines; of every tenth there is no score."""
    machine = f"machine{i % 20:02d}"
    rng = np.random.default_rng(i)
    score = rng.normal()
    name = f"{machine}/2026-11-01/{i:08d}_recording.wav"
    judged = i % 10 != 9
    values = {
        "source": "hall", "name": name, "path": f"/data/plant/hall/{name}", "machine": machine,
        "section": "00", "time": (START + i * SECOND).replace(tzinfo=None),
        "arrived": START + (i + 11) * SECOND, "seconds": 10.0,
        "digest": hashlib.sha256(str(i).encode()).hexdigest(),
        "status": "judged" if judged else "idle", "near_level": -30 + rng.normal(),
        "far_level": -40 + rng.normal(), "ratio": 10 + rng.normal(), "coherence": rng.uniform(),
        "detector": "0123456789ab",
    }  # fmt: skip
    if judged:
        values |= {
            "score": score, "percentile": rng.uniform(), "p_value": rng.uniform(),
            "threshold": 1.3, "anomalous": bool(score > 1.3),
            "nearest": f"{machine}/train/section_00_source_train_normal_{i % 900:04d}.wav",
        }  # fmt: skip
    return Observation(**values | given)


def stamp(i, root="/data/plant/hall"):
    return Stamp(f"{root}/{seen(i).name}", size=640_044, modified=1_790_000_000_000_000_000 + i)


def change(i, **given):
    """A clip as the watch keeps it: with its file and its station's state."""
    clip = seen(i)
    state = f'{{"last": {i}, "above": [0, 1, 0, 0, 1]}}'
    return Change(clip, files=(stamp(i),), station=(clip.key, state), **given)


def alarm(number, i=0, **given):
    clip = seen(i)
    return StandingAlarm(
        number, "machine", "sound", clip.machine, clip.section, since=clip.arrived,
        told=f"{clip.machine}: 3 of the last 5", **given,
    )  # fmt: skip


def event(number, of=1, i=0, verb="raised", **given):
    clip = seen(i)
    return AlarmEvent(
        number, of, "machine", "sound", clip.machine, clip.section, verb, clip.arrived,
        f"{clip.machine}: {verb}", **given,
    )  # fmt: skip


def make_history(path):
    """A history as a watch leaves it: two machines, and alarm 3, which nobody has acknowledged."""
    store = HistoryStore.open(str(path), watching=True)
    for i in range(40):
        clip = seen(i, machine=("fan", "pump")[i % 2])
        raised = i == 20
        told = "fan: 3 of the last 5 clips are above the threshold"
        event = AlarmEvent(
            7, 3, "machine", "sound", "fan", "00", "raised", clip.arrived, told
        )  # fmt: skip
        standing = StandingAlarm(3, "machine", "sound", "fan", "00", clip.arrived, told)
        store.keep(
            Change(
                clip, (stamp(i),), events=(event,) * raised, alarms=(standing,) * raised
            )
        )  # fmt: skip
    store.close()
