"""The named features of System 5: what ENV and LTAS cost beside DIF, whose STFT ENV shares."""

from __future__ import annotations

import nearfar as nf
from bench.dif import ROUNDS, clip, milliseconds
from nearfar.system.presets import s5_dif

ALLOWED = 1.4  # times DIF


def run() -> str:
    """The section of docs/benchmarks.md."""
    audio, dif, whole = clip(0), nf.DIF(), s5_dif().embedder
    took = milliseconds(
        {
            "DIF": lambda: dif([audio]),
            "DIF + ENV": lambda: nf.Concatenated((dif, nf.ENV()))([audio]),
            "LTAS alone": lambda: nf.LTAS()([audio[:1]]),
            "DIF + ENV + LTAS (`s5-dif`)": lambda: whole([audio]),
        },
        ROUNDS,
    )
    rows = [f"| {name} | {ms:.2f} | {ms / took['DIF']:.2f} |" for name, ms in took.items()]
    return "\n\n".join(
        [
            "## Named features of System 5",
            "One core, both channels of a 10 s clip at 16 kHz (made-up coloured noise), medians of "
            f"runs in turn. Allowed: {ALLOWED:g} times DIF.",
            "| | ms | times DIF |\n|---|--:|--:|\n" + "\n".join(rows),
        ]
    )
