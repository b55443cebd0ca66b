"""Many processes on one training or one search, started by torchrun: who this process is, and what all of them share.

No wrapper around the network: every process holds the same weights and draws the same random numbers, takes its part
of each batch, and the gradients are averaged over the images of all parts in one all-reduce, so that each process
makes the same step. All results of an all-reduce are the same bit for bit in every process.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import BenchbedError
from .folder import Folder
from .machine import pick_device

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # the longest wait for another process: the first one writes, or reads a large folder


@dataclass(frozen=True)
class Group:
    """The processes that work together: this one's `rank`, from 0, of `size`. All calls but `part` are collective.

    Alone (size 1) every call gives back what it was given, untouched.
    """

    rank: int = 0
    size: int = 1

    @property
    def leader(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's share of `count` things in a row: nearly equal, contiguous, in the order of the ranks."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def divides(self, name: str, batch: int) -> None:
        """Raises BenchbedError where the global batch is not a multiple of the number of processes."""
        if batch % self.size:
            below, above = batch - batch % self.size, batch + self.size - batch % self.size
            nearest = f"{below} or {above}" if below else str(above)
            raise self.refusal(f"{name} = {batch}: {self.size} processes cannot share it equally; take {nearest}")

    def refusal(self, text: str) -> BenchbedError:
        """What every process of the group raises alike: the first one says it, the others end in silence."""
        return BenchbedError(text if self.leader else "")

    def mean(
        self, loss: Tensor, gradients: Sequence[Tensor | None], images: int
    ) -> tuple[Tensor, list[Tensor | None], Tensor]:
        """Mean loss and gradients over the images of all processes, and their number; `images` is this process's own.

        The gradients that are None must be the same in every process, and so must their shapes.
        """
        count = torch.full((), images, device=loss.device, dtype=torch.float64)
        if self.size == 1:
            return loss, list(gradients), count
        present = [g for g in gradients if g is not None]
        flat = torch.cat([*(g.reshape(-1) for g in present), loss.detach().reshape(1)]).mul_(images)
        flat = torch.cat([flat, flat.new_full((1,), images)])
        dist.all_reduce(flat)
        total = flat[-1].double()
        flat /= flat[-1].clone()
        pieces = iter(flat[:-2].split([g.numel() for g in present]))
        # in the gradient's own memory layout: a channels-last weight is stepped with a channels-last gradient
        shared = [None if g is None else torch.empty_like(g).copy_(next(pieces).view(g.shape)) for g in gradients]
        return flat[-2].to(loss.dtype), shared, total

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites the tensors with the first process's."""
        if self.size > 1:
            for tensor in tensors:
                held = tensor.contiguous()
                dist.broadcast(held, 0)
                tensor.copy_(held)

    def gather(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def from_leader(self, make: Callable[[], T]) -> T:
        """What the first process makes; if it raises BenchbedError, so do all, and the first one says why."""
        if self.size == 1:
            return make()
        box: list[Any] = [None, False]
        refused: BenchbedError | None = None
        if self.leader:
            try:
                with within(ALONE):
                    box[0] = make()
            except BenchbedError as error:
                refused, box[1] = error, True
        dist.broadcast_object_list(box, 0)
        if refused is not None:
            raise refused
        if box[1]:
            raise BenchbedError("")
        value: T = box[0]
        return value

    def folder(self, path: Path, needed: Sequence[str] = (), wait: bool = False) -> Folder:
        """The folder of a stage, which the first process alone reads and writes."""
        return Folder(path, needed, wait) if self.size == 1 else SharedFolder(self, path, needed, wait)


ALONE = Group()


class SharedFolder(Folder):
    """A stage's folder for a group: the first process holds it, and hands on what it reads."""

    def __init__(self, group: Group, path: Path, needed: Sequence[str] = (), wait: bool = False):
        super().__init__(path, needed, wait)
        self.group = group

    def __enter__(self) -> "SharedFolder":
        def enter() -> None:
            super(SharedFolder, self).__enter__()

        self.group.from_leader(enter)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.group.leader:
            super().__exit__(kind, error, trace)

    @property
    def record(self) -> dict[str, Any] | None:
        return self.group.from_leader(lambda: super(SharedFolder, self).record)


def _by_leader(method: Callable[..., T]) -> Callable[..., T]:
    def call(self: SharedFolder, *given: object) -> T:
        return self.group.from_leader(lambda: method(self, *given))

    return call


for _name in ("load", "to_clear", "clear", "finish", "log", "save", "keep"):
    setattr(SharedFolder, _name, _by_leader(getattr(Folder, _name)))


def started() -> Group:
    """The group that torchrun has put this process into; alone without it. Nothing is connected yet.

    Raises BenchbedError where the environment says half of it.
    """
    size = _of_environment("WORLD_SIZE", 1)
    if size == 1:
        return ALONE
    if lacks := [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise BenchbedError(
            f"WORLD_SIZE = {size} is in the environment, and {', '.join(lacks)} not: start by torchrun, or unset it"
        )
    return Group(_of_environment("RANK", 0), size)


def _of_environment(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or (name == "WORLD_SIZE" and int(text) < 1):
        raise BenchbedError(f"{name} = {text} in the environment: expected a whole number, such as torchrun sets it")
    return int(text)


_connected = ALONE


def connected() -> Group:
    """The group that is worked in, for what is given none, such as a task's function; alone outside of `joined`."""
    return _connected


@contextmanager
def within(group: Group) -> Iterator[None]:
    """What is called within works in the group: `ALONE`, where one process of several does something by itself."""
    global _connected
    before, _connected = _connected, group
    try:
        yield
    finally:
        _connected = before


def said(error: RuntimeError) -> str:
    """The first sentence of what torch says of a connection, without the line of torch's code; whole words of it."""
    return shorten(str(error).split("] ", 1)[-1].split(". ")[0], 160, placeholder=" ...")


@contextmanager
def joined(device: str) -> Iterator[tuple[Group, torch.device]]:
    """Connects the group that torchrun started, gloo on CPUs and NCCL on CUDA devices, and parts on leaving.

    Gives this process's device: under torchrun a CUDA device of its own. Raises BenchbedError where there are fewer,
    and in every process that is left when another one of the group dies.
    """
    group = started()
    if group.size == 1:
        yield group, pick_device(device)
        return
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda:
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise BenchbedError(
                f"process {local} of this machine has no CUDA device: there are {torch.cuda.device_count()}, "
                f"start no more processes than that"
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    elif device not in ("auto", "cpu"):
        raise group.refusal(f"device '{device}' under torchrun: give cuda, of which each process takes its own, or cpu")
    chosen = pick_device(device)
    # Imported first, for an optimiser's first step imports it, and it takes the group that is there into its functions'
    # defaults: then gloo's threads outlive the parting, and one that still runs while Python ends may abort the process
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        with within(group):
            yield group, chosen
        dist.barrier()  # nobody leaves while another still talks to it
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise BenchbedError(
            f"process {group.rank} of {group.size}: another one is gone or cannot be reached ({said(error)}): the same "
            "command goes on from what was saved last"
        ) from None
    finally:
        dist.destroy_process_group()
