"""What all commands have in common: how their help looks, and flags that any of them takes.

Options are dealt out to the help's panels here, by name, so that an option that two commands take
stands in the same place in both.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from inspect import cleandoc
from itertools import zip_longest
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from nearfar.cli.lines import ledger, tell
from nearfar.cli.options import DATA, OUTPUT, SPEED, SYSTEM
from nearfar.cli.usage import UsageError, explained
from nearfar.text import one_line
from nearfar.version import __version__

COMPLETE = "_NEARFAR_COMPLETE"  # what a shell's script asks us by


def exit_codes(one: str = "", three: str = "", *, endless: bool = False) -> str:
    """How a command ends, where it has the codes 1 and 3 with what they mean.

    Args:
        one, three: what these mean; "" where it does not end so.
        endless: it works until it is told to end, so that SIGTERM is no fault.

    >>> "; 1 " in exit_codes(), "; 1 a clip stands out; 2 " in exit_codes("a clip stands out")
    (False, True)
    """
    codes = (
        "0 fine, or ended (SIGTERM)" if endless else "0 fine", one and f"1 {one}",
        "2 a mistake in what was asked or in the data, told in one line", three and f"3 {three}",
        "130 interrupted (Ctrl-C)", "143 ended (SIGTERM)" + " twice" * endless,
    )  # fmt: skip
    return f"Exit codes: {'; '.join(filter(None, codes))}."


EXIT_CODES = exit_codes(  # of all commands together; a command's own help has its own
    "an anomaly was found (score --fail-on-anomaly), an alarm stands (timeline --fail-on-alarm), "
    "a clip stands out (check), weights differ (weights check), or verdicts do (verify)",
    "some clips were not judged (--fail-on-anomaly, --fail-on-alarm)",
)
ANYWHERE = (  # may stand behind the command too: that is where one thinks of them
    "-q", "--quiet", "-v", "--verbose", "-V", "--version",
)  # fmt: skip
# Which panel an option is in, if it does not say so itself; what is not listed is of the system.
PANELS = {
    DATA: (
        "machine", "section", "channel_order", "clip_seconds", "skip_bad", "truth", "scores",
        "detector", "rule", "exclude", "any_data", "preset", "machines", "seed", "select", "pair",
        "near", "far", "salvage", "exclude_suspects", "time_pattern", "against", "config",
    ),
    OUTPUT: (
        "output", "csv", "as_json", "json", "json_path", "fail_on_anomaly", "stats", "plot",
        "stems", "describe", "everything", "copy_weights", "dry_run", "replace", "floor", "clear",
        "table", "help",
    ),
    SPEED: ("device", "batch_size", "workers", "cache", "resume"),
}  # fmt: skip
PANEL_OF = {name: panel for panel, names in PANELS.items() for name in names}
# What stands for a value, where a type alone says little.
METAVARS = {
    "checkpoint_minutes": "MINUTES",
    "settings": "PART.SETTING=VALUE", "vary": "PART.SETTING=[…]", "part": "FILE.PY:CLASS",
    "machine": "NAME", "exclude": "NAME", "machines": "NAME,NAME", "section": "NAME",
    "system": "NAME", "weights": "PLACE", "device": "DEVICE", "describe": "NAME",
    "near": "N", "far": "N", "batch_size": "N", "workers": "N", "keep": "N", "seed": "N",
    "seeds": "N", "lora": "RANK", "clip_seconds": "SECONDS", "false_alarm_rate": "SHARE",
    "longest": "SECONDS",
    "tau": "DISTANCE", "output": "PATH", "plot": "PATH", "csv": "FILE", "truth": "FILE",
    "config": "FILE", "detector": "FOLDER", "scores": "FOLDER", "loss": "NAME", "adapt": "NAME",
    "table": "NAME", "cache": "PLACE", "engine": "ENGINE", "shard": "I/N",
    "precision": "NAME", "preset": "NAME", "year": "YEAR",
}  # fmt: skip


# What messages advise, by what a command must have for that; else what is said instead.
_ADVICE = (
    ("--skip-bad", r"(leave \w+( clip)? out) with --skip-bad", r"\1 of the data"),
    ("--system", r",? or use a near-only system \(-s logmel\)", ""),
    ("--pair", r",? or pair them with --pair '[^']*'", ""),
)
# Options whose value may be left out, and what they are then told.
_BARE = {"watch": {"--json": "-", "--explain-alarm": "own"}}
_PYTHON = r", in Python with \S+\(.*?\)(?=$|;)"  # the other half of a way out
# Whoever names a folder of recordings first has the two the wrong way round.
_SWAPPED = (r"(?<=; )(make one with nearfar fit DATA -o DIR)", r"DETECTOR comes first; \1")


class Voice:
    """How much a run of the program tells beside its results.

    >>> Voice().quiet, Voice().verbose
    (False, False)
    """

    def __init__(self) -> None:
        self.quiet = False  # neither progress nor warnings
        self.verbose = False  # versions, times, tracebacks of errors
        self.options: frozenset[str] = frozenset()  # of the command that runs

    def fitting(self, text: str) -> str:
        """A message whose way out is open to the command: not all can leave clips out.

        It says nothing of Python, which whoever typed a command has no use for.

        >>> Voice().fitting("a.wav: silent; check it or leave the clip out with --skip-bad")
        'a.wav: silent; check it or leave the clip out of the data'
        """
        for option, advice, instead in _ADVICE:
            if option not in self.options:
                text = re.sub(advice, instead, text)
        text = re.sub(_PYTHON, "", text)
        return re.sub(*_SWAPPED, text) if "--fail-on-anomaly" in self.options else text


voice = Voice()  # of this run; `start` sets it


class Command(TyperCommand):
    """A command whose help has panels, no types of switches, and the exit codes.

    >>> Command("hum", params=[]).epilog == exit_codes()
    True
    """

    def __init__(self, name: str | None, **given: Any) -> None:
        given["epilog"] = given.get("epilog") or exit_codes()
        # Broken where the terminal ends, not where the source does.
        paragraphs = cleandoc(given.get("help") or "").split("\n\n")
        given["help"] = "\n\n".join(map(one_line, paragraphs)) or None
        super().__init__(name, **given)
        for parameter in self.params:
            _dressed(parameter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments; a mistake in them knows its command."""
        with _of(ctx):
            args = spelled_out(args, _BARE.get(str(self.name), {}))
            _refuse_slips(self.params, args)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it; messages fit what it can do."""
        voice.options = frozenset(option for p in self.params for option in p.opts)
        try:
            done = super().invoke(ctx)
        except typer.Exit:  # an anomaly, say: what was written is there all the same
            ledger.close()
            raise
        ledger.close()
        return done

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from nearfar.cli import manual  # draws with a library that no other run waits for

        manual.show(self, ctx, (DATA, SYSTEM, OUTPUT, SPEED))

    def get_params(self, ctx: Any) -> Any:
        """The parameters, panel by panel; --help, which is made late, is one of them."""
        found: Any = super().get_params(ctx)
        for parameter in found:
            _dressed(parameter)
        order = (DATA, SYSTEM, OUTPUT, SPEED)
        return sorted(
            found,
            key=lambda p: order.index(p.rich_help_panel) if p.rich_help_panel in order else -1,
        )


def spelled_out(args: Sequence[str], bare: Mapping[str, str]) -> list[str]:
    """The arguments, with the values of options that may stand without one.

    >>> spelled_out(["d", "--json", "--once", "--json"], {"--json": "-"})
    ['d', '--json', '-', '--once', '--json', '-']
    """
    found: list[str] = []
    for arg, after in zip_longest(args, args[1:]):
        found.append(arg)
        # A dash alone is a value.
        if arg in bare and (after is None or (after.startswith("-") and after != "-")):
            found.append(bare[arg])
    return found


def _refuse_slips(parameters: Sequence[Any], args: Sequence[str]) -> None:
    """Refuse what a shell makes of an unset variable, and a switch that is said both ways."""
    for before, arg in zip(("", *args), args, strict=False):
        if arg == "" or (arg.startswith("--") and arg.find("=") == len(arg) - 1):
            option = arg[:-1] or (before if before.startswith("-") else "")
            raise UsageError(
                f"{option or 'an argument'} is empty; is a variable of the shell not set?"
            )
    end = list(args).index("--") if "--" in args else len(args)
    for parameter in parameters:
        # The last would win, and the other be lost in silence.
        on, off = (
            next((name for name in names if name in args[:end]), None)
            for names in (parameter.opts, parameter.secondary_opts)
        )
        if on and off:
            raise UsageError(f"{on} and {off} exclude each other; give one of them")


def _no_type(**_: Any) -> None:
    return None


@contextmanager
def _of(ctx: Any) -> Iterator[None]:
    """Give usage errors their command, for its help is the way out; some come without."""
    try:
        yield
    except UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def _dressed(parameter: Any) -> None:
    """Give a parameter its panel, and a value's name that people understand."""
    name = str(parameter.name)
    if parameter.param_type_name != "option":
        parameter.metavar = parameter.metavar or name.upper()
        parameter.display_type_rich = _no_type  # newer libraries would name it a second time
        return
    # Not all have one: older libraries make --help an option of another kind.
    own = vars(parameter).get("rich_help_panel")
    parameter.rich_help_panel = own or PANEL_OF.get(name, SYSTEM)
    if parameter.is_flag:  # "<bool>" beside a switch is noise
        parameter.metavar = ""
    elif parameter.metavar is None:  # else words to choose from, or a type
        parameter.metavar = METAVARS.get(name)


class Group(TyperGroup):
    """Commands under one name; its help has no types of switches, and the exit codes.

    >>> Group(name="hums").epilog == EXIT_CODES
    True
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "epilog": given.get("epilog") or EXIT_CODES})

    def get_params(self, ctx: Any) -> Any:
        """The parameters, without types of switches."""
        found: Any = super().get_params(ctx)
        for parameter in found:
            if parameter.param_type_name == "option" and parameter.is_flag:
                parameter.metavar = ""
        return found


class Program(Group):
    """The program: some of its flags may stand behind the command.

    >>> hoisted(["score", "d", "today", "-q"])
    ['-q', 'score', 'd', 'today']
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take flags of the program from wherever they stand."""
        with _of(ctx):
            return super().parse_args(ctx, hoisted(args))

    def main(self, *args: Any, **given: Any) -> Any:
        """Run it, or answer a shell that completes a command; one line for a mistake of usage."""
        if COMPLETE in os.environ:
            from typer.completion import completion_init  # type: ignore[attr-defined]

            completion_init()  # the shells' own ways, which are not set up without its options
        try:
            code = super().main(*args, **{**given, "standalone_mode": False})
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # nearfar alone: its text is the help
                error.show()
            else:
                tell("error", explained(error))
            code = error.exit_code
        sys.exit(code)  # None of a command that came to its end: 0


def hoisted(args: list[str]) -> list[str]:
    """The arguments with flags of the program in front; what follows `--` are no flags."""
    end = args.index("--") if "--" in args else len(args)
    first = [arg for arg in args[:end] if arg in ANYWHERE]
    return [*first, *(arg for arg in args[:end] if arg not in ANYWHERE), *args[end:]]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nearfar {__version__}")
        raise typer.Exit


def start(
    version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Neither progress nor warnings; errors remain.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Tell versions and times; tracebacks of errors."),
    ] = False,
) -> None:
    """Set how much is told; these flags may stand behind a command too."""
    voice.quiet, voice.verbose = quiet, verbose
    ledger.__init__()  # type: ignore[misc]  # an earlier run of this process may have failed
    if verbose:
        python = ".".join(map(str, sys.version_info[:3]))
        typer.echo(f"nearfar {__version__}, Python {python}, {sys.platform}", err=True)


class Shell(StrEnum):
    """Shells that can complete commands.

    >>> Shell("fish").name
    'fish'
    """

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print what makes a shell complete commands, as in: eval "$(nearfar completion bash)"."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    # A command instead of two options in every help, and nothing is written to anybody's files.
    typer.echo(get_completion_script(prog_name="nearfar", complete_var=COMPLETE, shell=shell.value))
