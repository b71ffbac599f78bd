"""A person's own parts: their Python file, run once, here and in worker processes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from nearfar.errors import SettingError, did_you_mean, first_line

USER_PREFIX = "nearfar_user_"  # name of a module made from a person's own file


def user_module(path: Path) -> ModuleType:
    """Run a person's own Python file as a module, once.

    Raises:
        SettingError: no such file, or it fails.
    """
    path = path.resolve()
    # By its place: two files of one name are two modules, one file by two names is one. Worker
    # processes give it the same name, so that parts can be sent to them.
    name = USER_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SettingError(f"{path}: no such Python file; give file.py:name")
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


def user_files() -> tuple[str, ...]:
    """Files run by `user_module` so far, for worker processes to run too."""
    return tuple(
        str(m.__file__) for n, m in sorted(sys.modules.items()) if n.startswith(USER_PREFIX)
    )
