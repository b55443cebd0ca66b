"""A supernet split at a position: one supernet for each operation there, each with weights of its own.

To the objective it is a supernet like any other, in which the position stands around the whole network in place of
within it: its output is the gated sum of the sub-supernets' outputs, and sub-supernet k is the network with operation k
at the position. A path runs the one sub-supernet that it belongs to. Split again, it is split at two positions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import BenchbedError
from ..layers.mixed import Candidate, mixed
from ..layers.plan import Plan, Run
from ..space import Space
from ..supernet import Supernet

Logits = Callable[[Tensor, Tensor, Plan], Tensor]  # of images, gates and a plan


class SplitSupernet(Supernet):
    """`whole` split at a position with operations in these columns; the first sub-supernet is `whole` itself."""

    def __init__(self, whole: nn.Module, position: int, columns: Sequence[int]):
        super().__init__()
        parts = [whole, *(twin(whole) for _ in columns[1:])]
        self.position, self.noise = position, getattr(whole, "noise", None)
        self.parts = nn.ModuleDict({str(column): part for column, part in zip(columns, parts, strict=True)})

    @property
    def subs(self) -> dict[int, nn.Module]:
        """The sub-supernets by column."""
        return {int(column): part for column, part in self.parts.items()}

    @property
    def draws(self) -> bool:
        return any(getattr(part, "draws", False) for part in self.subs.values())

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        return self._mixed(images, gates, plan, lambda part: part)

    def forward_once(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        return self._mixed(images, gates, plan, lambda part: getattr(part, "forward_once", part))

    def _mixed(self, images: Tensor, gates: Tensor, plan: Plan, way: Callable[[nn.Module], Logits]) -> Tensor:
        def sub(column: int, how: Run) -> Candidate:
            part, rows = self.subs[column], gates
            if how is not Run.UNIT:  # else it flows alone, and the row is that already
                rows = gates.clone()
                rows[self.position] = nn.functional.one_hot(torch.tensor(column), gates.shape[1]).to(gates)
            inputs = (rows, self._with((column, Run.UNIT), plan))
            if how is Run.ECHOED:  # run later, when other weights may have been put into the network
                held = {**dict(part.named_parameters()), **dict(part.named_buffers())}
                return lambda x: functional_call(part, held, (x, *inputs))
            run = way(part)
            return lambda x: run(x, *inputs)

        def zero() -> Tensor:
            with torch.no_grad():
                return torch.zeros_like(next(iter(self.subs.values()))(images, gates, self._with(None, plan)))

        row = [(how, gates[self.position, column], sub(column, how)) for column, how in plan[self.position]]
        return mixed(images, row, zero)

    def _with(self, alone: tuple[int, Run] | None, plan: Plan) -> Plan:
        """The plan with this at the position, or nothing."""
        return (*plan[: self.position], () if alone is None else (alone,), *plan[self.position + 1 :])

    def compile_steps(self) -> bool:
        return all(isinstance(part, Supernet) and part.compile_steps() for part in self.subs.values())

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        for k, part in self.subs.items():
            if isinstance(part, Supernet) and (position != self.position or column == k):
                yield from part.candidate_weights(position, column)


def twin(network: nn.Module) -> nn.Module:
    """A copy of the network and its weights, which draws from the same generator and tells the same person."""
    held = [thing for m in network.modules() if isinstance(m, Supernet) for thing in (m.noise, m.notice)]
    return deepcopy(network, {id(thing): thing for thing in held})


def split_network(network: nn.Module, space: Space, positions: Sequence[int]) -> nn.Module:
    """The network split at these positions of the space, the outermost first; without any, the network itself."""
    for i in reversed(positions):
        network = SplitSupernet(network, i, space.mask[i].nonzero()[0].tolist())
    return network


def whole_of(network: nn.Module) -> nn.Module:
    """The network that was split to give this one: a part of it."""
    return whole_of(next(iter(network.subs.values()))) if isinstance(network, SplitSupernet) else network


def trained_alone(network: nn.Module) -> list[nn.Module]:
    """The networks that share no weight: the sub-supernets, or the network itself."""
    if not isinstance(network, SplitSupernet):
        return [network]
    return [one for part in network.subs.values() for one in trained_alone(part)]


def put_back(network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Loads what `state_dict` gave of a network that is split alike. Raises BenchbedError where it does not fit."""
    if differs := _difference(saved, network.state_dict()):
        raise BenchbedError(f"the saved supernet does not fit this one, is it of another space or size? {differs}")
    network.load_state_dict(saved)


def choices_at(space: Space, positions: Sequence[int]) -> Float[Tensor, "K P O"]:
    """One-hot rows at the positions, zeros elsewhere, for every choice of operations there."""
    choices = list(product(*(space.mask[i].nonzero()[0].tolist() for i in positions)))
    found = torch.zeros(len(choices), *space.mask.shape)
    for one, columns in zip(found, choices, strict=True):
        one[list(positions), list(columns)] = 1.0
    return found


def refuse_other(before: tuple[int, ...], positions: tuple[int, ...], space: Space) -> None:
    """Raises BenchbedError for positions that are none, or others than those at which the supernet is split."""
    if before and before != positions:
        raise BenchbedError(f"the supernet is split at {_named(before, space)}, and not at {_named(positions, space)}")
    last = len(space.positions) - 1
    if not positions or len(set(positions)) < len(positions) or not all(0 <= i <= last for i in positions):
        raise BenchbedError(f"a supernet is split at different positions of 0 to {last}, not at {positions}")


def _named(positions: tuple[int, ...], space: Space) -> str:
    return ", ".join(f"'{space.positions[i].name}'" for i in positions)


def _difference(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What keeps `saved` from being loaded, the first of each kind named; '' where nothing does."""
    lacking, more = [k for k in own if k not in saved], [k for k in saved if k not in own]
    other = [k for k in own if k in saved and saved[k].shape != own[k].shape]
    found = [f"{len(lacking)} missing, such as '{lacking[0]}'"] if lacking else []
    found += [f"{len(more)} that it has no place for, such as '{more[0]}'"] if more else []
    found += [f"'{k}' of {tuple(saved[k].shape)} where {tuple(own[k].shape)} is expected" for k in other[:1]]
    return "; ".join(found)
