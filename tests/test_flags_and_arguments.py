"""A way out is a flag in a shell and an argument in Python: each is told in its own words."""

import ast
import inspect
import pickle
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.house import ROOT, home, modules, tree

import nearfar as nf
from nearfar import errors
from nearfar.cli import main as cli
from nearfar.clips.download import download
from nearfar.detector.edge import departure
from nearfar.errors import FLAGS, NearfarError, Once, in_python, in_shell, warn
from nearfar.reproduce.run import reproduce
from nearfar.runtime.runtime import Runtime
from nearfar.study.assessment import of_data, of_files
from nearfar.study.lomo import study

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"\bnearfar [a-z]+ [^,;()]*")
# Whose messages no call in Python meets: they are the command line's own, or lines to be typed.
SHELL_ALONE = {"cli", "doctor"}
SWITCHES = [name for name, form in FLAGS.items() if not form]


def texts(path):
    """String literals of a file that are no docstrings; a value within one is an X."""
    module = tree(path)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    inner = set()
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(p.value if isinstance(p, ast.Constant) else "10" for p in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in docs | inner:
            yield str(node.value)


FOUND = sorted(
    {
        (str(path), text)
        for path in modules()
        if home(path) not in SHELL_ALONE and path.name != "errors.py"
        if "--" in (ROOT / path).read_text(encoding="utf-8")  # the others need not be parsed
        for text in texts(path)
        if FLAG.search(COMMAND.sub("", text))
    }
)


def test_there_are_messages_with_flags():
    assert len(FOUND) > 15
    assert (ROOT / FOUND[0][0]).is_file()


@pytest.mark.parametrize(("path", "text"), FOUND, ids=range(len(FOUND)))
def test_no_flag_is_left_in_python_and_every_one_comes_back_in_a_shell(path, text):
    said = in_python(text)
    assert not FLAG.search(COMMAND.sub("", said)), f"{path}: {said}"
    assert in_shell(said) == text
    assert in_python(said) == said


@pytest.mark.parametrize("name", FLAGS)
def test_every_argument_is_one_of_something_public(name):
    takers = [
        nf.fit, nf.load, nf.finetune, nf.Detector.score, nf.Detector.explain, nf.Detector.learn,
        nf.Clips.open,
        nf.Clip, nf.Detector.with_false_alarm_rate, Runtime, of_data, of_files, study, reproduce,
        download, departure.export,
    ]  # fmt: skip
    known = {p for taker in takers for p in inspect.signature(taker).parameters}
    coming = {"config", "near", "far", "replace", "exclude_suspects", "false_alarm_rate"}
    assert name in known | coming


@given(st.lists(st.sampled_from([*SWITCHES, "a file", "(why)", "x.wav"]), max_size=5))
def test_any_message_of_switches_survives_the_way_there_and_back(words):
    text = ", ".join(f"--{w.replace('_', '-')}" if w in SWITCHES else w for w in words)
    assert in_shell(in_python(text)) == text
    assert "--" not in in_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "a--resume.wav: no such file", "x/--skip-bad.wav", "nearfar fit d --skip-bad -o x",
        "Clip(path='a', machine='--fan')", "System(weights=(1.0,))", "--workers-of-theirs",
    ],
)  # fmt: skip
def test_what_is_no_advice_of_ours_is_left_alone(text):
    assert in_shell(in_python(text)) == text
    assert in_shell(text) == text


def test_an_error_speaks_python_and_the_command_line_speaks_flags(monkeypatch, run):
    error = errors.AudioError("a.wav: too short; leave it out with --skip-bad")
    assert str(error) == "a.wav: too short; leave it out with skip_bad=True"
    again = pickle.loads(pickle.dumps(error))  # as workers send it
    assert (type(again), str(again)) == (type(error), str(error))

    def fails():
        warn("cut it with --clip-seconds 10")
        raise error

    monkeypatch.setattr(cli, "app", fails)
    # Of a command that can leave clips out, whichever ran before in this process.
    monkeypatch.setattr(cli.voice, "options", frozenset(["--skip-bad"]))
    code, _, err = run()
    assert code == 2
    assert err.splitlines() == [
        "warning: cut it with --clip-seconds 10",
        "error: a.wav: too short; leave it out with --skip-bad",
    ]


def test_an_error_of_the_file_system_keeps_its_words_too():
    error = pickle.loads(pickle.dumps(errors.StorageError("there; go on with --resume")))
    assert str(error) == "there; go on with resume=True"
    assert isinstance(error, NearfarError)


def test_warnings_speak_python():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn("say --machine NAME")
        Once().warn(("fan",), "take --device cpu")
    assert [str(w.message) for w in said] == ["say machine=NAME", "take Runtime(device='cpu')"]
