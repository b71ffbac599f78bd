"""YAML of people: plain data alone, each key once, and one line for whatever else it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nearfar.errors import FormatError, first_line
from nearfar.scores.truth import quoted, shown

LARGEST = 200_000  # bytes; a meta file has three thousand
DEEPEST = 12  # levels; a meta file has five
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("null", "str", "int", "float", "bool", "seq", "map")}
_NULL = "nearfar-does-not-apply-7c1e"  # while it is dumped; no author is called so


def read_yaml(content: bytes, name: str) -> Any:
    """Read one document of mappings, lists, texts and numbers.

    Anchors and aliases are refused, since a few lines of them can stand for gigabytes; so is every
    tag that could make something of a program.

    Args:
        content: the file's bytes, UTF-8; a byte order mark is harmless.
        name: of the file, for messages.

    Raises:
        FormatError: not UTF-8, not YAML, too long or deep, a key twice, an anchor, a foreign tag;
            with the line.
    """
    import yaml

    if len(content) > LARGEST:
        raise FormatError(f"{name}: {len(content):,} bytes are no meta file; give the right one")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FormatError(f"{name}:{line}: not UTF-8 text; save it as UTF-8") from None
    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader), name)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _check_keys(node, name)
        return None if node is None else loader.construct_document(node)
    except FormatError:  # ours, said already; it is a ValueError too
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        why = shown(error.problem or error.context or "cannot be read", 200)
        raise FormatError(f"{name}:{line}: not YAML ({why}); correct the line") from None
    except yaml.YAMLError as error:  # a character that no text has
        why = shown(str(error).splitlines()[0], 120)
        raise FormatError(f"{name}: not YAML ({why}); save it as plain text") from None
    except (ValueError, OverflowError) as error:  # a date or a number that there is not
        why = first_line(error)[:60]
        raise FormatError(f"{name}: a value is none ({why}); put it in quotes") from None


def dump_yaml(data: Any) -> str:
    """Data as YAML text in its own order; None is `!!null`, as the challenge's own files have it.

    >>> print(dump_yaml({"name": "ä: b", "front_end": None, "pauc": 61.79}), end="")
    name: 'ä: b'
    front_end: !!null
    pauc: 61.79
    """
    import yaml

    text: str = yaml.safe_dump(
        _marked(data), sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
    )
    return text.replace(_NULL, "!!null")


def _marked(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _marked(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_marked(value) for value in data]
    return _NULL if data is None else data


def _check_events(events: Iterator[Any], name: str) -> None:
    """Look at the file as it streams by: nothing is built of what may be a bomb."""
    import yaml

    deep = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.NodeEvent) and event.anchor:  # an alias has one, too
            raise FormatError(
                f"{name}:{line}: an anchor or alias (&a, *a); write the value out, or put a text "
                "that begins so in quotes"
            )
        tagged = isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        tag = event.tag if tagged else None
        if tag is not None and tag not in _PLAIN and tag != "!":
            raise FormatError(
                f"{name}:{line}: the tag {quoted(tag)} is not taken; write plain text or !!null"
            )
        deep += isinstance(event, yaml.CollectionStartEvent)
        deep -= isinstance(event, yaml.CollectionEndEvent)
        if deep > DEEPEST:
            raise FormatError(f"{name}:{line}: more than {DEEPEST} levels; no meta file has them")


def _check_keys(node: Any, name: str) -> None:
    """Each key is a plain text or number, and stands once: of two YAML takes the last."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, name)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise FormatError(f"{name}:{line}: a key that is no text; write name: value")
        if key.value in lines:
            raise FormatError(
                f"{name}:{line}: {quoted(key.value)} is there twice, first in line "
                f"{lines[key.value]}; keep one"
            )
        lines[key.value] = line
        _check_keys(value, name)
