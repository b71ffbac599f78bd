"""What one movement says: which way, how far, and whether that is what sets the clip apart."""

import pytest

from nearfar.detector.explanation.movement import Movement


def movement(feature, movement, adjusted):
    return Movement(
        feature, f"the {feature}", "family", "near", "dB", None, 1.0, 0.0, movement, movement,
        adjusted,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("movement_", "adjusted", "words"),
    [(1.0, 2.0, "rose"), (-1.0, -2.0, "fell"), (0.0, 2.0, "stayed"), (0.0, 0.0, "stayed"),
     (1.0, -2.0, "rose less than what goes with it"),
     (-1.0, 2.0, "fell less than what goes with it")],
)  # fmt: skip
def test_a_sentence_says_which_way(movement_, adjusted, words):
    assert movement("hum", movement_, adjusted).sentence == f"the hum {words}"
