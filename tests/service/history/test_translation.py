"""Whatever an observation holds comes back from a database as it was."""

import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_history import seen
from nearfar.service.history.changes import Change
from nearfar.service.history.spelling import SIGN, micros, moment, read, spelled
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from nearfar.service.observation import Observation
from postgres_server import postgres  # noqa: F401

# Of any characters, halves of pairs and NUL among them: names of files are bytes.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
reals = st.floats(allow_nan=True, width=64)
known = st.none() | reals
zones = st.none() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
times = st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2069, 1, 1), timezones=zones)
observations = st.builds(
    Observation, source=texts, name=texts, path=texts, machine=texts, section=texts, time=times,
    arrived=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    seconds=reals, digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    status=st.sampled_from(["judged", "idle", "unjudged"]), score=known, percentile=known,
    p_value=known, threshold=known, anomalous=st.none() | st.booleans(), nearest=texts,
    near_level=known, far_level=known, ratio=known, coherence=known,
    faults=st.lists(texts, max_size=3).map(tuple), warning=texts, detector=texts,
)  # fmt: skip


def same(one, other):
    """Equal, where a nan equals a nan."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        both = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
        if not both and a != b:
            return False
        if isinstance(a, datetime) and a.utcoffset() != b.utcoffset():
            return False
    return True


@pytest.fixture(scope="module")
def memory():
    store = HistoryStore.open("")
    yield store
    store.close()


def law(store, clip):
    if store.keep(Change(clip, files=(Stamp(clip.path, 2**40, -1),))) is not None:
        found = [c for c in store.observations(clip.machine, clip.section)
                 if c.digest == clip.digest]  # fmt: skip
        assert len(found) == 1
        assert same(found[0], clip)
        assert store.has(*clip.key, clip.digest)
    assert store.knows((Stamp(clip.path, 2**40, -1),))


@settings(max_examples=100)
@given(observations)
def test_an_observation_comes_back_as_it_was(memory, clip):
    law(memory, clip)


@pytest.mark.slow
def test_an_observation_comes_back_from_a_server(postgres):  # noqa: F811
    store = HistoryStore.open(postgres.database(), watching=True)

    @settings(max_examples=100)
    @given(observations)
    def one(clip):
        law(store, clip)

    one()
    store.close()


@given(texts)
def test_a_text_is_spelled_so_that_every_database_takes_it(text):
    kept = spelled(text)
    kept.encode()
    assert "\0" not in kept
    assert read(kept) == text


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_times_lose_no_microsecond(time):
    assert moment(micros(time)) == time


def test_what_is_spelled_is_rare():
    assert spelled("Größe 機 \U0001f600\n\t") == "Größe 機 \U0001f600\n\t"
    assert spelled(SIGN) == f"{SIGN}241b"


def test_numpy_numbers_are_numbers():
    store = HistoryStore.open("")
    clip = seen(1, score=np.float32(0.5), ratio=np.float64(2.5), anomalous=np.bool_(True),
                seconds=np.float32(10))  # fmt: skip
    store.keep(Change(clip))
    (found,) = store.observations()
    assert (found.score, found.ratio, found.anomalous) == (0.5, 2.5, True)
    assert replace(found, score=None) == replace(
        clip, score=None, ratio=2.5, anomalous=True, seconds=10.0
    )
    store.close()
