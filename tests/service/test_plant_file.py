"""plant.toml: what it says becomes settings; what is wrong with it is told with line and key."""

import os
import re
import tomllib
from dataclasses import fields

import pytest

from conftest import refused
from nearfar.errors import FormatError
from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.amounts import duration, size
from nearfar.service.plant import HistorySettings, MqttSettings, PlantSettings, SourceSettings
from nearfar.service.plant_file import example, read_plant
from plants import by_hand, plant

SMALL = 'detector = "plant.detector"\n[[source]]\nfolder = "rec"\n'


@pytest.fixture
def given(tmp_path):
    """Write a file and read it."""
    by_hand().save(tmp_path / "plant.detector")

    def read(text):
        path = tmp_path / "plant.toml"
        path.write_text(text, encoding="utf-8")
        return read_plant(path)

    return read


def test_three_lines_are_enough(given, tmp_path):
    """All machines of the detector; paths from the file's folder on, wherever one stands."""
    found = given(SMALL)
    assert [machine.key for machine in found.machines] == [("fan", "00"), ("pump", "00")]
    assert found.sources == (SourceSettings("rec", "folder", str(tmp_path / "rec")),)
    assert found.file == tmp_path / "plant.toml"
    assert list(found.detectors) == [found.machines[0].detector]


def test_everything_that_is_said_is_there(given, tmp_path):
    by_hand((("saw", "00"), ("saw", "01"))).save(tmp_path / "saw.detector")
    (tmp_path / "ca.pem").write_text("")
    found = given("""
[history]
place = "plant.db"
keep = "90d"
keep_audio = "all"
audio_limit = "1 GB"
[alarm]
rule = "2/4"
clear = 0.3
every = "10s"
drift = 10_000
[[machine]]
name = "saw"
section = "01"
detector = "saw.detector"
false_alarm_rate = 0.02
[machine.alarm]
rule = "1/1"
gate = "off"
sensor = "3/3"
[[machine]]
name = "pump"
detector = "plant.detector"
[[source]]
folder = "/data"
settle = "500ms"
patience = "1h"
poll = 5
pair = "NEAR=*_1.wav,FAR=*_2.wav"
time_pattern = "%Y%m%d_%H%M%S"
near = 3
far = 1
clip_seconds = 10
machine = "saw"
catch_up = false
[[source]]
name = "line"
pcm = "-"
rate = 48000
format = "s24le"
channels = 4
machine = "pump"
[[source]]
device = "default"
machine = "saw"
section = "01"
[mqtt]
url = "mqtts://broker:8883"
topic = "hall/nearfar"
discovery = false
version = 3
ca = "ca.pem"
[metrics]
address = "0.0.0.0:9600"
[on_alarm]
command = ["call", "the night shift"]
""")
    saw, pump = found.machines
    assert (saw.key, saw.detector.false_alarm_rate) == (("saw", "01"), 0.02)
    assert saw.alarm == {
        "rule": AlarmRule(1, 1), "clear": 0.3, "every": 10.0, "drift_run": 10_000,
        "gate": -199.0, "sensor_rule": AlarmRule(3, 3),
    }  # fmt: skip
    assert pump.alarm["rule"] == AlarmRule(2, 4)
    assert "gate" not in pump.alarm
    hall, line, mic = found.sources
    assert hall == SourceSettings(
        "data", "folder", "/data", "saw", settle=0.5, patience=3600.0, poll=5.0,
        pair="NEAR=*_1.wav,FAR=*_2.wav", time_pattern="%Y%m%d_%H%M%S", channels=(3, 1),
        existing=False, clip_seconds=10.0,
    )  # fmt: skip
    assert (line.name, line.place, line.rate, line.form, line.count) == (
        "line", "-", 48000, "s24le", 4,
    )  # fmt: skip
    # Cut as long as the normals of its machine are.
    assert (line.clip_seconds, mic.clip_seconds, mic.kind, mic.name) == (
        10.0,
        10.0,
        "device",
        "mic",
    )
    history = found.history
    assert (history.place, history.keep) == (str(tmp_path / "plant.db"), 90 * 86_400.0)
    assert (history.keep_audio, history.audio_limit) == ("all", 10**9)
    assert history.sound_folder == tmp_path / "plant.db-audio"
    assert (found.mqtt.url, found.mqtt.discovery, found.mqtt.version) == (
        "mqtts://broker:8883", "", 3,
    )  # fmt: skip
    assert found.mqtt.ca == tmp_path / "ca.pem"
    assert (found.metrics, found.on_alarm) == ("0.0.0.0:9600", "call 'the night shift'")


ROWS = 'detector = "plant.detector"\n'  # line 1 of what follows
HALL = '[[source]]\nfolder = "rec"\n'
MISTAKES = [  # text, line, words
    (ROWS + '[[source]]\nfolder = "a"\nsettle = "fast"\n', 4,
     '[[source]] settle is "fast"; it is a duration, as "2s"'),
    (ROWS + HALL + '[alarm]\nrule = "6/5"\n', 5, '[alarm] rule is "6/5"; it is k/n'),
    (ROWS + HALL + "[alarm]\nrule = 3\n", 5, "rule is 3; it is k/n"),
    (ROWS + HALL + "[alarm]\nclear = 1.5\n", 5, "clear is 1.5; it is a p-value above 0"),
    (ROWS + HALL + "[alarm]\ngate = 5\n", 5, 'gate is 5; it is a level in dBFS, as -55, or "off"'),
    (ROWS + HALL + "[alarm]\ndrift = 1.5\n", 5, "drift is 1.5; it is a whole number from 51 to"),
    (ROWS + HALL + "settel = 1\n", 4, "[[source]] has no key 'settel'; did you mean 'settle'?"),
    (ROWS + "[[sources]]\nfolder = 'a'\n", 2, "no key 'sources'; did you mean 'source'?"),
    (ROWS + "[source]\nfolder = 'a'\n", 2, "[[source]], with two pairs of brackets"),
    (ROWS + HALL + "[[history]]\nplace = 'a'\n", 4, "one pair of brackets"),
    ("history = 5\n" + ROWS + HALL, 1, "history is 5; it is a table, headed [history]"),
    (ROWS, 1, 'no [[source]]; add one, as [[source]] and folder = "recordings"'),
    (HALL, 1, "no machine to watch; add detector"),
    ("detector = 3\n" + HALL, 1, "detector is 3; it is a text"),
    ("detector = 'gone'\n" + HALL, 1, "gone: is no folder; make one with nearfar fit"),
    (ROWS + HALL + "[[machine]]\nname = 'pmp'\n", 5, "did you mean 'pump'? It has: fan, pump"),
    (ROWS + HALL + "[[machine]]\nname = 'pump'\nsection = '07'\n", 6, "no section '07'"),
    (ROWS + HALL + "[[machine]]\nsection = '00'\n", 4, "[[machine]] has no name; add one, as"),
    ("detector = 'gone'\n" + HALL + "[[machine]]\nname = 'a'\n[[machine]]\nname = 'b'\n", 1,
     "toml:1: detector: "),
    (ROWS + HALL + "[[machine]]\nname = 'pump'\ndetector = 'gone'\n", 6,
     "[[machine]] detector: "),
    (HALL + "[[machine]]\nname = 'pump'\n", 3, "[[machine]] has no detector; add one, as"),
    (ROWS + HALL + "[[machine]]\nname = 'fan'\n[[machine]]\nname = 'fan'\n", 7,
     '[[machine]] name is "fan" a second time'),
    (ROWS + "[[source]]\nname = 'x'\n", 2, "[[source]] hears nothing; give it one of: folder, pcm"),
    (ROWS + "[[source]]\nfolder = 'a'\npcm = '-'\n", 2, "folder and pcm exclude each other"),
    (ROWS + HALL + HALL.replace("rec", "x/rec"), 4, "is called 'rec' as another is; say name ="),
    (ROWS + HALL + HALL + "name = 'two'\n", 4, "hears what 'rec' hears; remove one of the two"),
    (ROWS + HALL + "machine = 'pmp'\n", 4,
     "[[source]] machine 'pmp' is not watched; did you mean 'pump'?"),
    (ROWS + "[[source]]\npcm = '-'\nrate = 48000\n", 2, "a stream says nothing of its machine"),
    (ROWS + "[[source]]\npcm = '-'\nmachine = 'fan'\n", 2, "has no rate; add one, as rate = 48000"),
    (ROWS + "[[source]]\npcm = '-'\nmachine = 'fan'\nrate = 48000\nformat = 's20'\n", 6,
     'format is "s20"; it is one of: s16le'),
    (ROWS + HALL + "rate = 48000\n", 4, "[[source]] has no key 'rate'"),
    (ROWS + HALL + "near = 2\n", 4, "near goes with the other channel; say near and far"),
    (ROWS + HALL + "pair = 'x'\n", 4, "[[source]] pair 'x': say which names are near"),
    (ROWS + HALL + "time_pattern = '%Y'\n", 4, "time pattern '%Y': it has no year, month and day"),
    (ROWS + HALL + "clip_seconds = -1\n", 4, "clip_seconds is -1; it is a number from 0.1"),
    (ROWS + HALL + "catch_up = 'yes'\n", 4, 'catch_up is "yes"; it is true or false'),
    (ROWS + HALL + "[mqtt]\nurl = 'mqtt://b'\npassword = 'x'\n", 6,
     "[mqtt] password does not belong into a file; set NEARFAR_MQTT_USER and NEARFAR_MQTT_PASS"),
    (ROWS + HALL + "[mqtt]\nurl = 'mqtt://me:x@b'\n", 5,
     "[mqtt] url is a URL with a user or password in it; leave"),
    (ROWS + HALL + "[mqtt]\nurl = 'http://b'\n", 5, 'as "mqtt://broker:1883"'),
    (ROWS + HALL + "[mqtt]\ntopic = 'x'\n", 4, '[mqtt] has no url; add one, as url = "mqtt://'),
    (ROWS + HALL + "[mqtt]\nurl = 'mqtt://b'\nca = 'gone.pem'\n", 6, "gone.pem is none"),
    (ROWS + HALL + "[mqtt]\nurl = 'mqtt://b'\nversion = 4\n", 6, "version is 4; it is 3, which"),
    (ROWS + HALL + "[history]\nplace = 'postgresql://a:secret@db/x'\n", 5, "leave that to PGPASS"),
    (ROWS + HALL + "[history]\nkeep = '90 days ago'\n", 5, "[history] keep is"),
    (ROWS + HALL + "[history]\nkeep_audio = 'some'\n", 5, "it is one of: alarms, all, none"),
    (ROWS + HALL + "[history]\nkeep_audio = 'all'\n", 5, "there is no folder for it"),
    (ROWS + HALL + "[history]\naudio_limit = 'huge'\n", 5, "it is a size"),
    (ROWS + HALL + "[metrics]\naddress = '9600'\n", 5, "it is HOST:PORT"),
    (ROWS + HALL + "[metrics]\n", 4, "[metrics] has no address; add one"),
    (ROWS + HALL + "[on_alarm]\ncommand = 'a \"b'\n", 5, "it is a program and its arguments"),
    (ROWS + HALL + "false_alarm_rate = 0.1\n", 4, "[[source]] has no key 'false_alarm_rate'"),
    ("false_alarm_rate = 2\n" + ROWS + HALL, 1, "it is a share above 0 and below 1"),
    (ROWS + HALL + "settle = 1979-05-27\n", 4, "settle is 1979-05-27; it is a duration"),
    (ROWS + HALL + "x = \n", 4, "not TOML: "),
    (ROWS + HALL + "folder = 'again'\n", 4, "not TOML: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES, ids=lambda x: str(x)[-40:])
def test_a_mistake_is_one_line_with_file_line_and_key(given, tmp_path, text, line, words):
    said = refused(lambda: given(text), words, error=FormatError)
    assert re.sub(r"^.*/plant\.toml:(\d+): .*", r"\1", said) == str(line), said
    assert "secret" not in said or "a:secret" not in said


def test_all_mistakes_are_told_at_once(given):
    with pytest.raises(FormatError) as caught:
        given(ROWS + '[[source]]\nfolder = "a"\nsettle = "x"\npoll = "y"\n[mqtt]\n')
    assert [re.search(r":(\d+): ", fault)[1] for fault in caught.value.faults] == ["4", "5", "6"]
    assert "3 mistakes" in str(caught.value)


def test_what_is_no_file_of_text_is_told(given, tmp_path):
    refused(lambda: read_plant(tmp_path / "gone.toml"), "gone.toml: cannot be read")
    refused(lambda: read_plant(tmp_path), "cannot be read")
    (tmp_path / "x.toml").write_bytes(b"a = '\xff'")
    refused(lambda: read_plant(tmp_path / "x.toml"), "not UTF-8 text")


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe.toml", "zero.toml"):
        refused(lambda name=name: read_plant(tmp_path / name), "pipe or a device")


def test_with_a_page_a_detector_that_is_not_there_can_be_made_in_a_browser(given, tmp_path):
    text = 'detector = "gone"\n[[source]]\nfolder = "rec"\n'
    way = f"; or in a browser with nearfar serve {tmp_path / 'gone'}"
    refused(lambda: given(text + '[page]\nlisten = "127.0.0.1:8080"\n'), way)
    for other in (text, text.replace("gone", "rec") + '[page]\nlisten = "127.0.0.1:8080"\n'):
        (tmp_path / "rec").mkdir(exist_ok=True)
        with pytest.raises(FormatError) as caught:
            given(other)
        assert "browser" not in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [
    ('detector = "' + "x" * 5000 + '"\n' + SMALL.partition("\n")[2], "is no folder"),
    (SMALL + '[history]\nplace = "postgresql://[::"\n', "[history] place is"),
])  # fmt: skip
def test_places_that_no_system_knows_are_a_line(given, text, words):
    refused(lambda: given(text), words, error=FormatError)


def test_an_editor_of_windows_changes_nothing(given, tmp_path):
    (tmp_path / "dos.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert read_plant(tmp_path / "dos.toml").sources == given(SMALL).sources


# ---- the example ---------------------------------------------------------------------------------
def uncommented():
    """The example with all that it has as a comment: every key there is."""
    lines = [re.sub(r"^# (?=(\[|\w+ = ))", "", line) for line in example().splitlines()]
    return "\n".join(lines)


@pytest.mark.parametrize("whole", [False, True])
def test_the_example_reads_without_a_fault(tmp_path, whole):
    by_hand().save(tmp_path / "plant.detector")
    by_hand().save(tmp_path / "pump.detector")
    for name in ("ca.pem", "page.token", "look.token"):
        (tmp_path / name).write_text(f"{name}-of-people-here")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "normal recordings").mkdir()
    text = uncommented() if whole else example()
    # Where nobody has an encoder, nor a part of his own, nor one of each machine's streams.
    text = re.sub(r'(?m)^(weights|parts|machine = "fan"|section = "00" +# w).*$', "", text)
    found = read_plant(plant(tmp_path, text))
    assert [machine.key for machine in found.machines] == [("fan", "00"), ("pump", "00")]
    assert len(found.sources) == (3 if whole else 1)


def test_the_example_has_every_key():
    """What a settings class has is in it, by the same name or the one it is told by."""
    said = tomllib.loads(re.sub(r"(?m)^(\[\[?\w+\]?\])", r"\1", uncommented()))
    keys = {key for table in said["source"] for key in table}
    names = {"kind": "folder", "place": "pcm", "form": "format", "count": "channels",
             "channels": "near", "existing": "catch_up"}  # fmt: skip
    assert {names.get(f.name, f.name) for f in fields(SourceSettings)} <= keys
    top = {f.name for f in fields(PlantSettings)} - {"file", "machines", "sources"}
    assert top | {"machine", "source", "detector", "alarm"} <= set(said)


def test_the_example_fits_a_screen_and_a_terminal():
    assert all(len(line) <= 110 and line.isprintable() for line in example().splitlines())


def test_the_example_says_the_values_that_hold_if_nothing_is_said():
    """But for those that it is there to show: places, an address, and a history that is kept."""
    said = tomllib.loads(uncommented())
    alarm, usual = said["alarm"], AlarmSettings()
    assert (alarm["rule"], alarm["sensor"]) == (str(usual.rule), str(usual.sensor_rule))
    assert alarm["drift"] == usual.drift_run
    hall = SourceSettings("hall", "folder", "recordings")
    told = said["source"][0]
    assert (duration(told["settle"]), duration(told["patience"])) == (hall.settle, hall.patience)
    assert told["catch_up"] is hall.existing
    assert said["source"][1]["channels"] == hall.count
    assert size(said["history"]["audio_limit"]) == HistorySettings().audio_limit
    broker = MqttSettings("mqtt://broker")
    for key in ("topic", "discovery", "version"):
        assert said["mqtt"][key] == getattr(broker, key)
