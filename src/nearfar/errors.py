"""Everything nearfar raises on purpose.

    NearfarError
    ├── AudioError      a sound that cannot be used: unreadable, mono, silent, too short, not finite
    ├── DatasetError    clips that do not fit together: too few, no labels, unknown machine
    ├── WeightsError    encoder weights that are missing or not what they claim to be
    ├── SettingError    a setting that does not exist or has an impossible value
    ├── FormatError     a file of ours or of the official kind that is not as it must be
    ├── StorageError    a file or folder that cannot be written
    └── NetworkError    a server that cannot be reached, or does not give what it lists

Each message is one line: what, which value, the way out. Anything else that escapes is a bug.
`NearfarWarning` is the category of every warning we give.

A way out is a flag in a shell and an argument in Python. Whoever writes a message may use either:
errors and warnings are kept in Python's words, and the command line turns them into its own.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from nearfar.text import alike

# Flags that an argument stands for, by what a value of it looks like in a message; "" is a switch.
_NAME, _COUNT = r"[A-Z][A-Z_]+", r"\d[\d.]*"
FLAGS = {
    "skip_bad": "", "any_frontend": "", "salvage": "", "replace": "", "exclude_suspects": "",
    "accept_suspects": "",
    "resume": "", "any_data": "", "transductive": "", "apart": "",
    "machine": _NAME, "section": _NAME, "weights": _NAME, "rule": _NAME,
    "truth": _NAME, "config": _NAME, "frozen_weights": _NAME, "detector": _NAME, "vary": _NAME,
    "seeds": _COUNT, "near": _COUNT, "far": _COUNT, "clip_seconds": _COUNT, "normals": _NAME,
    "workers": _COUNT, "batch_size": _COUNT, "device": r"cpu|cuda(?::\d+)?|mps",
    "pair": r"'NEAR=[^']*'", "order": r"near-far|far-near", "false_alarm_rate": _COUNT,
    "server": _NAME, "split": _NAME, "engine": r"local|ray(?:://[^ ,;]+)?",
    "cache": _NAME, "longest": _COUNT,
}  # fmt: skip
_RENAMED = {"order": "channel-order"}  # whose flag says more than the argument
_RUNTIME = ("workers", "batch_size", "device")  # fields of a Runtime
# A whole command is the same in both languages, and stays as it is.
_COMMAND = re.compile(r"(\bnearfar [a-z]+(?: [^,;()]*)?)")

# Extra → its packages.
EXTRAS = {
    "eat": ("torch",), "train": ("accelerate",), "report": ("matplotlib", "jinja2"),
    "convert": ("h5py",), "download": ("httpx",), "parquet": ("pyarrow",),
    "plant": ("watchdog", "sqlalchemy", "paho", "prometheus_client"), "live": ("sounddevice",),
    "postgres": ("psycopg",), "page": ("fastapi", "uvicorn", "python_multipart"),
    "fleet": ("ray",), "remote": ("fsspec",), "edge": ("onnxruntime",),
    "export": ("onnx",),
}  # fmt: skip
LONGEST = 500  # characters of a message: more is not read, and cut by whoever passes it on


def _flag(name: str) -> str:
    return "--" + _RENAMED.get(name, name.replace("_", "-"))


def _argument(name: str, value: str | None) -> str:
    if not FLAGS[name]:
        return f"{name}=True"
    quoted = f"'{value}'" if value and name in ("device", "order") else value or "…"
    return f"Runtime({name}={quoted})" if name in _RUNTIME else f"{name}={quoted}"


def _outside_commands(text: str, change: Callable[[str], str]) -> str:
    pieces = _COMMAND.split(text)  # every second one is a command
    return "".join(p if n % 2 else change(p) for n, p in enumerate(pieces))


def in_python(text: str) -> str:
    """A message with flags as Python says them; idempotent, and undone by `in_shell`.

    >>> in_python("leave it out with --skip-bad, or cut with --clip-seconds 10")
    'leave it out with skip_bad=True, or cut with clip_seconds=10'
    >>> in_python("--set calibration.tail=linear"), in_python("take --device cpu")
    ("with_setting(…, 'calibration.tail=linear')", "take Runtime(device='cpu')")
    """
    return _outside_commands(text, _to_python)


def _to_python(text: str) -> str:
    for name, form in FLAGS.items():
        # Not within a longer word: a file may be called a--resume.wav.
        value = rf"(?: ({form})(?![\w-]))?" if form else "()"
        text = re.sub(
            rf"(?<![\w-]){_flag(name)}(?![\w-]){value}",
            lambda found, name=name: _argument(name, found[1]),  # type: ignore[misc]
            text,
        )
    text = re.sub(r"(?<![\w-])--part file\.py:(\w+)", r"load(dir, types=(\1,))", text)
    text = re.sub(r"(?<![\w-])-s (logmel|s4)\b", r"nf.\1()", text)
    return re.sub(r"(?<![\w-])--set ([\w.]+=[\w.\[\]]*\w\]?)", r"with_setting(…, '\1')", text)


def in_shell(text: str) -> str:
    """A message in Python's words as the command line says it.

    >>> in_shell("leave it out with skip_bad=True, or cut with clip_seconds=10")
    'leave it out with --skip-bad, or cut with --clip-seconds 10'
    >>> in_shell(in_python("say --weights, or take --device cpu")), in_shell("machine='a'")
    ('say --weights, or take --device cpu', "machine='a'")
    """
    return _outside_commands(text, _to_shell)


def _shown(value: str | None) -> str:
    return "" if value in (None, "…") else f" {value}"


def _begun(found: re.Match[str]) -> str:
    return _flag(found[1])


def _to_shell(text: str) -> str:
    for name, form in FLAGS.items():
        if not form:
            text = re.sub(rf"(?<![\w.(]){name}=True\b", _flag(name), text)
            continue
        # Only what a message of ours looks like: a repr within it stays Python.
        pattern = rf"(?<![\w.(]){name}='?((?:{form})(?![\w-])|…)'?|(?<=\(){name}=…"
        if name in _RUNTIME:
            pattern = rf"Runtime\({name}='?(…|(?:{form}))'?\)"
        text = re.sub(
            pattern,
            lambda found, name=name: _flag(name) + _shown(found[1]),  # type: ignore[misc]
            text,
        )
    # A refused value is told by its argument's name, at the begin of a line.
    text = re.sub(r"^(clip_seconds|false_alarm_rate|batch_size|shard)(?= )", _begun, text)
    text = re.sub(r"\bnf\.(logmel|s4)\(\)", r"-s \1", text)
    text = re.sub(r"load\(dir, types=\((\w+),\)\)", r"--part file.py:\1", text)
    return re.sub(r"with_setting\(…, '([^']*)'\)", r"--set \1", text)


def visible(text: str) -> str:
    r"""Text whose characters all show: line breaks, escapes and what is no text are spelled out.

    >>> visible("a" + chr(27) + "[31m.wav")
    'a\\x1b[31m.wav'
    """
    if text.isprintable():  # nearly always, and at once
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable(message: str) -> str:
    r"""A message as one line of at most `LONGEST` characters, whatever a file is called.

    Names may hold line breaks, escapes that repaint a terminal, and bytes that are no text.

    >>> printable("a" + chr(10) + "b" + chr(27) + "[31m.wav: no such file")
    'a\\nb\\x1b[31m.wav: no such file'
    >>> cut = printable("a.wav: " + "x" * 1000 + "; record it again")
    >>> len(cut), cut.endswith("; record it again")
    (500, True)
    """
    # A line is read by `grep` and by cron (law 6). As tables have it, not with a blank for a line
    # break: that may be another file's name.
    shown = visible(message)
    if len(shown) <= LONGEST:
        return shown
    tail = LONGEST // 3  # the way out stands at the end
    return f"{shown[: LONGEST - tail - 3]} … {shown[-tail:]}"


class NearfarError(Exception):
    """Root of everything a user can cause; its text is in Python's words, see `in_shell`.

    One that sums up several (see `several`) has each of them in `faults`, in full.

    >>> import nearfar as nf
    >>> try:
    ...     nf.Clips.open("gone")
    ... except nf.NearfarError as error:
    ...     print(error)
    gone: no such file or folder
    """

    faults: tuple[str, ...] = ()  # a line each; empty where the error is one fault itself

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(in_python(a)) if isinstance(a, str) else a for a in args))


class AudioError(NearfarError, ValueError):
    """A sound that cannot be used.

    >>> from nearfar.sound.audio import duration
    >>> duration("gone.wav")
    Traceback (most recent call last):
    nearfar.errors.AudioError: gone.wav: no such file
    """


class DatasetError(NearfarError, ValueError):
    """Clips that do not fit together or to the question asked.

    >>> from nearfar.clips import Clip
    >>> Clip("hum.wav", label="loud")
    Traceback (most recent call last):
    nearfar.errors.DatasetError: hum.wav: label 'loud'; it is normal or anomaly
    """


class WeightsError(NearfarError, ValueError):
    """Encoder weights that are missing or not what they claim to be.

    >>> from nearfar.embedder.eat.weights import open_weights
    >>> open_weights("no/such/folder/of/weights")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nearfar.errors.WeightsError: 'no/such/folder/of/weights': no such folder or file...
    """


class SettingError(NearfarError, ValueError):
    """A setting that does not exist or has an impossible value.

    >>> from nearfar.frontend import CoherenceMask
    >>> CoherenceMask(floor=2)
    Traceback (most recent call last):
    nearfar.errors.SettingError: floor is 2; it is a number from 0 to 1
    """


class FormatError(NearfarError, ValueError):
    """A file of ours, or of the official kind, that is not as it must be.

    >>> from nearfar.scores.truth import read_truth
    >>> read_truth("gone.csv")
    Traceback (most recent call last):
    nearfar.errors.FormatError: gone.csv: cannot be read (No such file or directory)
    """


class StorageError(NearfarError, OSError):
    """A file or folder that cannot be written.

    >>> from pathlib import Path
    >>> from nearfar.files import check_output
    >>> check_output(Path("."), endings=(".csv",))  # an hour before it would be written
    Traceback (most recent call last):
    nearfar.errors.StorageError: .: is a folder; choose another place
    """


class NetworkError(NearfarError, OSError):
    """A server that cannot be reached, refuses, or does not give what it lists.

    >>> from nearfar.clips.download.fetching import Broken, Tries
    >>> tries = Tries("dev_fan.zip", print)
    >>> tries.failed(Broken("the server is busy", after=3600))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nearfar.errors.NetworkError: dev_fan.zip: the server is busy; it asks to wait 3600 s. ...
    """


class NearfarWarning(UserWarning):
    """Something works but deserves a look.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", NearfarWarning)  # who has looked may say so
    ...     warn("fan: 12 normal clips are few")
    """

    about: str = ""  # the file's name in the text, as printed, if it is of one file of many


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message about an unknown name: a guess, then what exists.

    >>> did_you_mean("shrinkge", ["shrinkage", "seed"])
    "did you mean 'shrinkage'? It has: seed, shrinkage"
    >>> did_you_mean("x", ["shrinkage"])
    'it has: shrinkage'
    """
    names = sorted(known)
    # One guess: the listing behind it has the others.
    guess = difflib.get_close_matches(name, names, n=1)
    listing = ", ".join(names)
    return f"did you mean {guess[0]!r}? It has: {listing}" if guess else f"it has: {listing}"


def several(faults: Sequence[NearfarError], summary: str) -> NearfarError:
    """One error for many: the only one itself, or a line of at most `LONGEST` that has all.

    Args:
        faults: at least one.
        summary: what they are together, and the way out; the first follows it.

    >>> both = several([AudioError("a.wav: empty"), AudioError("b.wav: mono")], "2 of 9 clips")
    >>> both, both.faults
    (AudioError('2 of 9 clips: a.wav: empty'), ('a.wav: empty', 'b.wav: mono'))
    """
    if len(faults) == 1:
        return faults[0]
    kinds = {type(fault) for fault in faults}
    # One cause of many is all that there is to say; of several the first stands for them.
    causes = alike(map(str, faults))
    line = f"{summary}: {causes[0] if len(causes) == 1 else faults[0]}"
    # Of one kind they stay that: who catches an AudioError of one clip catches two as well.
    error = (kinds.pop() if len(kinds) == 1 else NearfarError)(line)
    error.faults = tuple(map(str, faults))
    return error


def unusable(faults: Sequence[NearfarError], total: int) -> NearfarError:
    """One error for all clips that cannot be used, with a way out that leaves something.

    Args:
        faults: at least one, a clip each.
        total: how many clips there are.

    >>> unusable([AudioError("a.wav: silent; check it or leave the clip out with --skip-bad")], 1)
    AudioError('a.wav: silent; check it')
    """
    summary = f"{len(faults)} of {total} clips cannot be used"
    if len(faults) < total:
        return several(faults, f"{summary}; leave them out with --skip-bad")
    return several([type(fault)(once_left_out(str(fault))) for fault in faults], summary)


def once_left_out(reason: str) -> str:
    """Why a clip was left out, without the advice to leave it out.

    >>> once_left_out("a.wav: silent; check it or leave the clip out with skip_bad=True")
    'a.wav: silent; check it'
    """
    advice = r"[;,]?(?: or)? leave \w+(?: clip)? out with (?:--skip-bad|skip_bad=True)$"
    return re.sub(advice, "", reason)


def warn(message: str, about: str = "") -> None:
    """Say something that deserves a look.

    Args:
        message: one line.
        about: the file's name in it, where other files may give the same: no program could tell
            it from the words around it, whatever the file is called.
    """
    said = NearfarWarning(printable(in_python(message)))
    said.about = printable(in_python(about))
    give(said, 3)  # the stack level is where the one who warns was called


def give(said: NearfarWarning, stack_level: int = 1) -> None:
    """Give a warning to whoever holds those of this thread, or to Python.

    Args:
        said: the warning.
        stack_level: as `warnings.warn` counts it, from whoever calls this.
    """
    if (taker := _taker.get()) is not None:
        taker(said)
    else:
        warnings.warn(said, stacklevel=stack_level + 1)


Taker = Callable[[NearfarWarning], object]
_taker: ContextVar[Taker | None] = ContextVar("taker", default=None)


@contextmanager
def passing_warnings(taker: Taker) -> Iterator[None]:
    """Give our warnings within, those of this thread alone, to a function and to nobody else.

    `warnings.catch_warnings` changes what a whole process does: where two threads use it at once,
    as FastAPI does while it begins, one undoes what the other set.

    Args:
        taker: is called with each.

    >>> with passing_warnings(print):
    ...     warn("fan: 12 normal clips are few")
    fan: 12 normal clips are few
    """
    before = _taker.set(taker)
    try:
        yield
    finally:
        _taker.reset(before)


@contextmanager
def hold_warnings() -> Iterator[list[NearfarWarning]]:
    """Our warnings within, those of this thread alone; nobody else is given them.

    >>> with hold_warnings() as held:
    ...     warn("fan: 12 normal clips are few")
    >>> held
    [NearfarWarning('fan: 12 normal clips are few')]
    """
    held: list[NearfarWarning] = []
    with passing_warnings(held.append):
        yield held


def name_in(message: str, *names: object) -> str:
    """The name that a message begins with, as it is printed; "" if it is none of these.

    >>> name_in("Rec 01.wav: silent", "hall/Rec 01.wav", "Rec 01.wav")
    'Rec 01.wav'
    """
    printed = (printable(str(name)) for name in names)
    return next((name for name in printed if message.startswith(f"{name}: ")), "")


class Once:
    """Warnings of jobs that do the same thing: what one has said, later ones do not repeat.

    Within a job nothing is held back, so a job alone says all that it would say without this.

    >>> import warnings
    >>> once = Once()
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     for apart in (5.1, 5.2):
    ...         once.begin()
    ...         once.warn(("fan", "shift"), f"fan: the domains lie {apart} apart")
    >>> [str(warning.message) for warning in said]
    ['fan: the domains lie 5.1 apart']
    """

    def __init__(self) -> None:
        self._earlier: set[tuple[str, ...]] = set()
        self._now: set[tuple[str, ...]] = set()

    def begin(self) -> None:
        """From here on it is another job."""
        self._earlier |= self._now

    def warn(self, matter: tuple[str, ...], message: str) -> None:
        """Say something that deserves a look, unless an earlier job has said it."""
        self._now.add(matter)
        if matter not in self._earlier:
            # As in `warn`. Python's own "once" goes by text, and ours have changing numbers in it.
            give(NearfarWarning(printable(in_python(message))), 3)


def first_line(error: object) -> str:
    """What an error says, its first line.

    >>> first_line(ValueError("no such file" + chr(10) + "and more"))
    'no such file'
    """
    return next(iter(str(error).splitlines()), "")  # an error may have no text at all


@contextmanager
def needs(extra: str, what: str, kind: type[NearfarError] = NearfarError) -> Iterator[None]:
    """Say what to install where an import of the body fails.

    Args:
        extra: of nearfar, one of `EXTRAS`.
        what: cannot be done without it, as in "EAT needs PyTorch".
        kind: of the error.

    Raises:
        NearfarError: of that kind; a package of the extra is not installed, or cannot be loaded.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        # By name: an installed package that lacks one of its own is not mended by our extra.
        if error.name not in EXTRAS[extra]:
            raise  # a bug of ours, or of the package
        raise kind(
            f"{what}; pip install 'nearfar[{extra}]', or '.[{extra}]' in its folder"
        ) from None
    except (ImportError, OSError) as error:
        # An installed package that is damaged, or lacks a library of the system's, is no bug.
        if isinstance(error, NearfarError) or (getattr(error, "name", "") or "").startswith(
            "nearfar"
        ):
            raise
        raise kind(
            f"{what}, and what is installed cannot be loaded ({printable(first_line(error))[:200]})"
            "; nearfar doctor says what to type"
        ) from None
