"""Parts from a person's own file."""

import sys
from pathlib import Path

import pytest

import nearfar as nf
from made_parts import one_line
from nearfar.errors import NearfarError, SettingError
from nearfar.parts.data import from_data, to_data
from nearfar.parts.own import from_file, user_files, user_module

OWN = """
from dataclasses import dataclass
import nearfar as nf

@dataclass(frozen=True)
class Own:
    width: int = 3

system = nf.logmel()

def made():
    return nf.s4()

_private = 1
"""


@pytest.fixture
def own(tmp_path):
    known = set(sys.modules)
    path = tmp_path / "own.py"
    path.write_text(OWN)
    yield path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_what_a_file_holds(own):
    assert from_file(f"{own}:system") == nf.logmel()
    assert from_file(f"{own}:made")() == nf.s4()
    cls = from_file(f"{own}:Own")
    assert from_data(to_data(cls(5)), (cls,)) == cls(5)


def test_a_file_runs_once_whatever_it_is_called(own, monkeypatch):
    monkeypatch.chdir(own.parent)
    assert from_file("own.py:Own") is from_file(f"{own}:Own") is from_file("./own.py:Own")
    assert user_module(Path("own.py")) is user_module(own)
    assert [f for f in user_files() if f.startswith(str(own.parent))] == [str(own)]


def test_two_files_of_one_name_are_two_modules(own):
    other = own.parent / "other"
    other.mkdir()
    (other / "own.py").write_text("system = 1")
    assert from_file(f"{other / 'own.py'}:system") == 1
    assert from_file(f"{own}:system") == nf.logmel()
    assert {str(own), str(other / "own.py")} <= set(user_files())


def test_parts_of_a_persons_file_pickle_by_their_module(own):
    """Worker processes get them by name, after running the file, too."""
    cls = from_file(f"{own}:Own")
    assert getattr(sys.modules[cls.__module__], "Own") is cls  # noqa: B009


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{own}:sytem", r"has no 'sytem'; did you mean 'system'\?"),
        ("{own}:", r"has no ''; it has: .*system"),
        ("{folder}/no.py:system", r"no\.py: no such Python file; give file\.py:name"),
        ("{folder}:system", r"no such Python file"),
        ("{folder}/notes.txt:system", r"notes\.txt: no such Python file"),
        ("system", r"no such Python file; give file\.py:name"),
        ("", r"no such Python file"),
    ],
)
def test_files_and_names_that_are_not_there(own, reference, words):
    (own.parent / "notes.txt").write_text("system = 1")
    with pytest.raises(SettingError, match=words) as caught:
        from_file(reference.format(own=own, folder=own.parent))
    one_line(caught.value)
    assert "_private" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("raise ValueError", "ValueError: "),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import nearfar as nf; nf.KNN(())", r"SettingError: KNN\.weights is \(\)"),
        ("\0", "null bytes"),
    ],
)
def test_a_file_that_fails(tmp_path, code, words):
    path = tmp_path / "own.py"
    path.write_text(code)
    for _ in range(2):  # and is not taken for loaded afterwards
        with pytest.raises(SettingError, match=words) as caught:
            from_file(f"{path}:system")
        assert str(path) in one_line(caught.value)
    assert str(path) not in user_files()


def test_ctrl_c_in_a_file_stays_one(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        user_module(path)
    assert str(path) not in user_files()


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "own.py"
    path.write_bytes(b"\xff\xfe\xfa" * 20)
    with pytest.raises(NearfarError) as caught:
        user_module(path)
    one_line(caught.value)
