"""Recordings over HTTP get the verdicts that `nearfar score` gives, or a line that says why not."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
import sound_bombs as bombs
from clip_pages import ClipPage
from conftest import PATIENCE, write
from memory import growth
from nearfar.clips.clip import Clip
from nearfar.page.sent import upload_scores
from watches import sound, write_new

SCORE = "/machines/pump/score"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with ClipPage(tmp_path_factory.mktemp("page"), keep="none") as made:
        yield made


@pytest.fixture(scope="module")
def client(page):
    with page.client() as made:
        yield made


@pytest.fixture(scope="module")
def detector(page):
    return nf.load(page.plant.machines[0].detector.folder)


@pytest.fixture(autouse=True)
def nothing_is_kept(page):
    """After each of these, however it ended."""
    yield
    room = page.desk.room
    page.running.until(lambda: room._taken == 0)
    page.running.until(lambda: room._folder is None or not list(room._folder.glob("tmp*")))


def files(*contents, field="audio"):
    return [(field, (f"{n}.wav", content)) for n, content in enumerate(contents)]


def rows(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()["scores"]


def test_the_same_verdicts_as_the_command_gives(client, detector, tmp_path):
    paths = [write(tmp_path / f"{n}.wav", sound(n, anomaly=n == 1)) for n in range(3)]
    wanted = detector.score([Clip(path, machine="pump") for path in paths]).as_dict()
    reply = client.post(SCORE, files=files(*[path.read_bytes() for path in paths]))
    found = reply.json()
    assert (found["schema"], len(found["scores"])) == (wanted["schema"], 3)
    for one, other in zip(rows(reply), wanted["scores"], strict=True):
        assert one.pop("clip") == one.pop("path") == Path(other.pop("path")).name
        other.pop("clip")
        assert one == other, "bit by bit"
    assert [row["anomalous"] for row in found["scores"]] == [False, True, False]


def test_a_body_that_is_the_recording(client):
    content = bombs.wav(sound(1))
    reply = client.post(
        SCORE + "?name=hall/heute.wav", content=content, headers={"content-type": "audio/wav"}
    )
    (alone,) = rows(client.post(SCORE, files=files(content)))
    (row,) = rows(reply)
    assert row["clip"] == "heute.wav"
    assert row["score"] == alone["score"]


def test_near_and_far_in_two_files(client, tmp_path):
    whole = sound(1)
    near, far = (write(tmp_path / f"{n}.wav", one[None]) for n, one in enumerate(whole))
    sent = [("audio", ("n.wav", near.read_bytes())), ("far", ("f.wav", far.read_bytes()))]
    (row,) = rows(client.post(SCORE, files=sent))
    (joined,) = rows(client.post(SCORE, files=files(bombs.wav(whole))))
    assert (row["clip"], row["score"]) == ("n.wav", joined["score"])


def test_what_a_name_says_counts(client):
    content = bombs.wav(sound(1))
    sent = [("audio", (name, content)) for name in ("20260615_083000.wav", "a<b>\n.wav")]
    dated, odd = rows(client.post(SCORE, files=sent))
    assert dated["time"] == "2026-06-15T08:30:00"
    assert "\n" not in odd["clip"]


def test_why(client):
    reply = client.post(SCORE + "?explain=true", files=files(bombs.wav(sound(1, anomaly=True))))
    (row,) = rows(reply)
    assert row["explanation"]["why"].endswith("of what sets it apart")
    assert row["explanation"]["moves"]


BAD = {
    "empty": (b"", "empty"),
    "no sound": (b"hello" * 1000, "no kind of sound"),
    "zip": (bombs.zipped(sound(1)), "no kind of sound"),
    "promising": (bombs.promising_flac(sound(1)), "samples"),
    "lying": (bombs.wav(sound(1), size=999_998), "samples|truncated|header"),
    "half": (bombs.wav(sound(1))[:30_000], "samples|truncated|header"),
    "half flac": (bombs.flac(sound(1))[:9_000], "truncated"),
    "1 Hz": (bombs.wav(sound(1), rate=1), "sample rate 1 Hz"),
    "10 MHz": (bombs.wav(sound(1), rate=10_000_000), "sample rate 10000000 Hz"),
    "many": (bombs.wav(np.zeros((255, 100), np.float32)), "255 channels"),
    "hours": (bombs.wav(np.zeros((2, 5_000_000), np.float32), rate=1000), "1.4 h long"),
    "mono": (bombs.wav(sound(1)[:1]), "1 channel, need 2"),
    "silent": (bombs.wav(np.zeros((2, 24_000), np.float32)), "digitally silent"),
    "short": (bombs.wav(sound(1)[:, :100]), "need at least 1 s"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_used_is_told_in_a_line(client, page, kind):
    content, line = BAD[kind]
    reply = client.post(SCORE, files=files(content))
    assert reply.status_code == 422
    told = reply.json()["error"]
    assert any(word in told for word in line.split("|")), told
    assert told.startswith("0.wav: ")
    assert "\n" not in told
    assert "nearfar-page-" not in told, "where it lay is nobody's business"
    assert "salvage" not in told, "which is no way out over HTTP"
    (row,) = rows(client.post(SCORE + "?skip_bad=true", files=files(content)))
    assert (row["score"], row["anomalous"], row["clip"]) == (None, None, "0.wav")
    assert row["warning"]
    assert "skip_bad" not in row["warning"]
    assert "nearfar-page-" not in str(row)


def test_of_several_all_faults_are_told_and_skipped_ones_stay(client):
    good = bombs.wav(sound(1))
    reply = client.post(SCORE, files=files(good, b"", b"no"))
    assert reply.status_code == 422
    assert [line.partition(":")[0] for line in reply.json()["faults"]] == ["1.wav", "2.wav"]
    assert "2 of 3 recordings cannot be used" in reply.json()["error"]
    found = rows(client.post(SCORE + "?skip_bad=true", files=files(good, b"", b"no")))
    assert [row["score"] is None for row in found] == [False, True, True]


def test_a_pair_of_two_lengths(client):
    near, far = sound(1)
    sent = [*files(bombs.wav(near[None])), ("far", ("f.wav", bombs.wav(far[None, :20_000])))]
    reply = client.post(SCORE, files=sent)
    assert reply.status_code == 422
    assert "0.wav has 24000 samples, 0.wav (far) has 20000" in reply.json()["error"]


def test_wrong_machines_and_sections(client):
    content = files(bombs.wav(sound(1)))
    assert client.post("/machines/pmup/score", files=content).status_code == 404
    assert client.post(SCORE + "?section=7", files=content).status_code == 404
    assert client.post(SCORE + "?skip_bad=perhaps", files=content).status_code == 422
    assert client.get(SCORE).status_code == 405


def spoken(page, head, *pieces, closes=True):
    """What a server answers to bytes; it may hang up."""
    with page.served() as place, socket.create_connection(place, PATIENCE) as line:
        line.sendall(head)
        for piece in pieces:
            line.sendall(piece)
        if closes:
            line.shutdown(socket.SHUT_WR)
        try:
            return line.recv(65_536)
        except OSError:
            return b""


@pytest.mark.parametrize("length", ["1000000", "199999999"])
def test_a_body_that_stops_half_way_leaves_nothing(page, length):
    head = (
        f"POST /api{SCORE} HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    answer = spoken(page, head.encode(), b"RIFF" * 10_000)
    assert not answer or b" 400 " in answer.splitlines()[0]


def test_an_endless_body_is_cut(page):
    page.desk.room.close()  # nothing of it may ever reach a disk
    head = b"POST /api/machines/pump/score HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
    answer = spoken(page, head + b"Content-Length: 10000000000\r\n\r\n", closes=False)
    assert b" 413 " in answer.splitlines()[0]
    page.desk.room._closed = False


# ---- bombs ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "channels", "rate", "line"),
    [(11_000_000, 2, 1000, "3.1 h long; half an hour at most"),
     (15_000_000, 8, 16_000, "120,000,000 samples; 57,600,000 at most")],
)  # fmt: skip
def test_what_unpacks_to_too_much_is_refused_before_it_is(
    client, tmp_path, frames, channels, rate, line
):
    path = tmp_path / "bomb.flac"
    path.write_bytes(bombs.silent_flac(frames, channels, rate))
    assert path.stat().st_size < 400_000
    reply = client.post(SCORE, files=files(path.read_bytes()))
    assert reply.status_code == 422
    assert line in reply.json()["error"]
    before = "from nearfar.clips.clip import Clip\nimport soundfile, pytest\n"
    before += "from nearfar.page.sent.upload_scores import check_size"
    code = "with pytest.raises(ValueError):\n    check_size(Clip(PATH))"
    assert growth(before, code, PATH=str(path)) < 30


def test_what_may_be_unpacked_is_a_quarter_of_a_gigabyte_at_most():
    assert 4 * upload_scores.SAMPLES < 250_000_000


# ---- many at once --------------------------------------------------------------------------------


@pytest.mark.slow
def test_fifty_at_once_get_their_verdicts_and_the_watch_hears_on(client, page):
    contents = [bombs.wav(sound(n)) for n in range(50)]
    alone = [rows(client.post(SCORE, files=files(one)))[0] for one in contents[:5]]
    before, begin = len(page.seen), threading.Barrier(51)

    def send(n):
        begin.wait(PATIENCE)
        return client.post(SCORE, files=files(contents[n % 5]))

    with ThreadPoolExecutor(50) as pool:
        sent = [pool.submit(send, n) for n in range(50)]
        begin.wait(PATIENCE)
        heard = [
            page.hear(write_new(page.hall, f"{os.getpid()}-{n}.wav", 70 + n)) for n in range(8)
        ]
        replies = [one.result(PATIENCE) for one in sent]
    for n, reply in enumerate(replies):
        assert rows(reply) == [alone[n % 5]]
    assert len(page.seen) == before + 8
    assert {one.status for one in heard} == {"judged"}
