"""One process, or several that train together: who does what, and sums over all of them.

Several are started by the usual launcher (`accelerate launch`, `torchrun`), which says so in the
environment; accelerate is imported only then. This file imports torch; import it inside functions
only.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from nearfar.embedder.device import choose
from nearfar.embedder.infer import SMALL
from nearfar.errors import SettingError, needs

_LAUNCHED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what launchers set


class Team:
    """The processes of one training.

    >>> alone = Team("cpu")  # no launcher has set WORLD_SIZE
    >>> alone.size, alone.rank, alone.leads
    (1, 0, True)

    Args:
        device: as in `Runtime`; with several processes on GPUs each takes its own.

    Raises:
        SettingError: no such device, or several processes without accelerate or a launcher.
    """

    def __init__(self, device: str) -> None:
        chosen = choose(device)
        self._together = _accelerator(chosen) if _several() else None
        if self._together is None:
            self.size, self.rank, self.device = 1, 0, chosen
        else:
            self.size, self.rank = self._together.num_processes, self._together.process_index
            self.device = self._together.device  # each process has a GPU of its own

    @property
    def leads(self) -> bool:
        """Is this the process that writes?"""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes."""
        if self._together is None:
            return module
        with warnings.catch_warnings():
            # PyTorch 2.13 has another name for what accelerate still calls broadcast_buffers.
            warnings.simplefilter("ignore", FutureWarning)
            return cast(nn.Module, self._together.prepare_model(module))

    def alone(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """Inside, gradients are kept and not yet averaged."""
        if self._together is None:
            return nullcontext()
        return cast(AbstractContextManager[Any], self._together.no_sync(wrapped))

    def total(self, x: Tensor) -> Tensor:
        """The sum over the processes, the same in each."""
        if self._together is None:
            return x
        return cast(Tensor, self._together.reduce(x, reduction="sum"))

    def average(self, module: nn.Module) -> None:
        """The running statistics of BatchNorm: the mean over the processes."""
        if self._together is not None:
            for buffer in module.buffers():
                if buffer.is_floating_point():  # not the count of batches, which nothing uses
                    buffer.copy_(self.total(buffer.clone()) / self.size)

    @contextmanager
    def helped(self, parameters: int) -> Iterator[None]:
        """Inside, as many threads work as are of use to an encoder of that many parameters.

        One for a small one on a CPU, as where it scores: others would wait for each other longer
        than they work. So a small one ends with the same bits on any number of cores.
        """
        if self.device.type != "cpu" or parameters > SMALL:
            yield
            return
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def first(self) -> AbstractContextManager[Any]:
        """The leader goes through, then the others, who find what it has written."""
        if self._together is None:
            return nullcontext()
        return cast(AbstractContextManager[Any], self._together.main_process_first())

    def close(self) -> None:
        """Say goodbye to the others."""
        if self._together is not None:
            self._together.wait_for_everyone()
            self._together.end_training()


def _several() -> bool:
    """Does the environment say that there are other processes?"""
    size = os.environ.get("WORLD_SIZE") or "1"  # unset and empty are the same to launchers
    if not size.isdecimal():
        raise SettingError(
            f"WORLD_SIZE is {size!r}; start it with accelerate launch or torchrun, or unset "
            "WORLD_SIZE"
        )
    return int(size) > 1


def _accelerator(device: torch.device) -> Any:
    size = os.environ["WORLD_SIZE"]
    told = f"WORLD_SIZE is {size}, and training in several processes needs accelerate"
    with needs("train", told, SettingError):
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    missing = [name for name in _LAUNCHED if not os.environ.get(name)]  # else torch fails far below
    if missing:
        raise SettingError(
            f"WORLD_SIZE is {size}, but {missing[0]} is not set: start it with "
            "accelerate launch or torchrun, or unset WORLD_SIZE"
        )
    # Each process keeps its own running statistics; they are averaged after an epoch.
    own = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[own])
