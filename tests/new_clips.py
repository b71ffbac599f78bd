"""Recordings of a machine that a detector does not know yet, and what a folder holds of it."""

import hashlib

import numpy as np

import nearfar as nf
from conftest import machine_sound, write


def new_clips(folder, seed=50, source=3, target=2, machine="fan", seconds=1.5):
    """Normal recordings, as a person collects them in a folder a domain."""
    rng = np.random.default_rng(seed)
    found = []
    for domain, count in (("source", source), ("target", target)):
        for i in range(count):
            path = folder / domain / f"{seed}-{i}.wav"
            write(path, machine_sound(rng, seconds, domain))
            found.append(nf.Clip(path, machine=machine, domain=domain))
    return found


def digests(folder):
    """Each file of a detector but its log, by its hash: undo is measured by these."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "learnt.jsonl"
    }


def bank_rows(detector, machine="fan"):
    """The first member of a machine."""
    return detector.sections[machine, "00"].members[0]
