"""Small data sets that tests share. Everything is drawn from a seed; nothing is downloaded."""

import itertools
import os

# As many test processes as cores, or more: more threads in each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import socket
import sys
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile

from nearfar.cli import main as cli
from nearfar.errors import NearfarError, in_shell

# s. Whatever waits for another process waits so long; only one that hangs takes it. It is more
# than ten times what the longest of them needs on a quiet machine.
PATIENCE = 1800

# The same examples on every machine, however slow it is.
hypothesis.settings.register_profile(
    "everywhere",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("everywhere")

TESTS = Path(__file__).resolve().parent
DATA = TESTS / "data"
TINY = DATA / "eat" / "tiny"
SHARED = TESTS.parents[1] / "shared"
RATE = 16_000
NUMBERS = itertools.count()  # of the tests of this process

# What lasts longest, so that no process is left with one of these when the others are done.
FIRST = (
    "reproduce/test_reproduce.py", "test_commands_shown.py", "sim/test_difficulty.py",
    "runtime/test_cluster.py", "reproduce/test_side_by_side.py", "runtime/test_executors.py",
    "service/test_bad_servers.py", "training/test_finetune_resume.py", "embedding/test_rows.py",
    "runtime/test_s3.py", "test_site_pages.py", "page/test_page_access.py",
    "page/test_page_fuzz.py", "page/test_page_front.py", "training/test_finetune_variants.py",
    "runtime/test_cluster_holders.py", "embedder/test_ragged.py", "runtime/test_two_nodes.py",
    "test_demo.py", "test_bench_engines.py", "service/test_bad_days.py", "sim/test_dataset.py",
    "test_plant_walk.py", "reproduce/test_timing.py", "test_bench_gpu.py",
    "service/history/test_killed.py", "service/test_killed_watch.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    place = {TESTS / name: n for n, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def machine_sound(rng, seconds=1.5, domain="source", anomaly=False):
    """(2, samples): a hum with harmonics near, less of it far, room noise in both."""
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    pitch = (90.0 if domain == "source" else 110.0) * (1 + 0.03 * rng.standard_normal())
    hum = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 12))
    if anomaly:  # a click each tenth of a second, and a whistle
        hum = hum + 6.0 * ((t * 10) % 1 < 0.002) + np.sin(2 * np.pi * 3100 * t)
    near = 0.05 * hum + 0.01 * rng.standard_normal(n)
    far = 0.01 * hum + 0.02 * rng.standard_normal(n)
    return np.stack([near, far]).astype(np.float32)


def write(path, audio, rate=RATE, subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(audio).T, rate, subtype=subtype)
    return path


def write_machine(root, machine, seed, source=9, target=3, test=3):
    """A DCASE machine folder with train and labelled test clips."""
    rng = np.random.default_rng(seed)
    for domain, count in (("source", source), ("target", target)):
        for i in range(count):
            name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
            write(root / machine / "train" / name, machine_sound(rng, domain=domain))
        for label in ("normal", "anomaly"):
            for i in range(test):
                name = f"section_00_{domain}_test_{label}_{i:04d}_noAttribute.wav"
                sound = machine_sound(rng, domain=domain, anomaly=label == "anomaly")
                write(root / machine / "test" / name, sound)


def first_quick(cases):
    """Parameters of a test: the first is for every run, the others are slow."""
    first, *others = cases
    return [first, *(pytest.param(case, marks=pytest.mark.slow) for case in others)]


def refused(call, *words, error=NearfarError):
    """The one line that an error says; it has these words."""
    with pytest.raises(error) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        # A way out may be named as the shell says it.
        assert str(word) in line or str(word) in in_shell(line), line
    return line


def finish(process, text=None):
    """What a process wrote, (standard output, standard error); one that hangs is killed.

    Its pipes are closed whatever happens: open ones are an error of whichever test runs when they
    are found.
    """
    with process:
        try:
            return process.communicate(text, timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise


def stop(processes):
    """End those that still run, with their pipes."""
    for process in processes:
        process.kill()
        with process:
            pass


def free_port():
    """A port of this machine that no program is given by chance before a child listens on it.

    Systems give out ports from 32768 up to whoever asks for any.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as there:
            try:
                there.bind(("127.0.0.1", port))
            except OSError:
                continue
        return str(port)


@pytest.fixture(scope="session")
def dcase(tmp_path_factory):
    """Two machines in the DCASE layout. Read only."""
    root = tmp_path_factory.mktemp("dcase")
    write_machine(root, "fan", 1)
    write_machine(root, "pump", 2)
    return root


@pytest.fixture(scope="session")
def detector_folder(dcase, tmp_path_factory):
    """System 4 fitted on `dcase`. Read only."""
    import nearfar as nf

    folder = tmp_path_factory.mktemp("detector") / "s4"
    nf.fit(nf.s4(), nf.Clips.open(dcase, split="train")).save(folder)
    return folder


@pytest.fixture(scope="session")
def evaluation_set(tmp_path_factory):
    """Two machines whose test clips tell no label, and their truth in both forms. Read only."""
    import evaluation_set as sets

    return sets.make(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def both_folder(dcase, evaluation_set, tmp_path_factory):
    """System 4 fitted on `dcase` and on `evaluation_set` in one run. Read only."""
    import nearfar as nf

    folder = tmp_path_factory.mktemp("both") / "both.detector"
    places = [dcase, evaluation_set / "eval_data/raw"]
    nf.fit(nf.s4(), nf.Clips.open(places, split="train")).save(folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test touches the cache of the person who runs it."""
    # Not made, only named: most tests keep nothing, and to number a folder pytest lists them all.
    place = tmp_path_factory.getbasetemp() / "caches" / str(next(NUMBERS))
    monkeypatch.setenv("NEARFAR_CACHE", str(place))


@pytest.fixture(scope="module")
def one_thread():
    """torch on one thread, as other processes that must compute the same have it."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shared():
    """The folder beside the checkout with gold data and real recordings."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED.name} beside the checkout")
    return SHARED


@pytest.fixture
def run(monkeypatch, capsys, recwarn):
    """Call the command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nearfar", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        out = capsys.readouterr()
        return code, out.out, out.err

    shown, filters = warnings.showwarning, warnings.filters[:]
    yield call
    warnings.showwarning = shown
    warnings.filters[:] = filters
