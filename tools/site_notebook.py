"""A notebook as Markdown: its words, its code, and what was printed and drawn when it was run.

The notebook in `docs/` is kept without outputs; `executed` runs it, in a folder of its own.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 1800  # s; of one cell: only one that hangs takes it
NOISE = "stderr"  # progress, which the site does not show


def stored(path: Path) -> Any:
    """The notebook as it lies there."""
    return json.loads(path.read_text(encoding="utf-8"))


def executed(path: Path) -> Any:
    """The notebook with its outputs, as nbformat has it.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails; it names cell and error.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    book = nbformat.read(path, as_version=4)
    asked = Config()
    if os.name == "posix":  # by files: no port of this machine is opened
        asked.KernelManager.transport = "ipc"
    with tempfile.TemporaryDirectory() as folder, _environment(NEARFAR_CACHE=f"{folder}/cache"):
        asked.KernelManager.ip = f"{folder}/kernel"
        where = {"metadata": {"path": folder}}
        NotebookClient(
            book, config=asked, kernel_name="python3", timeout=TIMEOUT, resources=where
        ).execute()
    return book


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """What the kernel, a process of its own, finds in its environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def markdown(book: Any) -> str:
    """The page of a notebook, run or not.

    >>> words = {"cell_type": "markdown", "source": "# A tour"}
    >>> code = {"cell_type": "code", "source": "1 + 1", "outputs": [
    ...     {"output_type": "execute_result", "data": {"text/plain": "2"}}]}
    >>> print(markdown({"cells": [words, code]}).replace("`", "'"))
    # A tour
    <BLANKLINE>
    '''python
    1 + 1
    '''
    <BLANKLINE>
    '''{ .text .output }
    2
    '''
    <BLANKLINE>
    """
    parts = []
    for cell in book["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts.append(f"```python\n{source}\n```")
            parts.extend(_shown(cell["outputs"]))
    return "\n\n".join(parts) + "\n"


def _shown(outputs: list[Any]) -> Iterator[str]:
    """What a cell gave, as a reader of the notebook sees it: pictures before words."""
    for output in outputs:
        if output["output_type"] == "stream":
            if output["name"] != NOISE:
                yield _text("".join(output["text"]))
        elif output["output_type"] in ("execute_result", "display_data"):
            data = output["data"]
            if "image/png" in data:
                png = base64.b64encode(base64.b64decode("".join(data["image/png"]))).decode()
                yield f'<img alt="drawn by the code above" src="data:image/png;base64,{png}">'
            elif "text/plain" in data:
                yield _text("".join(data["text/plain"]))


def _text(text: str) -> str:
    return f"```{{ .text .output }}\n{text.rstrip()}\n```"
