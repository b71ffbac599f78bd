"""What a person sees while a command runs: a bar on a terminal, and lines that survive it."""

import io
import signal
import warnings

import pytest
from rich.console import Console
from rich.progress import Progress

from nearfar.cli.progress import Interrupted, Session
from nearfar.errors import visible, warn
from nearfar.runtime import workers
from nearfar.runtime.cache import default_cache
from nearfar.training.log import EpochLine, StepLine

STEP = StepLine(1, 2, 3, 10, 8.2, 5e-6, 30.0, 430.0)
EPOCH = EpochLine(1, 2, 5, 6.1, 0.5, 0.9, 30.0, 21.0)


@pytest.fixture
def terminal(monkeypatch):
    """A session on a terminal, and what stands there."""
    written = io.StringIO()
    session = Session(1, cache=None)
    console = Console(file=written, force_terminal=True, color_system=None, width=200)
    session._bar = Progress(console=console, auto_refresh=False)
    return session, written


def test_the_runtime_is_what_the_options_say():
    runtime = Session(3, default_cache(), device="cpu", batch_size=4).runtime
    assert (runtime.workers, runtime.device, runtime.batch_size) == (3, "cpu", 4)
    assert runtime.cache == default_cache()
    assert Session(None, cache=None).runtime.cache is None


@pytest.mark.parametrize(
    ("cache", "told"), [(None, None), (default_cache(), "what was heard is in the cache")]
)
def test_who_stops_a_command_hears_what_the_cache_keeps(cache, told):
    with pytest.raises(Interrupted) as stopped, Session(1, cache=cache):
        raise Interrupted(signal.SIGTERM)
    assert stopped.value.told.startswith("terminated" if told is None else f"terminated; {told}")
    assert (stopped.value.kept is None) == (told is None)
    end = Interrupted(signal.SIGINT)
    end.kept = ""  # the command knows better
    with pytest.raises(Interrupted) as stopped, Session(1, cache=cache):
        raise end
    assert stopped.value.told == "interrupted"


def test_warnings_wait_until_the_bar_is_gone_and_are_said_once(capsys, recwarn):
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with Session(1, cache=None):
            for _ in range(2):
                warn("fan: the shift\nis large")
            assert capsys.readouterr().err == ""
        assert capsys.readouterr().err == "warning: fan: the shift\\nis large\n"
    assert warnings.showwarning is shown


def test_the_same_about_many_clips_is_one_line(capsys, recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with Session(1, cache=None):
            for n in range(42):
                warn(f"press/{n}.wav: recorded at 8000 Hz")
                warn("fan: few clips")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: press/0.wav: recorded at 8000 Hz (and 41 more like it: ")
    assert second == "warning: fan: few clips"


ODD = (
    "Rec {:02d}.wav",
    " lead {}.wav",
    "a;b '{}\".wav",
    "a\nb{}.wav",
    "c\rd {}.wav",
    "t\t{}.wav",
    "x{}",
)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("how", ["{}: silent", "left out: {}: silent, 0 of {}"])
def test_names_that_nobody_could_tell_from_words_are_told(capsys, recwarn, name, how):
    names = [name.format(n) for n in range(12)]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with Session(1, cache=None):
            for one in names:
                warn(how.format(one, one), one)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {visible(how.format(names[0], names[0]))} (and 11 more like")
    told = names[1:] if how.startswith("left") else names[1:4]
    assert f": {', '.join(map(visible, told))}" in line


@pytest.mark.slow
def test_warnings_of_workers_bring_the_names_home(recwarn):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        list(workers.run(_warn_of, ["Rec 1.wav", "Rec 2.wav"], 2))
    assert [(str(w.message), w.message.about) for w in said] == [
        ("Rec 1.wav: silent", "Rec 1.wav"), ("Rec 2.wav: silent", "Rec 2.wav"),
    ]  # fmt: skip


def _warn_of(name):
    warn(f"{name}: silent", name)


def test_without_a_terminal_lines_are_plain_and_a_training_is_silent(capsys):
    with Session(1, cache=None) as session:
        session.say("[1/2] train mask; left: 3 h")
        session.watch(STEP)
        session.watch(EPOCH)
    assert capsys.readouterr() == ("", "[1/2] train mask; left: 3 h\n")


def test_names_are_no_markup(terminal):
    session, written = terminal
    with session:
        session.say("[red]fan[/red]")
    assert "[red]fan[/red]" in written.getvalue()


def test_the_bar_of_a_training_says_the_loss_and_each_epoch_leaves_a_line(terminal):
    session, written = terminal
    with session:
        other = session._bar.add_task("log-mels", total=4)
        task = session._bar.add_task("training", total=10)
        session.watch(STEP)
        assert session._bar.tasks[task].description == "epoch 1/2, loss 8.200"
        assert "held-out" not in written.getvalue()
        session.watch(EPOCH)
        assert session._bar.tasks[task].description == "epoch 1/2, loss 6.100"
        assert session._bar.tasks[other].description == "log-mels"
    assert (
        "epoch 1/2, loss 6.100, 90.0 % of held-out normals right, 30 clips/s" in written.getvalue()
    )


def test_without_held_out_normals_none_are_right(terminal):
    session, written = terminal
    with session:
        session.watch(EpochLine(1, 2, 5, 6.1, None, None, 30.0, 21.0))
    assert "loss 6.100, 30 clips/s" in written.getvalue()
