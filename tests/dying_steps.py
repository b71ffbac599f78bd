"""A reproduction on Ray of which one worker dies, in a process of its own: DATA WEIGHTS RUN FLAG.

python -c "import dying_steps; dying_steps.main()" DATA WEIGHTS RUN FLAG
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

EPOCHS = 2
VICTIM = "train-mask-seed-0"  # begins the names of its files


def dying(what):
    """A job; the first time that the victim has written a checkpoint its process is killed."""
    from nearfar.training import run
    from nearfar.training.loop import checkpoint

    flag, task, job = what
    save, saver = checkpoint.save, run.Saver

    def deadly(path, taken):
        save(path, taken)
        if VICTIM in path.name and not flag.exists():
            flag.write_text(f"{os.getpid()}")
            os.kill(os.getpid(), signal.SIGKILL)

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
    """Ray, with a task that kills its worker once."""

    whole = True

    def __init__(self, inner, flag):
        self.inner, self.flag = inner, flag

    def run(self, task, jobs, resources=None, codec=None):
        jobs = ((self.flag, task, job) for job in jobs)
        with closing(self.inner.run(dying, jobs, resources)) as results:
            yield from results


def table(data, weights, out, runtime, resume=False):
    """Table 3 for one seed."""
    return reproduce(
        data, str(weights), out, tables=("3",), seeds=1, training=FineTuning(epochs=EPOCHS),
        runtime=runtime, resume=resume,
    )  # fmt: skip


def main():
    data, weights, out, flag = map(Path, sys.argv[1:])
    runtime = Runtime(workers=2, device="cpu", engine="ray", cache=out.parent / "cache")
    executor = Dying(executor_of(runtime), flag)
    table(data, weights, out, Runtime(device="cpu", cache=runtime.cache, executor=executor))
