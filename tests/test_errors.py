"""What we raise: one root, a kind that Python knows too, one line, and the way out."""

import pickle
import re
import threading
import tomllib
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conftest import PATIENCE, refused
from nearfar import errors
from nearfar.errors import (
    EXTRAS,
    AudioError,
    NearfarError,
    NearfarWarning,
    Once,
    did_you_mean,
    first_line,
    give,
    hold_warnings,
    in_python,
    in_shell,
    name_in,
    needs,
    printable,
    several,
    unusable,
    warn,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NearfarError) and kind is not NearfarError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_ours_and_one_that_python_knows(kind):
    """So that `except nf.NearfarError` and the `except ValueError` of others both catch it."""
    assert issubclass(kind, ValueError) != issubclass(kind, OSError)
    assert f"{kind.__name__} " in errors.__doc__


@given(st.text(st.sampled_from("ab \n\r\v\x85\u2028"), max_size=12))
def test_the_first_line_is_one_line_and_begins_the_text(text):
    line = first_line(ValueError(text))
    assert len(line.splitlines()) <= 1
    assert text.startswith(line)


@given(st.lists(st.text("abc", min_size=1), max_size=5), st.text("abc"))
def test_every_known_name_is_listed(known, name):
    told = did_you_mean(name, known)
    assert told.endswith(", ".join(sorted(known)))
    assert told.startswith("did you mean") or told.startswith("it has")


def test_many_faults_are_one_short_line_that_has_all_of_them():
    empty, mono = AudioError("a.wav: empty"), AudioError("b.wav: mono")
    assert several([empty], "1 of 3 clips") is empty
    both = several([empty, mono], "2 of 3 clips")
    assert type(both) is AudioError
    assert (str(both), both.faults) == (
        "2 of 3 clips: a.wav: empty",
        ("a.wav: empty", "b.wav: mono"),
    )
    mixed = several([empty, errors.DatasetError("c.wav: no partner")], "2 of 3 clips")
    assert type(mixed) is NearfarError
    long = several([AudioError("x" * 2000), mono], "2 of 3 clips")
    assert len(str(long)) == errors.LONGEST
    assert len(long.faults[0]) == errors.LONGEST
    assert pickle.loads(pickle.dumps(both)).faults == both.faults  # a worker may send it
    assert NearfarError("x").faults == ()


# ---- what is missing -----------------------------------------------------------------------------


def missing(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("extra", "package"), [(extra, package) for extra in EXTRAS for package in EXTRAS[extra]]
)
def test_a_missing_package_is_told_with_what_installs_it(extra, package):
    kind = errors.WeightsError
    told = f"this cannot be done; pip install 'nearfar[{extra}]', or '.[{extra}]' in its folder"
    with (
        pytest.raises(kind, match=f"^{re.escape(told)}$"),
        needs(extra, "this cannot be done", kind),
    ):
        missing(package)


def test_any_other_missing_module_is_a_bug_and_stays_one():
    with pytest.raises(ModuleNotFoundError, match="torch_helper"), needs("eat", "EAT"):
        missing("torch_helper")


@pytest.mark.parametrize(
    "fault", [ImportError("DLL load failed\n" + "x" * 900), OSError("libgomp.so.1: no such file")]
)
def test_a_package_that_cannot_be_loaded_is_one_line_that_leads_to_the_doctor(fault):
    def broken():
        with needs("parquet", "Parquet needs pyarrow", errors.SettingError):
            raise fault

    refused(broken, "Parquet needs pyarrow", str(fault)[:15], "nearfar doctor")


def test_faults_of_our_own_modules_and_lines_for_people_pass():
    for fault in (ImportError("cannot import", name="nearfar.x"), errors.StorageError("full")):
        with pytest.raises(type(fault), match=str(fault)), needs("eat", "EAT"):
            raise fault


def test_each_extra_brings_its_packages():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    offered = project["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        for package in packages:
            # A module may be called otherwise than its package: paho is of paho-mqtt.
            plain = package.replace("_", "-")
            assert any(wanted.lower().startswith(plain) for wanted in offered[extra])


# ---- warnings ------------------------------------------------------------------------------------


def hasty():
    warn("this deserves a look")


def test_a_warning_points_at_whoever_called_the_one_who_warns():
    with pytest.warns(errors.NearfarWarning, match="deserves") as said:
        hasty()
    assert said[0].filename == __file__
    assert said[0].lineno > hasty.__code__.co_firstlineno + 1  # not its own line


def test_what_one_job_has_said_later_ones_do_not_repeat_whatever_the_words():
    once, other = Once(), Once()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for number in range(3):
            once.begin()
            once.warn(("fan", "shift"), f"fan: {number}")
            once.warn(("fan", "shift"), f"fan again: {number}")  # two sections of one job
        once.warn(("pump", "shift"), "pump")
        other.warn(("fan", "shift"), "another once")
    assert [str(w.message) for w in said] == ["fan: 0", "fan again: 0", "pump", "another once"]


# ---- many clips at once --------------------------------------------------------------------------


def test_nobody_is_told_to_leave_out_all_there_is():
    reason = "{}.wav: silent; check it or leave the clip out with --skip-bad"
    faults = [AudioError(reason.format(i)) for i in range(3)]
    for total in (3, 4):
        error = unusable(faults, total)
        assert ("skip_bad" in str(error)) is (total == 4)
        assert [f"{i}.wav" in str(error) for i in range(3)] == [True] * 3
    assert "skip_bad" not in str(unusable(faults[:1], 1))


def test_the_near_only_way_out_is_a_system_in_both_languages():
    said = "use a near-only system (-s logmel)"
    assert in_python(said) == "use a near-only system (nf.logmel())"
    assert in_shell(in_python(said)) == said


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_names_never_print_as_one(one, other):
    """But for a backslash, which is not escaped itself: names on Windows are full of them."""
    assume("\\" not in one + other)
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one).isprintable()
    assert printable(printable(one)) == printable(one)


def test_a_name_in_front_is_found_as_it_is_printed():
    line = str(AudioError("a\nb.wav: silent"))
    assert line == r"a\nb.wav: silent"
    assert name_in(line, "x.wav", "a\nb.wav") == r"a\nb.wav"
    assert name_in(line, "a") == ""


def test_held_warnings_are_those_of_this_thread_alone():
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: told.append(str(message))
        with hold_warnings() as held:
            thread = threading.Thread(target=warn, args=("the watch says this",))
            thread.start()
            thread.join()
            warn("the page says this")
    assert [str(one) for one in held] == ["the page says this"]
    assert told == ["the watch says this"]


def test_warnings_are_held_whatever_other_threads_do_to_pythons():
    """Who leaves `catch_warnings` puts back all that others set since: FastAPI does, beginning."""
    begun, changed = threading.Event(), threading.Event()

    def other():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            begun.wait(PATIENCE)
        changed.set()

    thread = threading.Thread(target=other)
    thread.start()
    with hold_warnings() as held:
        warn("first")
        begun.set()
        assert changed.wait(PATIENCE)
        Once().warn(("fan",), "second")
    thread.join()
    assert [str(one) for one in held] == ["first", "second"]


def test_who_holds_within_holds_alone_and_gives_back():
    with hold_warnings() as outer:
        with suppress(KeyError), hold_warnings() as inner:
            warn("within")
            raise KeyError
        warn("behind")
    assert ([str(one) for one in inner], [str(one) for one in outer]) == (["within"], ["behind"])
    with pytest.warns(NearfarWarning, match="to Python again"):
        warn("to Python again")


def test_a_warning_that_nobody_holds_names_where_who_warns_was_called():
    def warns():
        warn("one")
        Once().warn(("fan",), "two")
        give(NearfarWarning("three"), 2)

    with pytest.warns(NearfarWarning) as caught:
        warns()
    assert [each.filename for each in caught] == [__file__] * 3
    assert len({each.lineno for each in caught}) == 1
