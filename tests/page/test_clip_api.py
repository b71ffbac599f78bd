"""A clip as the page shows it: its row, its reasons, its sound, its pictures."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from clip_pages import ClipPage, clip_place
from conftest import PATIENCE, write
from nearfar.page.sounds import clip_explained
from nearfar.report.sounds import LOUDEST
from nearfar.sound.audio import SAMPLE_RATE
from watches import sound, write_new


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with ClipPage(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture(scope="module")
def client(page):
    with page.client() as made:
        yield made


@pytest.fixture(scope="module")
def alarm(page):
    return page.hear(write_new(page.hall, "alarm.wav", 1, anomaly=True))


@pytest.fixture(scope="module")
def explained(client, alarm):
    return client.get(clip_place(alarm) + "/explanation").json()


def below_api(url):
    assert url.startswith("/api/")
    return url.removeprefix("/api")


def test_the_row_without_the_place_where_it_lay(client, page, alarm):
    row = client.get(clip_place(alarm)).json()
    assert row["digest"] == alarm.digest
    assert (row["row"], row["score"], row["anomalous"]) == (1, alarm.score, True)
    assert (row["kept"], row["label"], row["learnt"], row["labels"]) == (True, None, False, [])
    assert row["at_ms"] == page.row(alarm).at // 1000
    assert str(page.hall) not in str(row)


def test_why(explained, alarm):
    assert explained["why"].endswith("of what sets it apart")
    assert explained["verdict"]["score"] == alarm.score
    assert explained["verdict"]["clip"] == alarm.name
    assert explained["moves"][0]["share"] == max(m["share"] for m in explained["moves"])
    assert len(explained["neighbours"]) == 3
    assert (explained["sensor"], explained["cut"], explained["judged_by_other"]) == ([], 0, False)


def test_all_its_sounds_at_one_gain(client, explained, alarm):
    assert [s["name"] for s in explained["sounds"]] == ["near", "far", "normal"]
    assert explained["missing"] == ""
    heard = {}
    for one in explained["sounds"]:
        reply = client.get(below_api(one["url"]))
        assert reply.headers["content-type"] == "audio/flac"
        heard[one["name"]], rate = soundfile.read(io.BytesIO(reply.content))
        assert (rate, len(heard[one["name"]])) == (SAMPLE_RATE, one["seconds"] * SAMPLE_RATE)
    assert max(np.abs(s).max() for s in heard.values()) == pytest.approx(LOUDEST, abs=1e-3)
    near, far = sound(1, anomaly=True)
    assert heard["near"].std() / heard["far"].std() == pytest.approx(
        near.std() / far.std(), rel=0.01
    )


def test_parts_of_a_sound_by_range(client, explained):
    place = below_api(explained["sounds"][0]["url"])
    whole = client.get(place)
    size, tag = len(whole.content), whole.headers["etag"]
    asked = {
        "bytes=0-3": whole.content[:4], "bytes=-5": whole.content[-5:],
        f"bytes={size - 7}-": whole.content[-7:], f"bytes=4-{size * 9}": whole.content[4:],
    }  # fmt: skip
    for span, part in asked.items():
        reply = client.get(place, headers={"range": span, "if-range": tag})
        assert (reply.status_code, reply.content) == (206, part), span
        assert reply.headers["content-range"].endswith(f"/{size}")
        assert "content-encoding" not in reply.headers
    assert client.get(place, headers={"range": f"bytes={size}-"}).status_code == 416
    changed = client.get(place, headers={"range": "bytes=0-3", "if-range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    head = client.head(place)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(size), "bytes")


@pytest.mark.slow
def test_its_pictures_for_a_desk_and_a_phone(client, explained):
    assert [one["kind"] for one in explained["pictures"]] == ["desk", "phone"]
    for one in explained["pictures"]:
        assert 0 < one["left"] < one["right"] < 1
        assert one["seconds"] == 1.5
        reply = client.get(below_api(one["url"]))
        assert reply.headers["content-type"] == "image/svg+xml"
        assert reply.text.startswith("<svg ")
        assert 'xmlns="http://www.w3.org/2000/svg"' in reply.text
        assert reply.text.count("--ink:") == 2, "by day and by night"


def test_two_who_ask_at_once_have_it_computed_once(client, page, monkeypatch):
    seen = page.hear(write_new(page.hall, "twice.wav", 2, anomaly=True))
    computed, both = [], threading.Barrier(2)
    compute = clip_explained._explained

    def counted(*of, **more):
        computed.append(1)
        return compute(*of, **more)

    monkeypatch.setattr(clip_explained, "_explained", counted)

    def ask(_):
        both.wait(PATIENCE)
        return client.get(clip_place(seen) + "/explanation").json()

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(ask, range(2))
    assert one == two
    assert computed == [1]


@pytest.mark.parametrize("digest", ["0" * 64, "x", "..%2f..%2fetc%2fpasswd", "0" * 63 + "%0a"])
@pytest.mark.parametrize("rest", ["", "/explanation", "/audio/near", "/picture/desk.svg"])
def test_what_is_no_clip_is_not_found(client, digest, rest):
    reply = client.get(f"/machines/pump/clips/{digest}{rest}")
    assert reply.status_code == 404
    assert reply.json()["error"]


def test_no_other_sound_or_picture(client, alarm):
    assert client.get(clip_place(alarm) + "/audio/heard").json()["error"].startswith("no sound")
    assert client.get(clip_place(alarm) + "/audio/heard").status_code == 404
    for rest in ("/audio/passwd", "/picture/wall.svg"):
        assert client.get(clip_place(alarm) + rest).status_code == 422


def test_one_microphone_is_heard_and_not_judged(client, page):
    seen = page.hear(write(page.hall / "mono.wav", sound(5)[:1]))
    assert seen.status == "unjudged"
    found = client.get(clip_place(seen) + "/explanation").json()
    assert "not judged" in found["why"]
    assert "1 channel, need 2" in found["why"]
    assert [s["name"] for s in found["sounds"]] == ["near"]
    assert found["verdict"]["judged"] is False
    assert client.get(below_api(found["sounds"][0]["url"])).status_code == 200


def test_no_sound_any_more(client, page):
    path = write(page.hall / "gone.wav", sound(6))
    seen = page.hear(path)
    kept = page.plant.history.sound_folder
    for one in [path, *kept.glob(f"{seen.digest}.*")]:
        one.unlink()
    assert client.get(clip_place(seen)).json()["kept"] is False
    for rest in ("/explanation", "/audio/near", "/picture/desk.svg"):
        reply = client.get(clip_place(seen) + rest)
        assert reply.status_code == 410
        assert "its sound is not kept" in reply.json()["error"]


def test_what_cannot_be_read(client, page):
    path = page.hall / "broken.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk")
    seen = page.hear(path)
    reply = client.get(clip_place(seen) + "/explanation")
    assert reply.status_code in (200, 410)
    if reply.status_code == 200:
        assert reply.json()["sounds"] == reply.json()["pictures"] == []
    assert client.get(clip_place(seen) + "/audio/near").status_code in (404, 410)


def test_another_detector_says_so(client, page, alarm, monkeypatch):
    hold = page.desk.hold(alarm.key)
    monkeypatch.setattr(hold, "identity", "0123456789ab")
    found = client.get(clip_place(alarm) + "/explanation").json()
    assert found["judged_by_other"] is True
    assert found["detector"] == "0123456789ab"
