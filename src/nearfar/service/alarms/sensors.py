"""What keeps us from hearing a machine: a word for each, which channel, and the way out.

A word of one channel has it in front: "near dead". Each is a condition of its own, with an alarm
of its own, never the machine's.
"""

from __future__ import annotations

from collections.abc import Collection

CHANNELS = ("near", "far")
# Word → what is the matter, and the way out.
FAULTS = {
    "unreadable": "clips cannot be read; see the warnings in their rows, and the recorder",
    "wrong channels": "clips have another number of channels than the system hears; check the "
    "recorder's settings",
    "wrong rate": "clips have a sample rate that no normal clip had; set the recorder as it was, "
    "or fit again with clips of this one",
    "dead": "the {channel} channel is one constant value; check microphone, cable and power",
    "silent": "the {channel} channel is at the noise floor (-90 dBFS or below); check microphone, "
    "cable and gain",
    "clipped": "the {channel} channel is cut off at full scale; turn the gain down. Scores of such "
    "clips raise no alarm: go and listen whether the machine itself is so loud",
    "identical": "both channels are one signal; is the far microphone connected?",
    "swapped": "near over far is what it was the other way round; are the microphones swapped?",
    "moved": "near over far, or their coherence, is outside what normal clips had; was a "
    "microphone moved, or is the hall louder than in any normal clip?",
    "stream lost": "the recordings' source is gone: {why}",
    "clips missing": "no clip has come for {why}; is the recorder running?",
    "incomplete": "recordings come incomplete: {why}",
    "wrong format": "what comes is not what was said: {why}",
}  # fmt: skip
OF_CHANNEL = ("dead", "silent", "clipped")
# Asked of every clip that can be read, and before the gate: a dead microphone is as quiet as a
# machine that stands, and would be taken for its rest for good.
ALWAYS = ("wrong channels", "wrong rate", "dead", "silent")
# Asked only while the machine runs: of one that stands the two channels hear the hall, near over
# far is nothing, and both may be one hum of the mains. Each night would be "moved".
RUNNING = ("clipped", "identical", "swapped", "moved")
# Of a source: notices tell them, no clip does.
OF_SOURCE = ("stream lost", "clips missing", "incomplete", "wrong format")
# Kinds of notices → the condition. "ended" is none: a stream that was closed was to be.
LOST = ("lost", "gone")
OF_NOTICE = {"half": "incomplete", "unfinished": "incomplete", "overrun": "incomplete",
             "format": "wrong format"}  # fmt: skip


def word_of(fault: str) -> str:
    """The word of a fault, without its channel.

    >>> word_of("near dead"), word_of("stream lost")
    ('dead', 'stream lost')
    """
    channel, _, word = fault.partition(" ")
    return word if channel in CHANNELS else fault


def told_of(fault: str, why: str = "") -> str:
    """A fault in a line: what is the matter, and the way out.

    >>> told_of("far dead")
    'the far channel is one constant value; check microphone, cable and power'
    """
    channel = fault.partition(" ")[0]
    return FAULTS[word_of(fault)].format(channel=channel, why=why)


def names() -> tuple[str, ...]:
    """Every condition that a sensor alarm may have, with its channel."""
    return tuple(
        name
        for word in FAULTS
        for name in ([f"{c} {word}" for c in CHANNELS] if word in OF_CHANNEL else [word])
    )


def asked(fault: str, found: Collection[str], status: str) -> bool | None:
    """Is a clip a witness of a condition, for it or against it?

    Args:
        fault: the condition.
        found: faults of the clip.
        status: "judged", "idle" or "unjudged".

    Returns:
        None: the clip says nothing of it, and is stepped over.

    >>> asked("moved", ("moved",), "unjudged"), asked("moved", (), "judged")
    (True, False)
    >>> asked("moved", (), "idle"), asked("moved", ("near dead",), "unjudged")
    (None, None)
    """
    words, word = [word_of(one) for one in found], word_of(fault)
    if fault in found:
        return True
    if word in ("stream lost", "clips missing"):
        return None  # these have no count: they begin and end at once
    if word in OF_SOURCE or word == "unreadable":
        return False  # a whole clip came
    if "unreadable" in words or (word != "wrong channels" and "wrong channels" in words):
        return None
    if word in ALWAYS:
        return False
    # It ran, and was looked at to the end.
    return False if status == "judged" or any(one in RUNNING for one in words) else None
