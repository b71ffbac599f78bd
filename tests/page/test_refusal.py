"""Each error of ours has its number of HTTP; none of them is a server's fault but a full disk."""

import pytest

from nearfar import errors
from nearfar.page.refusal import Refusal, status_of


def kinds(of=errors.NearfarError):
    for kind in of.__subclasses__():
        if kind.__module__ == "nearfar.errors":
            yield kind
            yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_what_a_client_can_cause_is_the_clients(kind):
    if kind is errors.NetworkError:  # the page fetches nothing
        return
    status = status_of(kind("pump: no such thing; say another"))
    assert status == 503 if issubclass(kind, errors.StorageError) else 400 <= status < 500


def test_a_refusal_says_its_own():
    assert status_of(Refusal(410, "its sound is not kept")) == 410
