"""A URL is kept as a path, goes through paths' own operations, and is printed as it was given."""

import os
import pickle
from pathlib import Path

import pytest

from nearfar.runtime.urls import Address, place, url_of

URLS = [
    "s3://bucket/hall/1.wav", "gs://b/1.wav", "https://host:8080/a/1.wav", "memory://b/c",
    "local:///data/1.wav", "abfs+x://c/1.wav", "s3://b/a name.wav",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_the_same_whatever_a_path_made_of_it(url):
    for kept in (url, Path(url), place(url), place(Path(url)), Path(place(url)), Path(url) / ""):
        assert url_of(kept) == url
        assert str(place(kept)) == url
        assert f"{place(kept)}: gone" == f"{url}: gone"
    assert place(url).name == url.rpartition("/")[2]


HERE = ["hall/1.wav", "/hall/1.wav", "C:/hall/1.wav", "c:", "s3:", "1:/x", ".", "", "a:b/c",
        "hall/s3:/x", "-", "file:///hall/1.wav"]  # fmt: skip


@pytest.mark.parametrize("here", HERE)
def test_places_on_this_machine_are_no_urls(here):
    assert url_of(here) is None
    assert type(place(here)) is type(Path())


def test_a_file_url_is_the_file():
    assert place("file:///hall/1.wav") == place(Path("file:///hall/1.wav")) == Path("/hall/1.wav")


def test_an_address_stays_one_through_what_paths_do():
    here = place("s3://bucket/hall/1.wav")
    for made in (here.parent, here.with_suffix(".csv"), here.parent / "far" / "1.wav"):
        assert isinstance(made, Address)
        assert str(made).startswith("s3://bucket/hall")
    assert os.fspath(here) == "s3://bucket/hall/1.wav"
    again = pickle.loads(pickle.dumps(here))
    assert (again, str(again), hash(again)) == (here, str(here), hash(here))
    assert sorted([here, place("s3://bucket/a.wav")])[1] is here
    assert place(here / "/hall/1.wav") == Path("/hall/1.wav")  # a list that lies elsewhere
