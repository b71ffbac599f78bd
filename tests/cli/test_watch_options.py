"""Options of `nearfar watch` and a plant.toml that says the same are one plant."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from conftest import refused
from nearfar.cli.watch_options import MORE_OF, OF_FOLDERS, OF_STREAMS, WatchOptions, flag
from nearfar.errors import SettingError
from nearfar.service.plant_file import read_plant
from plants import by_hand


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a detector of two machines, and files to name."""
    folder = tmp_path_factory.mktemp("options")
    by_hand().save(folder / "plant.detector")
    (folder / "ca.pem").write_text("")
    return folder


PAIRS = [  # options, source, and the file that says the same
    ({}, "rec", '[[source]]\nfolder = "rec"\n'),
    ({"settle": "500ms", "poll": "5s", "pair": "NEAR=*_1.wav,FAR=*_2.wav", "new_only": True,
      "time_pattern": "%Y%m%d_%H%M%S", "near": 3, "far": 1, "clip_seconds": 10.0},
     "rec",
     '[[source]]\nfolder = "rec"\nsettle = 0.5\npoll = 5\npair = "NEAR=*_1.wav,FAR=*_2.wav"\n'
     'time_pattern = "%Y%m%d_%H%M%S"\nnear = 3\nfar = 1\nclip_seconds = 10\ncatch_up = false\n'),
    ({"machine": "pump", "rate": 48_000, "form": "s24le", "channels": 4, "clip_seconds": 5.0,
      "near": 3, "far": 4}, "-",
     '[[machine]]\nname = "pump"\n[[source]]\npcm = "-"\nrate = 48000\nformat = "s24le"\n'
     'channels = 4\nclip_seconds = 5\nmachine = "pump"\nnear = 3\nfar = 4\n'),
    ({"machine": "pump"}, "mic:USB",
     '[[machine]]\nname = "pump"\n[[source]]\ndevice = "USB"\nmachine = "pump"\n'),
    ({"machine": "pump"}, "mic:",
     '[[machine]]\nname = "pump"\n[[source]]\ndevice = "default"\nmachine = "pump"\n'),
    ({"alarm": "2/3", "clear_p": 0.3, "sensor_alarm": "1/2", "gate": "-55", "every": "10s"}, "rec",
     '[alarm]\nrule = "2/3"\nclear = 0.3\nsensor = "1/2"\ngate = -55\nevery = 10\n'
     '[[source]]\nfolder = "rec"\n'),
    ({"gate": "off", "false_alarm_rate": 0.02}, "rec",
     'false_alarm_rate = 0.02\n[alarm]\ngate = "off"\n[[source]]\nfolder = "rec"\n'),
    ({"history": "plant.db", "keep": "90d", "keep_audio": "alarms", "audio_limit": "1 GB"}, "rec",
     '[history]\nplace = "plant.db"\nkeep = "90d"\nkeep_audio = "alarms"\naudio_limit = "1 GB"\n'
     '[[source]]\nfolder = "rec"\n'),
    ({"mqtt": "mqtts://broker:8883", "mqtt_topic": "hall", "mqtt_version": 5, "mqtt_ca":
      Path("ca.pem"), "no_discovery": True, "metrics": "127.0.0.1:9600", "on_alarm": "call us"},
     "rec",
     '[mqtt]\nurl = "mqtts://broker:8883"\ntopic = "hall"\nversion = 5\nca = "ca.pem"\n'
     'discovery = false\n[metrics]\naddress = "127.0.0.1:9600"\n[on_alarm]\ncommand = "call us"\n'
     '[[source]]\nfolder = "rec"\n'),
]  # fmt: skip


@pytest.mark.parametrize(("options", "source", "text"), PAIRS, ids=lambda x: str(x)[:40])
def test_both_ways_give_one_plant(place, monkeypatch, options, source, text):
    monkeypatch.chdir(place)
    Path("plant.toml").write_text(f'detector = "plant.detector"\n{text}')
    typed = WatchOptions(**options).plant(Path("plant.detector"), source)
    read = replace(read_plant(Path("plant.toml")), file=None)
    # What a file names for itself, and what says no more than the machine that is watched.
    sources = tuple(
        replace(s, name=t.name, machine=t.machine, section=t.section)
        for s, t in zip(read.sources, typed.sources, strict=True)
    )
    assert typed == replace(read, sources=sources)


def test_every_option_is_in_one_of_the_pairs():
    """So that none is forgotten on its way to a setting; places of weights and parts excepted."""
    said = {name for options, _, _ in PAIRS for name in options}
    assert {f.name for f in fields(WatchOptions)} - said == {
        "section", "weights", "part", "mqtt_cert", "mqtt_key",
    }  # fmt: skip


def test_the_length_of_a_streams_clips_is_that_of_normals(place):
    options = WatchOptions(machine="fan", rate=16_000)
    assert options.plant(place / "plant.detector", "-").sources[0].clip_seconds == 10.0


STREAMED = {"rate": 48_000, "form": "s24le", "channels": 2}
FILED = {"settle": "2s", "poll": "5s", "pair": "x", "time_pattern": "x",
         "new_only": True}  # fmt: skip


@pytest.mark.parametrize("name", OF_STREAMS)
def test_what_files_say_themselves_is_not_said_of_a_folder(place, name):
    options = WatchOptions(**{name: STREAMED[name]})
    refused(lambda: options.plant(place, "rec"), f"{flag(name)} is of raw sound (-) or a device")


@pytest.mark.parametrize("name", OF_FOLDERS)
@pytest.mark.parametrize("source", ["-", "mic:"])
def test_what_is_of_files_is_not_said_of_a_stream(place, name, source):
    options = WatchOptions(rate=48_000, **{name: FILED[name]})
    refused(lambda: options.plant(place, source), flag(name), f"leave it out with {source}")


@pytest.mark.parametrize("name", ["form", "channels"])
def test_a_device_says_its_own_form(place, name):
    options = WatchOptions(**{name: STREAMED[name]})
    refused(lambda: options.plant(place, "mic:"), f"{flag(name)} is of raw sound; a device says")


@pytest.mark.parametrize(("of", "name"), [(of, n) for of, names in MORE_OF.items() for n in names])
def test_what_says_more_needs_that_of_which_it_does(place, of, name):
    value = True if name == "no_discovery" else 5 if name == "mqtt_version" else "x"
    said = refused(lambda: WatchOptions(**{name: value}).plant(place, "rec"), error=SettingError)
    assert said.startswith(f"{flag(name)} says more of --{of}; give that too")


MISTAKES = [
    ({}, "-", "raw sound does not say its rate; add --rate, as --rate 48000"),
    ({"rate": 48_000, "form": "s20"}, "-", '--format "s20"; it is one of: s16le'),
    ({"settle": "fast"}, "rec", '--settle "fast"; it is a duration, as "2s"'),
    ({"near": 1}, "rec", "--near and --far go together"),
    ({"pair": "x"}, "rec", "--pair: pair 'x': say which names are near"),
    ({"alarm": "5/3"}, "rec", '--alarm "5/3"; it is k/n'),
    ({"gate": "loud"}, "rec", '--gate "loud"; it is a level in dBFS'),
    ({"clear_p": 2.0}, "rec", "--clear 2.0; it is a p-value"),
    ({"mqtt": "mqtt://me:secret@b"}, "rec", "--mqtt: a URL with a user or password in it"),
    ({"metrics": "9600"}, "rec", '--metrics "9600"; it is HOST:PORT'),
    ({"on_alarm": "a 'b"}, "rec", "it is a program"),
    ({"machine": "pmp"}, "rec", "does not know the machine 'pmp'; did you mean 'pump'?"),
    ({"history": "postgresql://db/x", "keep_audio": "all"}, "rec", "no folder for it"),
    ({"rate": 48_000}, "-", "a stream says nothing of its machine; name one of: fan, pump"),
]


@pytest.mark.parametrize(("options", "source", "words"), MISTAKES)
def test_what_cannot_be_meant_is_one_line(place, options, source, words):
    detector = place / "plant.detector"
    said = refused(lambda: WatchOptions(**options).plant(detector, source), words)
    assert "secret" not in said
