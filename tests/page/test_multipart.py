"""A body of many parts is the same however it is cut, and what nobody else bounds is bounded."""

import pytest
from starlette.requests import Request

from conftest import refused
from loops import finished
from nearfar.page.refusal import Refusal
from nearfar.page.sent import multipart
from nearfar.page.sent.multipart import BLOCK, HEAD, Multipart, blocks

KIND = "multipart/form-data; boundary=x"


class Noted:
    """Writes down what it is given."""

    def __init__(self):
        self.parts, self.calls, self.whole = [], 0, 0

    def begin(self, field, name):
        self.parts.append([field, name, b""])

    def data(self, piece):
        self.parts[-1][2] += piece
        self.calls += 1

    def done(self):
        self.whole += 1


def part(content, name='name="audio"; filename="1.wav"', more=b""):
    return b"--x\r\nContent-Disposition: form-data; " + name.encode() + b"\r\n" + more + (
        b"\r\n" + content + b"\r\n"
    )  # fmt: skip


def parted(body, step=1 << 20, kind=KIND):
    taker = Noted()
    parts = Multipart(kind, taker)
    for at in range(0, len(body), step):
        parts.feed(body[at : at + step])
    parts.end()
    return taker


NESTED = b"--y\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--y--\r\n"


@pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("content", [b"", b"\r\n--", b"\r" * 99, NESTED,
                                     b"--x", b"\r\n-" * 50, bytes(range(256))])  # fmt: skip
def test_what_looks_like_its_end_is_not(content, step):
    taker = parted(part(content) + part(b"2") + b"--x--\r\n", step)
    assert taker.parts == [["audio", "1.wav", content], ["audio", "1.wav", b"2"]]
    assert taker.whole == 2


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_headers_without_end_are_refused(step):
    many = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1500) for n in range(7))
    for more in (many, b"X: " + b"a" * 1_000_000 + b"\r\n", b"a" * 20_000):
        refused(lambda more=more: parted(part(b"", more=more), step), error=Refusal)
    assert parted(part(b"", more=b"X: " + b"a" * 2000 + b"\r\n") + b"--x--", step).whole == 1
    assert len(many) > HEAD


@pytest.mark.parametrize("body", [b"", b"--x", part(b"abc"), part(b"abc") + b"--x-"])
def test_one_without_its_end_is_told(body):
    refused(lambda: parted(body), error=Refusal)


@pytest.mark.parametrize("kind", ["", "audio/wav", "multipart/form-data", "multipart/mixed; "
                                  "boundary=x", "multipart/form-data; boundary=" + "x" * 5000,
                                  'multipart/form-data; boundary=""'])  # fmt: skip
def test_another_kind_is_refused(kind):
    refused(lambda: Multipart(kind, Noted()), error=Refusal)


def test_ten_thousand_parts_are_given_one_after_the_other():
    assert parted(part(b"1") * 10_000 + b"--x--\r\n").whole == 10_000


@pytest.mark.slow
def test_small_pieces_come_as_blocks():
    """Who sends a byte at a time costs no way to the disk for each."""
    pieces = [b"a"] * (2 * BLOCK + 1)
    waiting = iter([{"type": "http.request", "body": p, "more_body": True} for p in pieces])

    async def receive():
        return next(waiting, {"type": "http.request", "more_body": False})

    async def run():
        scope = {"type": "http", "method": "POST", "headers": []}
        return [len(block) async for block in blocks(Request(scope, receive))]

    assert finished(run()) == [BLOCK, BLOCK, 1]


def test_what_nobody_sends_to_its_end_is_told():
    async def receive():
        return {"type": "http.disconnect"}

    async def run():
        async for _ in blocks(Request({"type": "http", "headers": []}, receive)):
            pass

    refused(lambda: finished(run()), multipart.HALF, error=Refusal)
