"""What a process of a cluster does with a job, from the door on: is it one of us, then the work.

Ray sends `entrance` by value, so that it runs where nearfar is another one, or none at all.
"""

from __future__ import annotations

import hashlib
import os
import platform
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from nearfar.errors import NearfarError
from nearfar.parts.own import user_module
from nearfar.runtime.memory import keep_freed
from nearfar.runtime.workers import recorded
from nearfar.version import __version__

Stamp = dict[str, str]  # what has to be the same on every node, by name
Reply = tuple[str, str, Any]  # what it is, the node it comes from, and what came of the job
DONE, RAISED, ABSENT, OTHER = "done", "raised", "absent", "other"


@cache
def stamp() -> Stamp:
    """What this process is, as far as its results depend on it.

    >>> sorted(stamp())
    ['Python', 'nearfar', 'numpy']
    """
    import numpy as np

    root = Path(__file__).resolve().parents[1]
    # By content and place: a checkout between two releases has the number of the last.
    sources = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda one: one.relative_to(root).as_posix()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        sources.update(f"{path.relative_to(root).as_posix()}|{len(content)}|".encode() + content)
    return {
        "nearfar": f"{__version__} ({sources.hexdigest()[:8]})",
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
    }


@cache
def kernels() -> str:
    """What multiplies matrices here: the same bits come of the same kernels only.

    >>> bool(kernels())
    True
    """
    import numpy as np
    from threadpoolctl import ThreadpoolController

    np.zeros((2, 2)) @ np.zeros((2, 2))  # its library is loaded now, if it was not
    known = ThreadpoolController().select(user_api="blas").info()
    found = {str(one.get("architecture") or one["internal_api"]) for one in known}
    return " ".join([platform.machine(), *sorted(found)])


def entrance() -> Callable[[Stamp, bytes], Reply]:
    """The door of a process: a function that Ray sends whole, as it is defined in another."""

    def enter(ours: Stamp, content: bytes) -> Reply:
        import ray

        util: Any = ray.util
        node = util.get_node_ip_address()
        try:
            from nearfar.runtime import cluster_entrance
        except ImportError as error:
            return "absent", node, str(error)
        theirs = cluster_entrance.stamp()
        if theirs != ours:
            return "other", node, theirs
        kind, result = cluster_entrance.did(content)
        return kind, node, result

    return enter


def did(content: bytes) -> tuple[str, Any]:
    """Do a job that was packed by `packed`; what is to be told of it.

    Returns:
        "done" and bytes of its outcome and this process's kernels, or "raised" and bytes of the
        error: bytes, for arrays that Ray hands over lie in its store, and cannot be written to.
    """
    sent = _sent()
    place, files, threads, within = sent.loads(content)
    try:
        keep_freed()
        with suppress(OSError):  # not there: what is missing is said by name
            os.chdir(place)
        for file in files:
            user_module(Path(file))
        if threads:
            _use(threads)
        task, job = sent.loads(within)  # only now: it may be of a person's own module
        return DONE, sent.dumps((recorded(task, job), kernels()))
    except Exception as error:
        if not isinstance(error, NearfarError):
            error.add_note(f"On the cluster: {traceback.format_exc()}")
        return RAISED, sent.dumps(error)


def packed(task: Callable[[Any], Any], job: Any, files: tuple[str, ...], threads: int) -> bytes:
    """A job as `did` takes it.

    Args:
        task: what is to be done.
        job: with what.
        files: of a person's own parts.
        threads: of PyTorch, where encoders run; 0 leaves them alone.
    """
    sent = _sent()
    # Paths may be relative, and a node's processes begin anywhere.
    content: bytes = sent.dumps((os.getcwd(), files, threads, sent.dumps((task, job))))
    return content


def _use(threads: int) -> None:
    """Have PyTorch take as many threads as it does where the jobs come from: sums depend on it."""
    try:
        import torch
    except ImportError:  # an encoder that needs none
        return
    torch.set_num_threads(threads)


def _sent() -> Any:
    """Ray's own way, for what is on its way only; it takes a script's own functions along, too."""
    from ray import cloudpickle

    return cloudpickle
