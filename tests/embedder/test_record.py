"""What a trained encoder's file says of its training."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.embedder.record import FORMAT, HEARD_DIGITS, KEY, Training
from nearfar.errors import WeightsError

texts = st.text(max_size=5)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
RECORD = Training(
    {"type": "Near"}, 1024, (("fan", "00", "ünï"),), frozenset({"a" * 64}), frozenset({"b" * 16}),
    {"epochs": 2}, {"run": {"order": "far-near"}},
)  # fmt: skip


def file(text):
    """As much of an opened weights file as is asked for."""
    return SimpleNamespace(metadata={} if text is None else {KEY: text}, path="a.safetensors")


@given(
    classes=st.lists(st.tuples(texts, texts, texts), max_size=3).map(tuple),
    frames=st.none() | st.integers(1, 100),
    held_out=st.frozensets(digests, max_size=3),
    heard=st.frozensets(digests.map(lambda d: d[:HEARD_DIGITS]), max_size=3),
)
def test_a_record_comes_back(classes, frames, held_out, heard):
    record = Training({"type": "Near"}, frames, classes, held_out, heard, {"a": 1}, {"b": [2]})
    assert Training.of(file(record.to_text())) == record
    assert record.machines == {machine for machine, _, _ in classes}


def test_published_weights_have_none():
    assert Training.of(file(None)) is None


def test_a_text_does_not_depend_on_the_order_of_sets():
    many = frozenset(f"{i:064x}" for i in range(50))
    assert json.loads(Training(None, None, (), many, many).to_text())["heard"] == sorted(many)


def test_held_out_clips_are_known_but_not_heard():
    assert RECORD.knows("a" * 64)
    assert not RECORD.has_heard("a" * 64)
    assert RECORD.has_heard("b" * 64)
    assert RECORD.knows("b" * 64)
    assert not RECORD.knows("c" * 64)


def test_a_clip_without_a_digest_counts_as_heard():
    """Law 5: nothing fitted on a clip may judge it, so doubt is on that side."""
    assert RECORD.has_heard("")
    assert RECORD.knows("")


@pytest.mark.parametrize("provenance", [{}, {"run": None}, {"run": {}}, {"run": "far-near"}])
def test_the_order_of_channels_is_the_usual_one_unless_it_is_said(provenance):
    assert RECORD.order == "far-near"
    assert Training(None, None, (), frozenset(), frozenset(), {}, provenance).order == "near-far"


def damaged(**changes):
    return json.dumps(json.loads(RECORD.to_text()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "no json", damaged(classes=[["fan"]]), damaged(classes=3),
        damaged(frames="many"), damaged(held_out=None), damaged(settings=3), damaged(format="1"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_one_line(text):
    with pytest.raises(WeightsError, match=r"a\.safetensors: its record of training is damaged"):
        Training.of(file(text))


def test_a_newer_record_is_not_guessed_at():
    with pytest.raises(WeightsError, match=f"format {FORMAT + 1}, this one reads {FORMAT}"):
        Training.of(file(damaged(format=FORMAT + 1)))
