"""A person's own parts: their Python file, run once, here and in worker processes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SOURCE_SUFFIXES, SourceFileLoader
from inspect import getattr_static
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from nearfar.errors import NearfarError, SettingError, did_you_mean, first_line

_LONGEST = 80  # characters of a part in a message
USER_PREFIX = "nearfar_user_"  # name of a module made from a person's own file


def user_module(path: Path) -> ModuleType:
    """Run a person's own Python file as a module, once.

    Raises:
        SettingError: no such file, or it fails.
    """
    given, path = path, path.resolve()
    # By its place: two files of one name are two modules, one file by two names is one. Worker
    # processes give it the same name, so that parts can be sent to them.
    name = USER_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, str(path)))
    if not path.is_file() or path.suffix not in SOURCE_SUFFIXES or spec is None or not spec.loader:
        raise SettingError(f"{given}: no such Python file; give file.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]  # half a module must not be found by the next who asks
        if isinstance(error, Exception | SystemExit):
            raise SettingError(f"{path}: {type(error).__name__}: {first_line(error)}") from error
        raise
    return module


class _Uncached(SourceFileLoader):
    """Reads a file as it is now, and writes nothing beside it.

    Compiled code is told to be a file's own by its size and the second it was written in: one that
    is mended at once would be what it was.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def from_file(reference: str) -> Any:
    """What `file.py:name` names: a system, a function that makes one, a class.

    Raises:
        SettingError: no such file or name.
    """
    file, _, name = reference.rpartition(":")  # the last one: C:\parts.py:mine
    module = user_module(Path(file))
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise SettingError(f"{file} has no {name!r}; {did_you_mean(name, public)}")
    return getattr(module, name)


def guarded(part: Any, work: Callable[..., Any], *args: Any, kind: str, **named: Any) -> Any:
    """What a part of a person's own does; its failure is one line that names it.

    Args:
        part: whose work it is; a bug of ours keeps its traceback.
        work: the part itself, or a method of it.
        kind: what to mend: a front end, an embedder, a rule.

    Raises:
        SettingError: it failed.
    """
    try:
        return work(*args, **named)
    except NearfarError:
        raise
    except Exception as error:
        if type(part).__module__.split(".")[0] == "nearfar":
            raise  # whoever mends it needs to see where
        said = first_line(f"{type(error).__name__}: {error}")
        raise SettingError(f"{shown(part)} failed ({said}); mend the {kind}") from error


def shown(part: object) -> str:
    """A part in a message: its repr, which has its settings, cut where it is long.

    >>> shown(("a", 1)), shown("a" * 100)[-3:]
    ("('a', 1)", 'aa…')
    """
    text = " ".join(repr(part).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def lacking(part: object, *names: str) -> list[str]:
    """Which of these names a part has nothing by; none of them is asked for its value.

    >>> lacking((1, 2), "count", "dim")
    ['dim']
    """
    return [name for name in names if getattr_static(part, name, None) is None]


def check_contract(where: str, part: object, what: str, *names: str) -> None:
    """Refuse a part that lacks something of its contract, and say what.

    Raises:
        SettingError: a value that is no such part at all, or what it lacks.
    """
    missing = lacking(part, *names)
    # One that has none of the names is something else, not half of one.
    if len(missing) == len(names):
        raise SettingError(f"System.{where} is {shown(part)}; give {what}")
    if not callable(part):
        missing.append("a call")
    if missing:
        raise SettingError(
            f"System.{where} is {shown(part)}, which lacks {', '.join(missing)}; it has to have "
            f"{', '.join(names)} and a call, see docs/extend.md"
        )
    try:
        hash(part)
    except TypeError:  # chains are told apart by their parts
        raise SettingError(
            f"System.{where} is {shown(part)}, which cannot be hashed; make it a frozen dataclass "
            "(@dataclass(frozen=True)) whose settings are numbers, texts and tuples"
        ) from None


def user_files() -> tuple[str, ...]:
    """Files run by `user_module` so far, for worker processes to run too."""
    return tuple(
        str(m.__file__) for n, m in sorted(sys.modules.items()) if n.startswith(USER_PREFIX)
    )
