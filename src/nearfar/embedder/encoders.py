"""Which encoder a file of weights is: one table, and the one place that asks it.

A folder's config.json, or the config in a safetensors file's own metadata, says `model_type`. Who
adds an encoder adds a row; presets and commands then take its weights wherever they take others'.
"""

from __future__ import annotations

import importlib
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from nearfar.errors import NearfarError
from nearfar.parts.data import REFUSALS, from_data

CONFIG = "config.json"
RECORD = "nearfar"  # in a file's metadata: how it was trained (`nearfar.embedder.record`)
_TENSORS = "model.safetensors"
_LONGEST = 100_000_000  # bytes of a header, as the format says; more is no header
_PICKLED = 16_000_000  # bytes of a checkpoint that hold all names; the base size has 50,000


@dataclass(frozen=True)
class EncoderKind:
    """One kind of encoder: where its code lies, and how its files are told from others.

    The package has the class, and the modules `weights` (open_weights), `convert` (convert) and
    `facts` (facts, damaged_tensor), which the commands `weights convert` and `weights check` call;
    one that `nearfar.embedder.infer` runs also `model` (load), `fast` (packed) and `ragged`
    (together).

    Args:
        encoder: the class's name; the package hands it on.
        package: where it lies.
        signature: how a published file of its own format begins; b"" for a PyTorch checkpoint.
        mark: how the name of a tensor ends that only it has.
        ending: of the names of its files, by which one that is damaged is known.

    >>> KINDS["eat"].of("a folder").weights
    'a folder'
    """

    encoder: str
    package: str
    signature: bytes = b""
    mark: str = ""
    ending: str = ""

    def of(self, weights: str) -> Any:
        """The embedder, with its settings as they come."""
        return getattr(importlib.import_module(self.package), self.encoder)(weights)

    def module(self, name: str) -> ModuleType:
        """One of the modules that every kind has."""
        return importlib.import_module(f"{self.package}.{name}")


# By `model_type`. Nothing is imported because a file says so: it only picks a row.
KINDS: Mapping[str, EncoderKind] = MappingProxyType(
    {
        "eat": EncoderKind("EAT", "nearfar.embedder.eat", mark=".attn.qkv.weight"),
        "beats": EncoderKind(
            "BEATs", "nearfar.embedder.beats", mark=".self_attn.grep_linear.weight"
        ),
        "yamnet": EncoderKind(
            "YAMNet",
            "nearfar.embedder.yamnet",
            signature=b"\x89HDF\r\n\x1a\n",
            mark="layer2.depthwise_conv.depthwise_kernel",
            ending=".h5",
        ),
    }
)
FIRST = "eat"  # of weights that do not say, as those published for it, and of those yet to be found


def kind_of(reference: str | os.PathLike[str]) -> str:
    """What weights are by the names of their tensors, or as their config says; nothing is loaded.

    Only headers are read, and nothing is downloaded. Weights that are not there, or cannot be read,
    or are of a kind that nobody knows are called `FIRST`: opening them says what is wrong, when
    they are needed.

    >>> kind_of("owner/name@main")
    'eat'
    """
    path = Path(os.path.expanduser(os.fspath(reference)))
    # Tensors first: a config that is another's, or damaged, is then told by who knows better.
    for asked in (_by_tensors, _by_config, _by_content):
        try:
            kind = asked(path)
        except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
            continue
        if isinstance(kind, str) and kind in KINDS:
            return kind
    return FIRST


def encoder_of(weights: str | os.PathLike[str]) -> Any:
    """The embedder whose weights these are.

    >>> encoder_of("a folder that is not there").layer is None
    True
    """
    return KINDS[kind_of(weights)].of(os.fspath(weights))


def trained_behind(weights: str | os.PathLike[str]) -> Any:
    """The front end that an encoder was trained behind; None of one that was not trained here.

    It is what the file says of its training, and all that is read. A record that is damaged, or
    names a part that is not ours, gives None: a fit says what is wrong with it.

    >>> trained_behind("owner/name@main") is None
    True
    """
    try:
        path = Path(os.path.expanduser(os.fspath(weights)))
        file = path / _TENSORS if path.is_dir() else path
        said = (_header(file).get("__metadata__") or {}).get(RECORD)
        frontend = None if said is None else json.loads(said)["frontend"]
        return None if frontend is None else from_data(frontend)
    except (*REFUSALS, OSError, RecursionError, NearfarError):
        return None


def kind_of_checkpoint(path: Path) -> str:
    """What a file to be converted is, by its first bytes and its tensors' names.

    The names stand in a pickle as they are: they are looked for as bytes, and nothing is loaded.
    A file that is not there, or of none of these, is what its name says, or else `FIRST`:
    converting it says what is wrong.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(_PICKLED)
        if zipfile.is_zipfile(path):
            begin = _pickle(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        begin = b""
    for name, kind in KINDS.items():
        by_start = kind.signature and begin.startswith(kind.signature)
        if by_start or (kind.mark and kind.mark.encode() in begin):
            return name
    # One that is cut off or something else says so in the words of the encoder it is meant for.
    meant = [name for name, kind in KINDS.items() if kind.ending and path.suffix == kind.ending]
    return meant[0] if meant else FIRST


def kind_of_tensors(names: Iterable[str]) -> str | None:
    """What a file is by its tensors' names; None where no name tells.

    >>> kind_of_tensors(["blocks.0.attn.qkv.weight"]), kind_of_tensors(["head.bias"])
    ('eat', None)
    """
    marks = {row.mark: kind for kind, row in KINDS.items() if row.mark}
    return next((k for name in names for mark, k in marks.items() if name.endswith(mark)), None)


def _pickle(path: Path) -> bytes:
    """The names and places of a PyTorch file's tensors; their numbers lie beside it in the zip."""
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if not inside:
            return b""
        with archive.open(inside[0]) as file:
            return file.read(_PICKLED)


def _by_tensors(path: Path) -> Any:
    return kind_of_tensors(_header(path / _TENSORS if path.is_dir() else path))


def _by_config(path: Path) -> Any:
    """What a folder's or a file's config says."""
    if path.is_file():
        text = (_header(path).get("__metadata__") or {}).get("config")
        if text is not None:
            return json.loads(text).get("model_type")
    beside = (path if path.is_dir() else path.parent) / CONFIG
    return json.loads(beside.read_text(encoding="utf-8-sig")).get("model_type")


def _by_content(path: Path) -> Any:
    """A published file that was not converted yet, or a folder that has one."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    own = [(name, kind) for name, kind in KINDS.items() if kind.ending]
    return next((name for f in files for name, kind in own if f.suffix == kind.ending), None)


def _header(path: Path) -> Any:
    """The header of a safetensors file, by the format's first words: it is opened later."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        # A pickle's first bytes are a length of exabytes.
        head = file.read(length) if length <= _LONGEST else b"{}"
    return json.loads(head) if head[:1] == b"{" else {}
