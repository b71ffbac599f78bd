"""The help of a command: panels of options, each name whole, however narrow the terminal is.

The command-line library deals out its columns by their longest cells, and cuts names for that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from nearfar.cli.lines import wrapped

GAP = 28  # characters of a name beside its explanation; a longer one stands above it
FRAME = 4  # characters of a panel's edges


def show(command: Any, context: Any, panels: Sequence[str]) -> None:
    """Print the help of a command.

    Args:
        command: has a help, parameters and an epilog.
        context: of its call.
        panels: of options, in their order.
    """
    out = Console(highlight=False, markup=False, emoji=False)
    usage = " ".join(command.collect_usage_pieces(context))
    told = (f"Usage: {context.command_path} {usage}", *(command.help or "").split("\n\n"))
    for paragraph in told:
        out.print(Padding(Text(paragraph), (1, 1, 0, 1)))
    out.print()
    parameters = command.get_params(context)
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    groups = {"Arguments": arguments} | {
        name: [p for p in parameters if p not in arguments and p.rich_help_panel == name]
        for name in panels
    }
    for title, group in groups.items():
        rows = [_row(parameter, context) for parameter in group]
        if text := listed([row for row in rows if row[0]], out.width - FRAME):
            out.print(Panel(text, title=title, title_align="left", border_style="dim"))
    out.print(Padding(Text(command.epilog), (1, 1)))


def _row(parameter: Any, context: Any) -> tuple[str, str]:
    """A parameter's names and value, and what it is."""
    names, help_text = parameter.get_help_record(context) or ("", "")
    if parameter.param_type_name == "argument":
        names = str(parameter.metavar or parameter.name).upper()
    # Some versions write for a printer that takes brackets for colours.
    help_text = re.sub(r"\[x>=(\d+)\]", r"[\1 or more]", help_text.replace("\\[", "["))
    help_text = re.sub(r"\[(\d+)<=x<=(\d+)\]", r"[\1 to \2]", help_text)
    return names.strip().replace(" /", ","), " ".join(help_text.split())


def listed(rows: Sequence[tuple[str, str]], width: int) -> Text:
    """Names and explanations below one another.

    >>> print(listed([("-q", "Tell less."), ("--a-name-that-is-far-too-long N", "Few.")], 60))
    -q                          Tell less.
    --a-name-that-is-far-too-long N
                                Few.
    """
    text = Text()
    room = max(width - GAP, 20)  # characters
    for names, about in rows:
        lines = wrapped(about, room, indent="").split("\n")
        beside = len(names) < GAP - 1
        text.append(names, style="bold cyan")
        text.append(" " * (GAP - len(names)) if beside else "\n" + " " * GAP)
        text.append(f"\n{' ' * GAP}".join(lines) + "\n")
    text.rstrip()
    return text
