"""Weights on disk: where they are, what they claim to be, and whether they are that. No torch here.

Weights are two files, as published: `config.json` and `model.safetensors`. Nothing but the header
of the second is read here (8 bytes of length, JSON, then the numbers), and all of it is checked
before anything is loaded: a truncated file, another model, one missing tensor are one line each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from nearfar.embedder.encoders import KINDS, kind_of_tensors
from nearfar.embedder.tensorfile import BYTES, Header, Shape, header, header_bytes, unreadable
from nearfar.errors import WeightsError
from nearfar.files import sha256

CONFIG = "config.json"
TENSORS = "model.safetensors"
_FLOATS = ("F32", "F16", "BF16")  # the last two are cast to F32 when loaded
# Loading one of these may run code.
_PICKLES = (".pt", ".pth", ".bin", ".ckpt")
_PUBLISHED = (*_PICKLES, ".h5")  # what a conversion takes
# owner/name, owner/name@revision
_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w][\w./-]*)?", re.ASCII)
CONVERT = "nearfar weights convert"


class Shaped(Protocol):
    """The dimensions of an encoder, whatever it is.

    >>> from nearfar.embedder.eat.architecture import Architecture
    >>> large: Shaped = Architecture(1024, 24, 16, 4096)
    >>> large.name, len(large.shapes())
    ('EAT-large pretrained', 294)
    """

    kind: ClassVar[str]  # `model_type` of its config

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def parameters(self) -> int: ...  # noqa: D102
    def shapes(self) -> dict[str, Shape]:
        """Every tensor of the encoder, with its shape."""
        ...


A_co = TypeVar("A_co", bound=Shaped, covariant=True)


@dataclass(frozen=True)
class FileLayout:
    """How the files of one kind of encoder are written.

    Args:
        kind: `model_type` of its config.
        name: of the encoder, with its article.
        checkpoint: what they are made of, for who has no such file yet.
        example: what else may be given, such as an id on the hub; "" for nothing.
        architecture: (config, shapes) → what the file holds.
        refuse: (path, shapes) raises if it is another's file.
        prefix: of every tensor's name in the published files.

    >>> from nearfar.embedder.eat.weights import LAYOUT
    >>> LAYOUT.name, LAYOUT.prefix
    ('an EAT', 'model.')
    """

    kind: str
    name: str
    checkpoint: str
    example: str
    architecture: Callable[[Mapping[str, Any], Mapping[str, Shape]], Any]
    refuse: Callable[[Path, Iterable[str], Mapping[str, Shape]], None]
    prefix: str = ""


@dataclass(frozen=True)
class Weights(Generic[A_co]):
    """Weights that have been looked at and are whole.

    Args:
        path: the safetensors file.
        architecture: what it holds.
        metadata: free text in its header.
        prefix: of the tensors' names in the file.
        dtypes: of its tensors, in the format's names; all but F32 are to be cast to it.

    >>> from nearfar.embedder.eat.architecture import Architecture
    >>> weights = Weights(Path("model.safetensors"), Architecture(1024, 24, 16, 4096), {}, "model.")
    >>> weights.key("extra_tokens"), weights.architecture.name
    ('model.extra_tokens', 'EAT-large pretrained')
    """

    path: Path
    architecture: A_co
    metadata: dict[str, str]
    prefix: str = ""
    dtypes: tuple[str, ...] = ("F32",)

    def key(self, name: str) -> str:
        """What a tensor of the encoder is called in the file."""
        return self.prefix + name

    @property
    def sha256(self) -> str:
        """Of the file, hexadecimal; read once as long as size and time stay the same.

        Raises:
            WeightsError: the file is gone or cannot be read.
        """
        try:
            state = self.path.stat()
        except OSError as error:
            raise unreadable(self.path, error) from None
        # A gigabyte takes seconds to hash, and every cache key asks for it.
        return _sha256(self.path.absolute(), state.st_size, state.st_mtime_ns)

    @property
    def fingerprint(self) -> str:
        """What a cached embedding depends on: the file's bytes and how they are used."""
        return hashlib.sha256(f"{self.sha256} {self.architecture!r}".encode()).hexdigest()


def find_weights(reference: str | os.PathLike[str], layout: FileLayout) -> Weights[Any]:
    """Find weights and check everything but the numbers themselves.

    Args:
        reference: a folder with config.json and model.safetensors; a .safetensors file, whose
            config is in its own metadata under "config" or beside it; or the id of a model on the
            Hugging Face hub, `owner/name` or `owner/name@revision`.
        layout: of the kind that they shall be.

    Raises:
        WeightsError: not there, not whole, of another kind, or not what its config says.
    """
    text = os.fspath(reference)
    path = _expand(text)
    if path is not None and os.path.isdir(path):
        return _open_folder(path, layout)
    if path is not None and os.path.exists(path):
        return _open_file(path, layout)
    if isinstance(reference, str) and _is_hub_id(reference):
        return _open_folder(_download(reference), layout)
    raise WeightsError(
        f"{text!r}: no such folder or file, and no id on the Hugging Face hub; give a folder with "
        f"{CONFIG} and {TENSORS}{layout.example}"
    )


def file_size(
    architecture: Shaped,
    dtype: str = "F32",
    prefix: str = "",
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Bytes of a safetensors file that holds exactly this encoder, written as the published ones.

    >>> from nearfar.embedder.eat.architecture import Architecture
    >>> file_size(Architecture(1024, 24, 16, 4096), prefix="model.")
    1235498104
    """
    shapes = {prefix + name: shape for name, shape in architecture.shapes().items()}
    head = header_bytes(shapes, dtype, {"format": "pt"} if metadata is None else metadata)
    return len(head) + architecture.parameters * BYTES[dtype]


# ---- where -----------------------------------------------------------------------------------


def _expand(text: str) -> Path | None:
    """The path a reference may be; None for what cannot be one."""
    if not text.strip() or "\0" in text:  # the system calls would raise, each in its own way
        return None
    return Path(os.path.expanduser(text))


def _is_hub_id(text: str) -> bool:
    return _HUB.fullmatch(text) is not None and not text.endswith((".safetensors", *_PICKLES))


def _open_folder(folder: Path, layout: FileLayout) -> Weights[Any]:
    path = folder / TENSORS
    if not path.is_file():
        raise _nothing_in(folder, layout)
    return _open_file(path, layout)


def _nothing_in(folder: Path, layout: FileLayout) -> WeightsError:
    try:
        names = sorted(p.name for p in folder.iterdir())
    except OSError as error:
        return unreadable(folder, error)
    others = [n for n in names if n.endswith(".safetensors")]
    published = [n for n in names if n.endswith(_PUBLISHED)]
    if TENSORS in names:
        return WeightsError(
            f"{folder / TENSORS}: is no file; put the tensors of {layout.name} there"
        )
    if others:
        return WeightsError(
            f"{folder}: has {others[0]} but no {TENSORS}; name that file, or rename it"
        )
    if published:
        why = (
            "a pickle is not loaded, make one of it"
            if published[0].endswith(_PICKLES)
            else "make it"
        )
        return WeightsError(
            f"{folder}: has {published[0]} but no {TENSORS}; {why}: "
            f"{CONVERT} {folder / published[0]} OUT"
        )
    return WeightsError(
        f"{folder}: has no {TENSORS}; put {CONFIG} and {TENSORS} of {layout.name} there, or make "
        f"them of {layout.checkpoint}: {CONVERT}"
    )


@lru_cache(maxsize=32)  # asked for each batch of clips: the hub is asked once
def _download(reference: str) -> Path:
    """The folder where the hub's files are, or are put."""
    name, _, revision = reference.partition("@")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise WeightsError(
            f"{reference}: there is no such folder, and to look on the Hugging Face hub another "
            "package is needed: pip install 'nearfar[eat]', or '.[eat]' in its folder"
        ) from None
    try:
        patterns = [CONFIG, TENSORS]
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except Exception as error:  # the library raises dozens of types, of four packages
        # Its messages are paragraphs; one line is ours to give.
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(
            f"{reference}: no such folder, and not to be had from the Hugging Face hub "
            f"({type(error).__name__}: {why}); download {CONFIG} and {TENSORS} of {name} where "
            "there is a network, put both into one folder and give that folder"
        ) from None


# ---- what ------------------------------------------------------------------------------------


def _open_file(path: Path, layout: FileLayout) -> Weights[Any]:
    if path.name.endswith(_PICKLES):
        raise WeightsError(
            f"{path}: is a pickle, which is not loaded here; make safetensors of it: "
            f"{CONVERT} {path} OUT"
        )
    # A config written anew beside the same tensors is another encoder.
    return _checked(path, layout, _stamp(path), _stamp(path.parent / CONFIG))


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written anew; empty where there is none."""
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_size, state.st_mtime_ns


@lru_cache(maxsize=32)  # asked for each batch of clips: a header is read once for each stamp
def _checked(
    path: Path, layout: FileLayout, _file: tuple[int, ...], _beside: tuple[int, ...]
) -> Weights[Any]:
    found = header(path)
    shapes, prefix = _without_prefix(found, layout.prefix)
    _refuse_kinds(path, layout, found)
    layout.refuse(path, found.tensors, shapes)
    config = _config(path, found, layout.name)
    try:
        architecture = layout.architecture(config, shapes)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    compare(path, architecture.shapes(), shapes, prefix, layout.name)
    # Sorted, for reprs and messages must not depend on the order in the file.
    dtypes = tuple(sorted({t.dtype for t in found.tensors.values()}))
    _refuse_dtypes(path, found)
    return Weights(path, architecture, found.metadata, prefix, dtypes)


def _refuse_kinds(path: Path, layout: FileLayout, found: Header) -> None:
    """Say which encoder's a file is if it is another's that we know."""
    other = kind_of_tensors(found.tensors)
    if other is not None and other != layout.kind:
        name = KINDS[other].encoder
        raise WeightsError(
            f"{path}: has the tensors of {name}, not of {layout.name}; take {name}(…) for it, or a "
            "preset, which takes whatever encoder the weights are"
        )


def _without_prefix(found: Header, usual: str) -> tuple[dict[str, Shape], str]:
    """Shapes by the encoder's names. A name that lacks the prefix of the others keeps a mark."""
    prefix = usual if any(name.startswith(usual) for name in found.tensors) else ""
    shapes = {}
    for name, tensor in found.tensors.items():
        bare = name.removeprefix(prefix) if name.startswith(prefix) else f"/{name}"
        shapes[bare] = tensor.shape
    return shapes, prefix


def _config(path: Path, found: Header, name: str) -> dict[str, Any]:
    """A file that carries its own config is asked first: nothing beside it can be of another."""
    text = found.metadata.get("config")
    if text is not None:
        return _parse_config(f"{path}: the config in its metadata", text)
    beside = path.parent / CONFIG
    if not beside.is_file():
        raise WeightsError(
            f"{path}: has no {CONFIG} beside it, which says of {name} what no tensor tells; put "
            f"the one there that was published with it, or that {CONVERT} made"
        )
    return read_config(beside)


def read_config(path: Path) -> dict[str, Any]:
    """What a config.json says.

    Raises:
        WeightsError: it cannot be read, or is no JSON object.
    """
    try:
        return _parse_config(
            str(path), path.read_text(encoding="utf-8-sig")
        )  # some editors mark it
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise WeightsError(f"{path}: is no text; take the published {CONFIG}") from None


def _parse_config(where: str, text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where}: is no JSON ({error}); take the published one") from None
    if not isinstance(config, dict):
        raise WeightsError(f"{where}: is no JSON object; take the published one")
    return config


def compare(
    path: Path, want: Mapping[str, Shape], have: Mapping[str, Shape], prefix: str, whose: str
) -> None:
    """Every tensor of the encoder in its shape, and nothing else: a skipped one is a wrong score.

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape.
    """
    missing = [name for name in want if name not in have]
    if missing:
        raise WeightsError(
            f"{path}: tensor {prefix + missing[0]!r} is missing ({len(missing)} of {len(want)}); "
            "download the file again, or convert the checkpoint anew"
        )
    unexpected = [name for name in have if name not in want]
    if unexpected:
        first = unexpected[0]
        shown = first[1:] if first.startswith("/") else prefix + first
        raise WeightsError(
            f"{path}: tensor {shown!r} is none of {whose}'s ({len(unexpected)} such); take the "
            "published file"
        )
    for name, shape in want.items():
        if have[name] != shape:
            raise WeightsError(
                f"{path}: tensor {prefix + name!r} is {have[name]}, need {shape}; take the "
                "published file"
            )


def _refuse_dtypes(path: Path, found: Header) -> None:
    for name, tensor in found.tensors.items():
        if tensor.dtype not in _FLOATS:
            raise WeightsError(
                f"{path}: tensor {name!r} is {tensor.dtype}; need {', '.join(_FLOATS)}: take the "
                "published file, not a quantised one"
            )


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Size and time of change are there to be part of the key."""
    try:
        return sha256(path)
    except OSError as error:
        raise unreadable(path, error) from None
