"""Commands as README and docs show them, and a folder in which they can be typed."""

import re
import shutil
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np

import nearfar as nf
from beats_folders import folder as beats
from conftest import TESTS, TINY, machine_sound, write, write_machine
from heard_clips import write_history
from made_history import make_history
from nearfar.parts.own import user_module
from nearfar.scores.submission.plainyaml import dump_yaml
from submissions import PDF, SAID
from yamnet_folder import make_folder

ROOT = TESTS.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NEW = ("drill", "lathe")
HUB = "worstchan/EAT-large_epoch20_pretrain"
FENCE = re.compile(r"^( *)```")
# What people type, at the begin of a line of code; what follows `#` is said to them.
TYPED = re.compile(r"^ *(?:\$ )?(?:[A-Z_]+=\S+ )*((?:nearfar|make) .*?)\s*(?:\s#.*)?$")
LOOP = re.compile(r"^ *for (\w+) in (.*?); do$")


@dataclass(frozen=True)
class Shown:
    """A command, and where it stands."""

    page: str
    line: int
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}: {self.text}"


def shown(text, page=""):
    """The commands in a page's blocks of code, in their order; those in a loop once a round.

    Blocks are fenced, or indented by four behind an empty line.
    """
    found, fenced, python, loop, empty = [], False, False, [({},)], True
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced, python = not fenced, "python" in line
        code = (fenced and not python) or (not fenced and line.startswith("    ") and empty)
        if code and (rounds := LOOP.match(line)):
            loop = [({f"${rounds[1]}": value},) for value in rounds[2].split()]
        elif code and line.strip() == "done":
            loop = [({},)]
        elif code and (typed := TYPED.match(line)):
            for (values,) in loop:
                said = typed[1]
                for name, value in values.items():
                    said = said.replace(name, value)
                found.append(Shown(page, number, said))
        empty = not line.strip() or (empty and line.startswith("    "))
    return found


@cache
def all_shown():
    """Of all pages."""
    return tuple(command for page in PAGES for command in shown(page.read_text("utf-8"), page.name))


def make_world(root):
    """Every name that the pages use: recordings, tables, weights, parts of one's own, detectors."""
    rng = np.random.default_rng(7)
    for number, machine in enumerate(("fan", "pump")):
        write_machine(root / "DATA", machine, number, source=14, target=4)
    for data in ("dev_data/raw", "recordings", "demo/recordings"):
        shutil.copytree(root / "DATA", root / data)
    for number, machine in enumerate(NEW, 2):  # an evaluation set has other machines
        write_machine(root / "eval_data/raw", machine, number, source=14, target=4)
    for folder, count in (("normal", 20), ("today", 4), ("zoom/2026-06-15", 10)):
        for n in range(count):
            write(root / folder / f"{n:02d}.wav", machine_sound(rng))
    write(root / "today" / "a.wav", machine_sound(rng))
    shutil.copytree(root / "today", root / "demo/pump/watched")
    _test_clips(root / "DATA", root / "RECORDINGS")
    write(root / "clip.wav", machine_sound(rng))
    for name in ("EAT_DIR", HUB):
        (root / name).mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(TINY / file, root / name / file)
    make_folder(root / "YAMNET_DIR")
    shutil.copytree(beats(), root / "BEATS_DIR")
    (root / "mine.py").write_text(_parts() + "\nmy_system = system\n")
    _scores(root)
    _ground_truth(root)
    make_history(root / "plant.db")
    write_history(root / "plant.db")
    (root / "meta.yaml").write_text(dump_yaml(SAID))
    (root / "report.pdf").write_bytes(PDF)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)  # of sets as small as these
        _detectors(root)


def _test_clips(data, to):
    """Recordings to be scored, a folder a machine."""
    for test in data.glob("*/test"):
        shutil.copytree(test, to / test.parent.name)


def _detectors(root):
    train = nf.Clips.open(root / "DATA", split="train")
    plain = nf.Clips.open(root / "normal", machine="pump7")
    own = nf.fit(nf.s4(), plain)
    for name in ("pump7.detector", "demo/detector"):
        own.save(root / name)
    nf.fit(user_module(root / "mine.py").system, plain).save(root / "mine.detector")
    nf.fit(nf.s4(), train).save(root / "s4.detector")
    nf.fit(nf.logmel(), train).save(root / "logmel.detector")
    both = nf.Clips.open([root / "dev_data/raw", root / "eval_data/raw"], split="train")
    nf.fit(nf.logmel(), both).save(root / "floor.detector")


def _parts():
    """docs/extend.md in one file, its imports first, without its checks."""
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    blocks = [block for block in blocks if "nearfar.testing" not in block]
    first = [block for block in blocks if block.startswith("from dataclasses")]
    return "\n\n".join([*first, *(block for block in blocks if block not in first)])


def _ground_truth(root):
    """Labels of the evaluation set's test clips, in the official form."""
    for machine in NEW:
        files = sorted((root / "eval_data/raw" / machine / "test").glob("*.wav"))
        for folder, known in (("data", "anomaly"), ("domain", "target")):
            place = root / "ground_truth" / f"ground_truth_{folder}"
            place.mkdir(parents=True, exist_ok=True)
            lines = [f"{file.name},{int(known in file.name)}" for file in files]
            name = f"ground_truth_{machine}_{files[0].name[:10]}_test.csv"
            (place / name).write_text("\n".join(lines) + "\n")
        with (root / "eval_data_list_2026.csv").open("a") as listing:
            listing.write("\n".join([machine, *(f"{f.name},{f.name}" for f in files)]) + "\n")


def _scores(root):
    """Score files in the official form, and what is true of their clips."""
    rows = ["machine,section,file,domain,label"]
    for machine in ("fan", "pump"):
        names = []
        for domain in ("source", "target"):
            for label in ("normal", "anomaly"):
                for n in range(6):
                    names.append(f"section_00_{domain}_{label}_{n:04d}.wav")
                    rows.append(f"{machine},00,{names[-1]},{domain},{label}")
        for folder, seed in (("my_scores", 3), ("other_scores", 4)):
            rng = np.random.default_rng((seed, len(machine)))
            lines = [f"{name},{rng.normal() + ('anomaly' in name):.6f}" for name in names]
            place = root / folder / f"anomaly_score_{machine}_section_00_test.csv"
            place.parent.mkdir(exist_ok=True)
            place.write_text("\n".join(lines) + "\n")
    (root / "truth.csv").write_text("\n".join(rows) + "\n")
