"""A reproduction on Ray of which a process dies; SAVED gets a line for each checkpoint.

python -c "import dying_steps; dying_steps.main()" DATA WEIGHTS RUN SAVED WHO

WHO is "worker", the one that trains, or "driver", the process that is called.
"""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from nearfar.reproduce.run import reproduce
from nearfar.reproduce.steps import schedule
from nearfar.reproduce.steps.estimate import Timed
from nearfar.runtime.executor import Executor
from nearfar.runtime.executors import executor_of
from nearfar.runtime.runtime import Runtime
from nearfar.training.settings import FineTuning

EPOCHS = 3  # of a step each
LAST = 2  # step that the victim does
VICTIM = "train-mask-seed-0"  # begins the names of its files


def dying(what):
    """A job; once the victim has written this step's checkpoint a process is killed."""
    from nearfar.training import run
    from nearfar.training.loop import checkpoint

    saved, killed, task, job = what
    save, saver = checkpoint.save, run.Saver

    def deadly(path, taken):
        save(path, taken)
        if VICTIM not in path.name:
            return
        with saved.open("a") as file:
            file.write(f"{taken.facts['step']} {os.getpid()}\n")
        processes = {line.split()[1] for line in saved.read_text().splitlines()}
        if taken.facts["step"] == LAST and len(processes) == 1:
            os.kill(killed or os.getpid(), signal.SIGKILL)

    checkpoint.save = deadly
    run.Saver = lambda copy, write, minutes, **more: saver(copy, write, 0, **more)
    # What is tried out for the estimate takes seconds and tells nothing here.
    schedule._timed = untimed
    try:
        return task(job)
    finally:
        checkpoint.save, run.Saver = save, saver


def untimed(*what):
    return Timed()


class Dying(Executor):
    """Ray, with a task that kills its worker once, or the process with a number."""

    whole = True

    def __init__(self, inner, saved, killed=0):
        self.inner, self.saved, self.killed = inner, saved, killed

    def run(self, task, jobs, resources=None, codec=None):
        jobs = ((self.saved, self.killed, task, job) for job in jobs)
        with closing(self.inner.run(dying, jobs, resources)) as results:
            yield from results


def table(data, weights, out, runtime, resume=False):
    """Table 3 for one seed."""
    return reproduce(
        data, str(weights), out, tables=("3",), seeds=1, training=FineTuning(epochs=EPOCHS),
        runtime=runtime, resume=resume, any_data=True,
    )  # fmt: skip


def main():
    data, weights, out, saved = map(Path, sys.argv[1:5])
    killed = os.getpid() if sys.argv[5] == "driver" else 0
    runtime = Runtime(workers=2, device="cpu", engine="ray", cache=out.parent / "cache")
    executor = Dying(executor_of(runtime), saved, killed)
    table(data, weights, out, Runtime(device="cpu", cache=runtime.cache, executor=executor))
