"""Files that a system must survive are what they say."""

import json

import nearfar as nf
from nearfar import sim
from nearfar.sound.audio import check, read


def test_stress_files_are_what_they_say(tmp_path):
    files = sim.write_stress(tmp_path, 1)
    expected = json.loads((tmp_path / "expected.json").read_text())
    for path in files:
        usable = expected[f"fan/{path.name}"]["usable"]
        try:
            nf.DIF()([check(read(path), name=path.name)])
        except nf.NearfarError:
            assert not usable, path.name
        else:
            assert usable, path.name
