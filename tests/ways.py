"""A way to do jobs, for the laws of executors: all shards, in any order, and then a merge."""

from nearfar.runtime.executor import Executor
from nearfar.runtime.shards import Deferred, Gathered, OneShard, Shard


class InShards(Executor):
    """Runs every shard, the last first, and gathers what they kept."""

    whole = True
    apart = False

    def __init__(self, of=3):
        self.of = of

    def run(self, task, jobs, resources=None, codec=None):
        if codec is None:
            yield from Gathered({}).run(task, jobs)
            return
        jobs, pieces, told = list(jobs), {}, []
        for number in range(self.of, 0, -1):
            try:
                for _ in OneShard(Shard(number, self.of)).run(task, jobs, codec=codec):
                    pass
            except Deferred as end:
                pieces |= end.pieces
                told += end.told
        yield from Gathered(pieces, told).run(task, jobs, codec=codec)
