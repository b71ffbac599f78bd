"""Scripts in processes of their own, and folders as they left them."""

import os
import subprocess
import sys
from errno import ENOSPC

from conftest import finish


def python(code, *arguments, **options):
    """Run a script in a process of its own; warnings are errors there, too."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def output(process):
    out, err = finish(process)
    assert process.returncode == 0, err
    return out


def tree(folder):
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def no_space(*_, **__):
    raise OSError(ENOSPC, os.strerror(ENOSPC))
