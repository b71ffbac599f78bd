"""One page, one file: a template filled in, with its style, script, pictures and sounds inside."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import StorageError, needs
from nearfar.files import begins, check_output, write_text
from nearfar.text import lasting, number
from nearfar.version import __version__, versions

if TYPE_CHECKING:
    from jinja2 import Environment

MARK = "<!-- nearfar page: "  # second line of each, so that a later run may replace it


def check_report() -> None:
    """Refuse pages before minutes of work.

    Raises:
        NearfarError: jinja2 or matplotlib is not installed.
    """
    with needs("report", "pages need jinja2 and matplotlib"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401


def check_page(
    path: Path, kind: str, inputs: Iterable[Path | str | None] = (), *, replace: bool = False
) -> None:
    """Refuse a page that cannot be written or shall not be, before minutes of work.

    Args:
        path: to be written; an earlier page of the same kind may be there.
        kind: as for `write_page`.
        inputs, replace: as for `files.check_output`.

    Raises:
        NearfarError: jinja2 or matplotlib is not installed.
        StorageError: see `files.check_output`; and for standard output, for pages are files.
    """
    check_report()
    if str(path) == "-":
        raise StorageError("-: a page is a file that a browser opens; give its name, as page.html")
    check_output(
        path, endings=(".html",), inputs=inputs, replace=replace, ours=lambda p: is_page(p, kind)
    )


def is_page(path: Path, kind: str = "") -> bool:
    """Is a file plainly a page that we wrote? With a kind, as "timeline", one of that kind."""
    return begins(path, rf"<!doctype html>\n{MARK}{kind or '[a-z]+'} -->\n")


def write_page(path: Path, kind: str, title: str, values: Mapping[str, Any]) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: of the file, .html.
        kind: its template is `KIND.html.j2`; lower-case letters.
        title: what its tab says.
        values: what the template names.

    Returns:
        The file.

    Raises:
        NearfarError: jinja2 is not installed.
        StorageError: it cannot be written.
    """
    write_text(path, render(kind, title, values))
    return path


def render(kind: str, title: str, values: Mapping[str, Any]) -> str:
    """The text of a page; see `write_page`."""
    check_report()
    style, script = _resource("page.css"), _resource("page.js")
    return templates().get_template(f"{kind}.html.j2").render(
        {
            "kind": kind,
            "mark": f"{MARK}{kind} -->",
            "title": title,
            "style": style,
            "script": script,
            # The page itself forbids whatever lies outside of it, and any script but ours.
            "policy": _policy(script),
            "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            "version": __version__,
            "versions": versions(),
            **values,
        }
    )  # fmt: skip


@cache
def templates() -> Environment:
    """Where templates are looked up; whatever a name holds is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("nearfar.report"),
        autoescape=True,  # names of files are somebody's, and may hold HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": numeral, "lasting": lasting, "percent": _percent, "signed": signed,
        "breakable": breakable,
    }  # fmt: skip
    return made


def signed(value: float, sign: str = "+", digits: int = 1) -> str:
    """A number with a minus that is as long as a plus.

    >>> signed(-21.94), signed(2.0), signed(-0.5, "", 2)
    ('−21.9', '+2.0', '−0.50')
    """
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def numeral(value: float, digits: int = 2) -> str:
    """A number as `text.number` has it, with a minus that is as long as a plus.

    >>> numeral(-0.5)
    '−0.50'
    """
    return number(value, digits).replace("-", "−")


def breakable(name: str) -> Any:
    """A file's name that a narrow cell breaks after its parts, and not before its last letter.

    >>> breakable("hall/a_b.wav")
    Markup('hall/<wbr>a_<wbr>b.wav')
    """
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([_/])(?=.)", r"\1<wbr>", str(escape(name))))


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _resource(name: str) -> Any:
    """A file beside the templates, as text that is no one else's and so is not escaped."""
    from markupsafe import Markup

    return Markup((Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))


def _policy(script: str) -> str:
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    )
