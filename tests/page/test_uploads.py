"""What is sent is written as it comes, under names of ours, and is gone whatever happens."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from loops import finished
from nearfar.errors import StorageError
from nearfar.page.refusal import Refusal
from nearfar.page.sent import uploads
from nearfar.page.sent.uploads import label, received
from nearfar.page.turns import Turns
from nearfar.page.workroom import Workroom

MULTIPART = "multipart/form-data; boundary=x"


@pytest.fixture
def room():
    made = Workroom(1_000_000)
    yield made
    made.close()


def part(field, content, name=None):
    named = b"" if name is None else b'; filename="' + name + b'"'
    head = b'--x\r\nContent-Disposition: form-data; name="' + field + b'"' + named
    return head + b"\r\nContent-Type: audio/wav\r\n\r\n" + content + b"\r\n"


def body(*parts):
    return b"".join(parts) + b"--x--\r\n"


def asked(room, pieces, kind=MULTIPART, query=b"", limit=1_000_000, goes=False, **headers):
    """What `received` gives of a body that comes in pieces; its files are read within."""
    waiting = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
    last = {"type": "http.disconnect"} if goes else {"type": "http.request", "more_body": False}
    waiting.append(last)

    async def receive():
        return waiting.pop(0)

    head = [(b"content-type", kind.encode("latin-1"))]
    head += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "query_string": query, "headers": head}
    desk = SimpleNamespace(
        room=room, settings=SimpleNamespace(upload_limit=limit), turns=Turns(lambda: False)
    )

    async def run():
        async with received(Request(scope, receive), desk) as found:
            return [
                (one.name, one.path.read_bytes(), one.far and one.far.read_bytes()) for one in found
            ], [path for one in found for path in (one.path, one.far) if path]

    found, paths = finished(run())
    assert not any(path.exists() for path in paths), "gone with the request"
    return found


def refused(room, pieces, line, status, **more):
    with pytest.raises(Refusal, match=line) as caught:
        asked(room, pieces, **more)
    assert caught.value.status == status
    assert "\n" not in str(caught.value)
    assert room._taken == 0
    assert not room._folder or not list(room._folder.glob("tmp*")), "nothing is left behind"


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_files_in_their_order_however_the_body_is_cut(room, size):
    whole = body(
        part(b"audio", b"one\r\n--", b"1.wav"), part(b"far", b"", b"1f.wav"),
        part(b"audio", b"\x00two" * 9, b"2.wav"), part(b"far", b"four", b"2f.wav"),
    )  # fmt: skip
    found = asked(room, [whole[n : n + size] for n in range(0, len(whole), size)])
    assert found == [("1.wav", b"one\r\n--", b""), ("2.wav", b"\x00two" * 9, b"four")]


def test_a_raw_body_is_one_recording(room):
    assert asked(room, [b"ab", b"c"], "audio/wav", b"name=hall%2F1.wav") == [
        ("1.wav", b"abc", None)
    ]
    assert asked(room, [], "application/octet-stream") == [("recording 1", b"", None)]


def test_a_part_without_a_name(room):
    assert asked(room, [body(part(b"audio", b"abc"))]) == [("recording 1", b"abc", None)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\x\\1.wav", "1.wav"), ("..", ""), (".", ""),
        ("a\nb\x1b[31m.wav", "a\\nb\\x1b[31m.wav"), ("<b>.wav", "<b>.wav"), ("Pumpe ä.wav",) * 2,
    ],
)  # fmt: skip
def test_a_name_is_a_label_and_no_path(name, shown):
    assert label(name) == shown


def test_a_long_name_is_cut_and_keeps_its_ending():
    assert label("a" * 1000 + "section_1.wav").endswith("section_1.wav"[-12:])
    assert len(label("a" * 1000)) == uploads.LONGEST


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        ([], "ends half-way"),
        ([part(b"audio", b"abc", b"1.wav")], "ends half-way"),
        ([b"--x\r\nContent-Disposition: form-data"], "ends half-way"),
        ([b"no boundary at all"], "cannot be read"),
        ([body()], "no recording"),
        ([body(part(b"far", b"abc", b"1.wav"))], "no recording"),
        ([body(part(b"audio", b"a"), part(b"audio", b"b"), part(b"far", b"c"))], "its far one"),
        ([body(part(b"fiel", b"abc", b"1.wav"))], "'fiel': no such field"),
        ([b"--x\r\n" + b"X-Long: " + b"a" * 10_000], "bytes of headers|cannot be read"),
        ([b"--x\r\n" + b"X-Many: a\r\n" * 2_000], "bytes of headers|cannot be read"),
        ([body(*[part(b"audio", b"", b"1.wav")] * 201)], "more than 200 files"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_a_line(room, pieces, line):
    refused(room, pieces, line, 422)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "\xe4"])
def test_other_content_is_refused_with_the_way_out(room, kind):
    refused(room, [b"abc"], "curl -F audio=@FILE", 415, kind=kind)


def test_multipart_without_a_boundary(room):
    refused(room, [b"abc"], "with a boundary", 422, kind="multipart/form-data")
    refused(room, [b"abc"], "boundary|cannot be read", 422, kind=MULTIPART + "x" * 5000)


def test_who_goes_half_way_leaves_nothing(room):
    refused(room, [part(b"audio", b"abc" * 100_000, b"1.wav")], "half-way", 400, goes=True)


def test_all_requests_together_have_so_much_room(room):
    room.take(9_900_000)
    with pytest.raises(Refusal, match="too much is being sent at once") as caught:
        asked(room, [b"a" * 100_000] * 2, "audio/wav")
    assert caught.value.status == 503
    assert room._taken == 9_900_000
    room.give_back(9_900_000)


def test_a_full_disk_is_told(room, monkeypatch):
    class Full:
        def write(self, piece):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(Path, "open", lambda self, mode: Full())
    with pytest.raises(StorageError, match="No space left"):
        asked(room, [b"abc"], "audio/wav")
    assert room._taken == 0
