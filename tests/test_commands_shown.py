"""Every command that README and docs show is run here, or named below with the reason why not."""

import json
import os
import re
import shlex
import shutil
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from typer.main import get_command

import nearfar as nf
from clusters import started_here
from conftest import DATA, TINY, machine_sound
from nearfar.cli.main import app
from record_server import serve
from shown_commands import HUB, PAGES, ROOT, all_shown, make_world, shown
from trained_file import make_trained
from yamnet_folder import make_keras

# Pattern of a command → why it is not run here. One that fits no command any more fails.
NOT_RUN = {
    r"make (?!demo)": "a target of the Makefile; CI runs test, test-all, check and site",
    r"nearfar reproduce (?!.*--dry-run)": "hours; its dry run is, and all of it in tests/reproduce",
    r"nearfar watch (?!.*--(explain-alarm|example|once))": "endless; test_plant_walk.py walks one",
    r"nearfar serve ": "endless; test_serve.py asks one",
    r"make demo": "test_demo.py, with the program in place of its nearfar",
}
# What is made smaller, for time, or does not depend on the processor: the command is the same.
SMALLER = {
    "--preset small": "--preset mini",
    "simulate pump/ --preset wear": "simulate pump/ --preset mini",
    "--precision bf16": "--precision fp32",
    "layer=10": "layer=2",
    "--exclude fan,valve": "--exclude fan",
    "--lora 64": "--lora 4",
}
# What is said besides: recordings here are none of the official set.
BESIDES = {"reproduce": ["--any-data"]}
PROVOKED = {  # pages whose commands go wrong on purpose
    "errors.md": "run by tools.messages, and held to it by test_errors_page.py",
    "faq.md": "copied from errors.md, and held to it by test_site.py",
}
# Run in their order, in worlds of their own, by test_walks.py, test_plant_walk.py and
# test_page_walk.py, which has the README's page too.
WALKS = ("day.md", "week.md", "plant.md", "page.md")
# A command that may find something, and then says so by its code.
FINDS = {"check": {1}, "score": {1, 3}, "timeline": {1, 3}}
PROGRAM = get_command(app)
BY_PAGE = {
    page.name: [c for c in all_shown() if c.page == page.name]
    for page in PAGES
    if page.name not in {*PROVOKED, *WALKS}
}
RUN_AS_FILES = ("extend.md",)  # by test_extend.py
QUICK = ("start-engineer.md", "data.md", "outputs.md")


def why_not(command):
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.text)), "")


def pages():
    for name, commands in BY_PAGE.items():
        if any(not why_not(command) for command in commands):
            yield pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("shown") / "world"
    make_world(root)
    return root


@pytest.fixture(scope="module")
def zenodo(template):
    """The address of a server that has the template's recordings as they are published."""
    with serve(template) as url:
        yield url


@pytest.fixture
def world(template, zenodo, tmp_path, monkeypatch):
    """A folder of one's own with all that the pages name; the commands of a page run in it."""
    monkeypatch.setenv("NEARFAR_ZENODO", zenodo)
    root = tmp_path / "here"
    shutil.copytree(template, root)
    monkeypatch.chdir(root)
    return root


def options_of(words):
    """The options of the command that some words call."""
    command = PROGRAM
    for word in words:
        if word.startswith("-") or not hasattr(command, "commands"):
            break
        command = command.commands[word]
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts)}


def arguments(text):
    """What a shell hands over; one process, for the sets here are small."""
    for large, small in SMALLER.items():
        text = text.replace(large, small)
    text = text.replace("$PWD", os.getcwd())
    words = shlex.split(text)[1:]
    alone = "--workers" in options_of(words) and "--workers" not in words
    return words + ["--workers", "1"] * alone + BESIDES.get(words[0], [])


@pytest.fixture
def cluster(page):
    """What commands with Ray take, if the page has some; it ends with the test."""
    asks = any("--engine ray" in c.text and not why_not(c) for c in BY_PAGE[page])
    with started_here(workers=1) if asks else nullcontext():
        yield


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("page", list(pages()))
def test_the_commands_of_a_page_run(page, world, run):
    for command in BY_PAGE[page]:
        if why_not(command):
            continue
        prepare(command, world)
        code, _, err = run(*arguments(command.text))
        asked = "--fail-on" in command.text or command.text.split()[1] == "check"
        finds = FINDS.get(command.text.split()[1], set()) if asked else set()
        assert code in {0} | finds, f"{command}\n{err}"


def python_of(page):
    """The blocks of Python on a page, to be run one behind the other."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


IN_PYTHON = [page for page in PAGES if python_of(page) and page.name not in RUN_AS_FILES]


@pytest.mark.slow
@pytest.mark.parametrize("page", IN_PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, world):
    names = {"__name__": "page", "array": machine_sound(np.random.default_rng(0), seconds=6)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)  # of sets as small as these
        for block in sorted(python_of(page), key=lambda block: "from dataclasses" not in block):
            exec(compile(block, page.name, "exec"), names)


def prepare(command, world):
    """What a person would have at hand, or not, before one command."""
    if "yamnet_256_f32.h5" in command.text:
        make_keras(world / "yamnet_256_f32.h5")
        shutil.rmtree(world / "YAMNET_DIR")
    elif "weights convert" in command.text:
        from safetensors.numpy import load_file

        from checkpoints import pretrain_names, save

        model = pretrain_names(load_file(TINY / "model.safetensors"))
        heads = {"num_heads": json.loads((TINY / "config.json").read_text())["num_heads"]}
        save(world / "EAT-large_epoch20_pt.pt", model, cfg={"model": heads})
        shutil.copyfile(DATA / "beats" / "tiny" / "checkpoint.pt", world / "BEATs_iter3.pt")
        shutil.rmtree(world / command.text.split()[4], ignore_errors=True)
    if "--weights t.safetensors" in command.text and not (world / "t.safetensors").exists():
        make_trained(world / "t.safetensors", frontend=nf.Near())
    if "simulate recordings" in command.text:
        shutil.rmtree(world / "recordings")


def test_every_page_with_commands_is_read():
    assert len(all_shown()) > 60
    assert {"README.md", "start-engineer.md", "training.md"} <= {c.page for c in all_shown()}


def test_each_reason_has_a_command():
    for pattern in NOT_RUN:
        assert any(re.match(pattern, c.text) for c in all_shown()), pattern
    for page in PROVOKED:
        assert any(c.page == page for c in all_shown()), page


def test_a_target_that_is_shown_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in all_shown():
        if command.text.startswith("make "):
            targets = [w for w in command.text.split()[1:] if "=" not in w]
            for target in targets:
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), command


def spans(page):
    """Commands in the midst of a sentence, and the options named after them."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`nearfar ([^`]+)`", outside)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_named_in_a_sentence_exists_with_its_options(page):
    for span in spans(page):
        words = shlex.split(" ".join(span.split()).replace("…", ""))
        if words[0].startswith("-") or words[0] not in PROGRAM.commands:
            assert words[0] in ("--help", "--verbose", "--quiet", "--version"), span
            continue
        known = options_of(words) | {"--help", "--verbose", "--quiet"}
        for word in words[1:]:
            if word.startswith("-"):
                assert word.split("=")[0] in known, span


def test_commands_are_found_where_people_see_them():
    text = (
        "```\n$ nearfar fit a # why\nprinted\n"
        "for seed in 0 1; do\n  nearfar fit b$seed\ndone\n```\n"
        "nearfar in a sentence\n\n    nearfar score c\n    make demo\n\n* point\n    nearfar no\n"
        "```python\nnearfar = 1\n```\n"
    )
    assert [command.text for command in shown(text)] == [
        "nearfar fit a", "nearfar fit b0", "nearfar fit b1", "nearfar score c", "make demo",
    ]  # fmt: skip


def test_the_hub_is_asked_by_no_command(world):
    assert os.path.isdir(HUB)  # a folder of that name goes before the hub
