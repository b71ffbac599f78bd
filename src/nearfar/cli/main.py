"""The program `nearfar`: which commands there are, and how each ends.

Flags to calls, nothing else. Heavy modules are imported inside the commands: `nearfar --help` must
not wait seconds for an encoder that it does not use.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import typer

from nearfar.cli import weights as cli_weights
from nearfar.cli.alarms import alarms
from nearfar.cli.check import check
from nearfar.cli.compare import compare
from nearfar.cli.doctor import doctor
from nearfar.cli.download import download
from nearfar.cli.edge import export, verify
from nearfar.cli.embed import embed
from nearfar.cli.explain import explain
from nearfar.cli.export_data import export_data
from nearfar.cli.finetune import finetune
from nearfar.cli.fit import fit, score, threshold
from nearfar.cli.fleet import fleet
from nearfar.cli.history import history
from nearfar.cli.learn import learn
from nearfar.cli.lines import tell
from nearfar.cli.merge import merge
from nearfar.cli.program import (
    ANYWHERE,
    COMPLETE,
    Command,
    Program,
    completion,
    exit_codes,
    start,
    voice,
)
from nearfar.cli.progress import Interrupted, show_warning
from nearfar.cli.report import report
from nearfar.cli.reproduce import reproduce
from nearfar.cli.serve import serve
from nearfar.cli.sound import inspect, mask, simulate
from nearfar.cli.studies import ablate, evaluate
from nearfar.cli.submit import submit
from nearfar.cli.systems import features, systems
from nearfar.cli.timeline import timeline
from nearfar.cli.watch import watch
from nearfar.cli.weights import cache
from nearfar.errors import NearfarError, NearfarWarning, in_shell, printable
from nearfar.text import alike, one_line

COMMANDS = (  # in the order of the help: what most people need first
    check, fit, score, explain, timeline, report, threshold, learn, fleet, watch, serve, history,
    alarms, evaluate, compare, submit, systems, features, finetune, embed, ablate, reproduce, merge,
    download, export, verify, export_data, simulate, inspect, mask, doctor, cache, completion,
)  # fmt: skip
ENDINGS = {  # those that end in more ways than others
    check: exit_codes("something is wrong: a clip stands out, a name, a count"),
    submit: exit_codes("the package has something wrong (with --check)"),
    verify: exit_codes("the two detectors do not agree"),
    doctor: exit_codes("something that is installed is broken"),
    score: exit_codes(
        "an anomaly was found (with --fail-on-anomaly)",
        "none was, but some clips were not judged (with --fail-on-anomaly)",
    ),
    timeline: exit_codes(
        "a lasting alarm stands (with --fail-on-alarm)",
        "none does, but some of the last recordings were not judged (with --fail-on-alarm)",
    ),
    serve: exit_codes(endless=True),
    watch: exit_codes("nobody reads its output any more", endless=True),
}


def program(*commands: Callable[..., Any]) -> typer.Typer:
    """The command line with some of its commands, or with all and their groups."""
    made = typer.Typer(
        cls=Program,
        help="Hears when a machine starts to sound wrong, from one microphone near it and one far.",
        no_args_is_help=True,
        add_completion=False,  # two options in every help, to install what shells rarely need
        pretty_exceptions_enable=False,  # what is no NearfarError is a bug: show where
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in commands or COMMANDS:
        made.command(cls=Command, epilog=ENDINGS.get(command))(command)
    made.callback()(start)
    if not commands:
        made.add_typer(cli_weights.app, name="weights")
    return made


def name_of(command: Callable[..., Any]) -> str:
    """What a person types.

    >>> name_of(export_data)
    'export-data'
    """
    return command.__name__.replace("_", "-")


def asked(arguments: Sequence[str]) -> list[Callable[..., Any]]:
    """The command that the arguments name; none if it is not plainly one.

    To get the options of all commands ready takes a third as long as to score a clip.

    >>> [command.__name__ for command in asked(["-q", "score", "d", "fit"])], asked(["--help"])
    (['score'], [])
    """
    first = next((a for a in arguments if a not in ANYWHERE), "")
    return [command for command in COMMANDS if name_of(command) == first]


app = program()


def main() -> None:
    """Run the command line; one line for whatever a user can cause.

    Exit codes: 0 fine, 1 anomaly found and 3 none found but clips that could not be judged (both
    with --fail-on-anomaly or --fail-on-alarm only), 2 user error, 130 interrupted, 143 terminated.
    """
    _mend_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Ω must not end the program on an old console
            stream.reconfigure(errors="replace")
    before = {s: signal.signal(s, _interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
    warnings.showwarning = show_warning
    # In front of what PYTHONWARNINGS may say: a warning of ours belongs to the result.
    warnings.filterwarnings("always", category=NearfarWarning)
    # A shell that completes a command asks for any of them.
    named = [] if COMPLETE in os.environ else asked(sys.argv[1:])
    try:
        (program(*named) if named else app)()
    except NearfarError as error:
        if voice.verbose:
            traceback.print_exc()
        # What many files share is one line. A single cause stands in the error itself.
        causes = list(error.faults) if voice.verbose else alike(error.faults)
        for fault in causes if len(causes) > 1 else ():
            tell("fault", printable(voice.fitting(in_shell(one_line(fault)))))
        tell("error", voice.fitting(in_shell(one_line(error))))
        sys.exit(2)  # as the command-line library itself ends for an unknown option
    except Interrupted as interrupt:
        # A shell that completes a command shows its own line again, and nothing was begun.
        if COMPLETE not in os.environ:
            tell("", printable(interrupt.told))
        sys.exit(interrupt.exit_code)
    except OSError as error:  # standard output is full or gone
        tell("error", f"the output cannot be written ({error.strerror})")
        sys.exit(2)
    finally:
        for number, handler in before.items():  # tests call this within a process that goes on
            signal.signal(number, handler)


def _mend_streams() -> None:
    """Let streams that were closed by whoever began us, as by a shell's >&-, lead nowhere."""
    if sys.stdout is not None and sys.stderr is not None:
        return
    # Their numbers must be taken: else the next file that is opened has them, perhaps a database.
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _interrupt(number: int = signal.SIGINT, _: object = None) -> None:
    raise Interrupted(number)
