"""Normal recordings are listed once, and again when something came or went."""

from conftest import write
from nearfar.page.sounds import normal_sounds
from nearfar.page.sounds.normal_sounds import NormalSounds
from watches import sound


def test_listed_once_until_a_folder_changes(tmp_path, monkeypatch):
    listed = []
    listing = normal_sounds.normals_of
    monkeypatch.setattr(normal_sounds, "normals_of", lambda p: listed.append(p) or listing(p))
    write(tmp_path / "pump" / "1.wav", sound(1))
    normals = NormalSounds()
    assert [c.path.name for c in normals([tmp_path])] == ["1.wav"] * 1
    assert normals([tmp_path]) == normals([tmp_path])
    assert len(listed) == 1
    write(tmp_path / "pump" / "2.wav", sound(2))
    assert [c.path.name for c in normals([tmp_path])] == ["1.wav", "2.wav"]
    (tmp_path / "pump" / "1.wav").unlink()
    assert [c.path.name for c in normals([tmp_path])] == ["2.wav"]


def test_a_folder_without_recordings_gives_none_until_there_are(tmp_path):
    normals, folder = NormalSounds(), tmp_path / "normals"
    assert normals([folder]) == []
    write(folder / "1.wav", sound(1))
    assert [c.path.name for c in normals([folder])] == ["1.wav"]


def test_several_folders_in_their_order(tmp_path):
    for name in ("b", "a"):
        write(tmp_path / name / f"{name}.wav", sound(1))
    found = NormalSounds()([tmp_path / "b", tmp_path / "a"])
    assert [c.path.name for c in found] == ["b.wav", "a.wav"]
