"""Recordings and caches by URL change nothing that a command writes."""

import csv
import json

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import nearfar as nf
from command import failed
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Job, do_job
from nearfar.runtime import remote_cache
from nearfar.runtime.cache import cache_size
from nearfar.runtime.remote_cache import remote_size
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
                         ("nothing://b/c", "no protocol 'nothing'")):  # fmt: skip
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
    assert f"{url}: " in run("cache", "--clear")[1]
    assert remote_size(url).entries == 0
    assert cache_size(own).entries == 24  # nobody spoke of this machine's


def test_what_is_kept_for_other_encoders_stays_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert nf.Runtime(cache="s3://bucket/cache").folder == tmp_path / "nearfar"
    assert nf.Runtime(cache=tmp_path).folder == tmp_path
    assert str(nf.Runtime(cache="s3://bucket/cache").cache) == "s3://bucket/cache"
