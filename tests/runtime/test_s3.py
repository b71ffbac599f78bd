"""Recordings and a cache in an S3 store, asked by the command line in processes of its own."""

import csv
import os

import pytest

import nearfar as nf
from command import nearfar
from conftest import finish
from processes import tree
from s3_server import S3

pytestmark = pytest.mark.slow
CACHE = "s3://plant/nearfar"


@pytest.fixture(scope="module")
def store(dcase):
    """A store with a list of recordings, and these. Read only but for caches."""
    with S3("plant") as store:
        rows = []
        for clip in nf.Clips.open(dcase):
            key = f"hall/{clip.path.relative_to(dcase).as_posix()}"
            store.client.upload_file(str(clip.path), "plant", key)
            rows.append([f"s3://plant/{key}", clip.machine, clip.split])
        for split in ("train", "test"):
            lines = [",".join(row) for row in rows if row[2] == split]
            text = "\n".join(["path,machine,split", *lines])
            store.client.put_object(Bucket="plant", Key=f"lists/{split}.csv", Body=text.encode())
        yield store


def said(store, *arguments, code=0, **environment):
    """What a command says, standard output and error."""
    told = {**os.environ, **store.environment, **environment}
    process = nearfar(*arguments, env=told)
    out, err = finish(process)
    assert process.returncode == code, err
    return out, err


def fitted(store, data, folder, *more):
    said(store, "fit", data, "-s", "logmel", "-o", folder, "--workers", 2, *more)
    return folder


def banks(folder):
    return {name: found for name, found in tree(folder).items() if name.suffix == ".safetensors"}


def scores(path):
    with path.open(newline="") as file:
        # Clips are called by the last parts of where they lie, which is another place here.
        return [
            {name: value.split("/")[-1] for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_what_lies_in_a_store_is_heard_as_what_lies_here(store, dcase, tmp_path):
    here = fitted(store, dcase, tmp_path / "here", "--no-cache")
    there = fitted(store, "s3://plant/lists/train.csv", tmp_path / "there", "--no-cache")
    assert banks(here) == banks(there) != {}
    for name, detector, data in (("a", here, dcase), ("b", there, "s3://plant/lists/test.csv")):
        said(store, "score", detector, data, "--split", "test", "--csv", tmp_path / f"{name}.csv")
    assert scores(tmp_path / "a.csv") == scores(tmp_path / "b.csv") != []


def test_a_cache_in_a_store_is_everybodys_and_emptied_alone(store, dcase, tmp_path):
    train = "s3://plant/lists/train.csv"
    one = fitted(store, train, tmp_path / "one", "--cache", CACHE)
    kept = {name: store.client.head_object(Bucket="plant", Key=name)["LastModified"]
            for name in store.names("nearfar/")}  # fmt: skip
    clips = len(nf.Clips.open(dcase, split="train"))
    assert len(kept) == clips
    two = fitted(store, train, tmp_path / "two", "--cache", CACHE)
    assert banks(one) == banks(two)
    assert kept == {name: store.client.head_object(Bucket="plant", Key=name)["LastModified"]
                    for name in store.names("nearfar/")}  # fmt: skip
    assert f"{clips} embeddings" in said(store, "cache", NEARFAR_CACHE=CACHE)[0]
    said(store, "cache", "--clear", NEARFAR_CACHE=CACHE)
    assert store.names("nearfar/") == []
    assert len(store.names("hall/")) == len(nf.Clips.open(dcase))


def test_what_a_store_does_not_give_is_a_line(store, dcase, tmp_path):
    gone = tmp_path / "list.csv"
    gone.write_text("path,machine\ns3://plant/hall/gone.wav,fan\n")
    for data, words in ((gone, "s3://plant/hall/gone.wav"), ("s3://nobody/x.csv", "s3://nobody")):
        _, err = said(store, "fit", data, "-s", "logmel", "-o", tmp_path / "none", code=2)
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert words in line
        assert "Traceback" not in err
    assert not (tmp_path / "none").exists()
    _, err = said(store, "fit", dcase, "-s", "logmel", "-o", tmp_path / "without", "--workers", 2,
                  "--cache", "s3://nobody/cache")  # fmt: skip
    assert err.count("the embedding cache cannot be used") == 1
    assert banks(tmp_path / "without")


def test_a_store_that_is_gone_costs_the_cache_and_nothing_else(dcase, tmp_path):
    with S3("plant") as store:
        here = fitted(store, dcase, tmp_path / "here", "--cache", CACHE)
        store.kill()
        _, err = said(store, "fit", dcase, "-s", "logmel", "-o", tmp_path / "again", "--workers", 2,
                      "--cache", CACHE)  # fmt: skip
    assert err.count("the embedding cache cannot be used") == 1
    assert banks(here) == banks(tmp_path / "again") != {}
