"""A study to ask about: stub data, the request for its steps, its refusals, its tables' cells."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import conftest
from nearfar.clips import Clips
from nearfar.errors import DatasetError
from nearfar.reproduce.data import Data
from nearfar.reproduce.entries import TABLES
from nearfar.reproduce.steps.plan import Request, seeds_of
from nearfar.runtime.executor import Executor
from nearfar.scores.truth import Truth
from nearfar.training.settings import FineTuning


def refused(call, *words, kind=DatasetError):
    """It raises one line with these words: what, which value, way out."""
    line = conftest.refused(call, *words, error=kind)
    assert "; " in line or ": " in line


def stub(**changes):
    data = Data(
        Path("data"), Clips(), Clips(), Truth(()), None, "near-far", "", False, "train", "all", 10.0
    )
    return replace(data, **changes)


def study(
    tables=TABLES, seeds=2, training=None, weights="published", precision="fp32", frozen="", **data
):
    training, found = training or FineTuning(), stub(**data)
    return Request(tuple(tables), seeds_of(seeds), training, found, weights, precision, frozen)


def cells(table):
    """Rows of the Markdown as dictionaries by place; escaped bars are no borders."""
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    head, rule, *body = rows
    assert all(re.fullmatch(r"-+:?", c) for c in rule)
    assert {len(row) for row in rows} == {len(head)} == {len(table.columns)}
    return head, body


class Backwards(Executor):
    """Does the last job first, as if in processes of their own: all is pickled on its way."""

    whole = True

    def __init__(self):
        self.runs = []  # how many jobs each had

    def run(self, task, jobs, resources=None, codec=None):
        assert resources.encoder
        some = [pickle.loads(pickle.dumps(job)) for job in jobs]
        results = [pickle.dumps(task(job)) for job in reversed(some)]
        self.runs.append(len(some))
        yield from map(pickle.loads, reversed(results))
