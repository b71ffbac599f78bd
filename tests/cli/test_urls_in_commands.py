"""Recordings and caches by URL change nothing that a command writes."""

import csv
import json
import re

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import nearfar as nf
from command import failed
from conftest import TINY
from nearfar.doctor import computer as computer_module
from nearfar.doctor.computer import computer
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Job, do_job
from nearfar.reproduce.steps import schedule
from nearfar.reproduce.steps.estimate import Timed
from nearfar.runtime import remote_cache
from nearfar.runtime.cache import cache_size
from nearfar.runtime.remote_cache import RemoteCache, remote_size
from nearfar.training.examples.mels import MelStore
from processes import tree


@pytest.fixture(autouse=True)
def rested():
    remote_cache._resting.clear()
    yield
    remote_cache._resting.clear()


@pytest.fixture(scope="module")
def lists(dcase, tmp_path_factory):
    """The data set as a list of its files, and as one of their URLs."""
    places = tmp_path_factory.mktemp("lists")
    clips = nf.Clips.open(dcase)
    for name, before in (("files", ""), ("urls", "local://")):
        (places / name / "hall").mkdir(parents=True)
        with (places / name / "hall" / "list.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "machine", "split"])
            writer.writerows([f"{before}{c.path}", c.machine, c.split] for c in clips)
    return places / "files" / "hall" / "list.csv", places / "urls" / "hall" / "list.csv"


def fit(run, data, out, *more):
    code, _, err = run("fit", data, "-s", "logmel", "-o", out, *more)
    assert code == 0, err
    return {k: v for k, v in tree(out).items() if k.name != "README.md"}


@pytest.mark.slow
def test_detectors_are_equal_with_and_without_urls(run, lists, tmp_path):
    files, urls = lists
    plain = fit(run, files, tmp_path / "a" / "d", "--no-cache", "--workers", 1)
    url = f"local://{tmp_path}/cache"
    seen = fit(run, urls, tmp_path / "b" / "d", "--cache", url, "--workers", 1)
    assert remote_size(url).entries == 24
    again = fit(run, urls, tmp_path / "c" / "d", "--cache", url, "--workers", 1)
    assert plain.keys() == seen.keys() == again.keys()
    for name in plain:
        if name.name == "detector.json":
            assert differing(plain[name], seen[name]) <= {"data", "fitted"}
        else:
            assert plain[name] == seen[name] == again[name], name


def differing(one, other):
    one, other = json.loads(one), json.loads(other)
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


@pytest.mark.slow
def test_scores_are_equal_and_name_the_urls(run, lists, detector_folder, tmp_path):
    for data, name in zip(lists, "ab", strict=True):
        code, _, err = run("score", detector_folder, data, "--csv", tmp_path / f"{name}.csv",
                           "--workers", 1)  # fmt: skip
        assert code in (0, 1), err
    a, b = ((tmp_path / f"{name}.csv").read_text() for name in "ab")
    assert b.replace("local://", "") == a
    assert "local:///" in b


def test_the_second_run_embeds_nothing_and_damage_is_mended(lists, tmp_path, monkeypatch):
    clips = nf.Clips.open(lists[1], split="train")[:20]
    runtime = nf.Runtime(cache=f"local://{tmp_path}/cache")
    chain = Chain(nf.Near(), nf.LogMel())
    job = Job(clips, (chain,), "near-far", runtime, digest=True)
    first = [r.rows[0] for r in do_job(job)]
    embedded, rows = [], Chain.rows

    def counted(self, heard, runtime):
        embedded.extend(heard)
        return rows(self, heard, runtime)

    monkeypatch.setattr(Chain, "rows", counted)
    assert all(np.array_equal(r.rows[0], x) for r, x in zip(do_job(job), first, strict=True))
    assert embedded == []
    one = next(p for p in (tmp_path / "cache").rglob("*") if p.is_file())
    one.write_bytes(one.read_bytes()[:-1] + b"?")
    assert all(np.array_equal(r.rows[0], x) for r, x in zip(do_job(job), first, strict=True))
    assert len(embedded) == 1


@pytest.mark.slow
def test_worker_processes_share_the_cache(run, lists, tmp_path):
    url = f"local://{tmp_path}/cache"
    one = fit(run, lists[1], tmp_path / "a" / "d", "--cache", url, "--workers", 2)
    two = fit(run, lists[1], tmp_path / "b" / "d", "--no-cache", "--workers", 2)
    assert remote_size(url).entries == 24
    assert {k: v for k, v in one.items() if k.name != "detector.json"} == {
        k: v for k, v in two.items() if k.name != "detector.json"
    }


def test_a_cache_that_cannot_be_reached_costs_one_line(run, dcase, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    code, _, err = run("fit", dcase, "-s", "logmel", "-o", tmp_path / "d", "--workers", 1,
                       "--cache", "memory://gone")  # fmt: skip
    assert code == 0
    assert err.count("the embedding cache cannot be used (nobody listens)") == 1


def test_a_place_that_cannot_hold_a_cache_is_refused_before_anything_is_read(run, dcase, tmp_path):
    (tmp_path / "file").write_text("")
    for place, words in ((tmp_path / "file", "is a file; embeddings are kept in a folder"),
                         (tmp_path / "file" / "below", "is a file"), ("", "--cache is empty"),
                         ("nothing://b/c", "no protocol 'nothing'"),
                         ("s3://", "s3:// names no place; write s3://BUCKET/FOLDER"),
                         ("zip://a::memory://b", "a URL within a URL")):  # fmt: skip
        failed(run("fit", dcase, "-o", tmp_path / "d", "--cache", place), words)
    assert not (tmp_path / "d").exists()


def test_the_command_shows_and_empties_a_cache_at_a_url(run, dcase, tmp_path, monkeypatch):
    url = f"local://{tmp_path}/cache"
    own = tmp_path / "own" / "nearfar"
    monkeypatch.setenv("XDG_CACHE_HOME", str(own.parent))
    assert (
        run("fit", dcase, "-s", "logmel", "-o", tmp_path / "a", "--cache", own, "--workers", 1)[0]
        == 0
    )
    monkeypatch.setenv("NEARFAR_CACHE", url)
    assert run("cache")[:2] == (0, f"{url}: empty\n")
    assert run("fit", dcase, "-s", "logmel", "-o", tmp_path / "d", "--workers", 1)[0] == 0
    assert f"{url}: 24 embeddings, " in run("cache")[1]
    store = MelStore.open(own, "a front end")
    store.add("aa" * 16, np.zeros((8, 128), np.float32))
    freed, stays = run("cache", "--clear")[1].splitlines()
    assert freed.startswith(f"{url}: ")
    assert freed.endswith(" freed")
    assert stays.startswith(f"{own}: log-mels on this machine, ")
    assert remote_size(url).entries == 0
    assert cache_size(own).entries == 24  # nobody spoke of this machine's
    assert "aa" * 16 in store
    monkeypatch.setenv("NEARFAR_CACHE", str(own))
    assert run("cache", "--clear")[0] == 0
    assert cache_size(own).entries == 0
    assert "aa" * 16 not in store


@pytest.mark.slow
def test_a_cache_that_no_worker_can_reach_costs_one_line(run, lists, tmp_path):
    (tmp_path / "file").write_text("")  # each worker asks for other objects below it
    url = f"local://{tmp_path}/file/cache"
    code, _, err = run("fit", lists[1], "-s", "logmel", "-o", tmp_path / "d", "--workers", 2,
                       "--cache", url)  # fmt: skip
    assert code == 0
    assert err.count("the embedding cache cannot be used") == 1
    assert err.count(url) == 1


@pytest.fixture
def holed(lists, tmp_path):
    """A list of files and URLs, two of which name nothing."""
    files, urls = ([line.split(",") for line in data.read_text().splitlines()] for data in lists)
    train = [n for n, row in enumerate(files) if row[2] == "train"][:20]
    rows = [(files, urls)[n % 2][n] for n in train]
    for n in (3, 10):
        rows[n] = [f"local:///no/such/{n}.wav", *rows[n][1:]]
    path = tmp_path / "holed.csv"
    path.write_text("\n".join(",".join(row) for row in [files[0], *rows]))
    return path


def test_recordings_that_are_gone_among_good_ones(run, holed, detector_folder, tmp_path):
    out = tmp_path / "scores.csv"
    code, said, err = run("score", detector_folder, holed, "--csv", out, "--workers", 1)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert "2 of 20" in err
    assert "/no/such/3.wav" in err
    assert not out.exists()
    code, _, err = run("score", detector_folder, holed, "--csv", out, "--workers", 1, "--skip-bad")
    assert code in (0, 1, 3), err
    assert "no/such/3.wav: not judged, no such file (and 1 more like it: no/such/10.wav)" in err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    bad = [n for n, row in enumerate(rows) if not row["score"]]
    assert len(bad) == 2
    assert all("no such file" in str(rows[n]) for n in bad)


def test_the_doctor_looks_at_a_cache_by_url(tmp_path, monkeypatch):
    def cache():
        return next(sign for sign in computer(tmp_path) if sign.name == "cache")

    monkeypatch.setattr(computer_module, "_devices", lambda: "CPU")
    monkeypatch.setenv("NEARFAR_CACHE", f"local://{tmp_path}/cache")
    assert (cache().state, cache().told) == ("ok", f"local://{tmp_path}/cache, 0 embeddings")
    assert not (tmp_path / "cache").exists()
    RemoteCache(f"local://{tmp_path}/cache").put([(b"k" * 32, np.float32([1]))])
    assert cache().told.endswith(", 1 embeddings")
    monkeypatch.setenv("NEARFAR_CACHE", "nothing://b/c")
    assert cache().state == "broken"
    assert "no protocol 'nothing'" in cache().told
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: 1 / 0)
    monkeypatch.setenv("NEARFAR_CACHE", "memory://b/c")
    assert (cache().state, "cannot be listed" in cache().told) == ("broken", True)


def test_what_is_kept_for_other_encoders_stays_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert nf.Runtime(cache="s3://bucket/cache").folder == tmp_path / "nearfar"
    assert nf.Runtime(cache=tmp_path).folder == tmp_path
    assert str(nf.Runtime(cache="s3://bucket/cache").cache) == "s3://bucket/cache"


@pytest.mark.slow
def test_a_reproduction_plans_room_here_and_not_at_the_url(run, dcase, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(schedule, "_timed", lambda *what: Timed())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    plans = []  # with the disk that the run and what is stored beside it need
    for cache in ("memory://far/away", tmp_path / "own" / "nearfar"):
        code, out, err = run("reproduce", dcase, "--any-data", "--dry-run", "--weights", TINY,
                             "--table", "3", "-o", tmp_path / "run", "--cache", cache)  # fmt: skip
        assert code == 0, err
        # Seconds are measured, by products of this very moment.
        plans.append(re.sub(r"\b[\d.]+ (s|min|h)\b", "some time", out))
    assert plans[0] == plans[1]
    assert not list(tmp_path.iterdir())
