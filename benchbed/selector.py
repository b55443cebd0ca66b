"""The contract of a selector: from a finished search to one architecture.

A selector advances by steps, each one decision or one tuning epoch, so that a kill inside a selection costs one
step. Between steps its `state` holds everything that it knows. It measures only at the searcher's evaluation gates,
draws only from its own stream, and sees no test data. What it decides is laid over the objective, so the searcher can
go on training while it decides.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from .objective import Mask, Objective, Rows, Tree
from .searcher import EvaluationMode, OptionsT, Plugin, Searcher
from .space import Architecture, Space
from .streams import Streams


class Selection(NamedTuple):
    """What a selector ends with. scores: higher is better, NaN where nothing was measured. notes: of plain values."""

    architecture: Architecture
    scores: Float[np.ndarray, "P O"]
    notes: dict[str, Any]


class Context(NamedTuple):
    """What a selector works on.

    tune(decisions, epochs_done, of_epochs, lr_factor, train_alpha): trains weights, and alpha if asked, for one
    epoch under the decisions, at a fresh optimiser when epochs_done is 0. log(values): one line of the run's history.
    """

    space: Space
    searcher: Searcher
    objective: Objective
    streams: Streams
    tune: Callable[..., None]
    log: Callable[[dict[str, Any]], None]

    @property
    def selectable(self) -> Mask:
        """What may be selected: what the space lets, less what the searcher has decided against.

        At a position that the searcher has dropped it is what the space lets.
        """
        whole = torch.from_numpy(self.space.selectable)
        left = whole & self.searcher.mask
        return torch.where(left.any(1, keepdim=True), left, whole)

    @property
    def dropped(self) -> list[int]:
        """The positions that the searcher has dropped: no node keeps them."""
        return (~self.searcher.mask.any(1)).nonzero().flatten().tolist()


class Selector(Plugin[OptionsT]):
    """Base of every selector. `step` returns None until the architecture is chosen."""

    trials: ClassVar[bool] = False  # whether what is tuned within a step is put back at its end, bit for bit
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # named sets of options, for selector.preset=NAME

    def __init__(self, options: OptionsT):
        self.options = options

    @abstractmethod
    def step(self, context: Context) -> Selection | None:
        """One decision or one tuning epoch; the selection once it is complete."""

    def steps(self, space: Space) -> int:
        """How many steps the selection will take, for the progress display."""
        return 1

    def state(self) -> Tree:
        """Default: nothing, for selectors of a single step."""
        return {}

    def load_state(self, tree: Tree) -> None:
        """Restores what `state` gave. Raises ValueError where a selector has no state and is given some."""
        if tree:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(tree)}")


def evaluation_mode(wanted: str, searcher: Searcher) -> EvaluationMode:
    """The mode that an option of 'auto', 'mixture' or 'sampled' means for this searcher."""
    if wanted == "auto":
        return searcher.evaluation
    return "mixture" if wanted == "mixture" else "sampled"


def argmax_selection(
    context: Context, scores: Rows, notes: dict[str, Any], *, by_strength: bool = True
) -> Selection:
    """The architecture of the greatest selectable score at each position, ties to the lowest index.

    Where nodes keep only some of their inputs, those of greatest score are kept, ties to the earlier source (DARTS,
    section 2.4); by_strength: of greatest score times `Searcher.strength`, as scores that are probabilities. A row
    whose selectable scores are all equal says nothing: its operation is drawn uniformly, and noted; so are the inputs
    of a node whose inputs all score the same.
    """
    space, choices, drawn = context.space, [], []
    flow = context.searcher.strength().tolist() if by_strength else [1.0] * len(space.positions)
    strength = [0.0] * len(space.positions)
    for i, (row, selectable) in enumerate(zip(scores.tolist(), space.selectable, strict=True)):
        columns = [int(k) for k in np.flatnonzero(selectable)]
        values = [row[k] for k in columns]
        if max(values) == min(values) and len(values) > 1:
            pick = int(torch.randint(len(columns), (1,), generator=context.streams.generator("selection")))
            drawn.append(i)
        else:
            pick = values.index(max(values))
        choices.append(columns[pick])
        strength[i] = max(values) * flow[i]
    inputs = []
    for node in space.nodes:
        if len(node.incoming) > node.keep and len({strength[i] for i in node.incoming}) == 1:
            draws = torch.rand(len(node.incoming), generator=context.streams.generator("selection"))
            for i, value in zip(node.incoming, draws.tolist(), strict=True):
                strength[i] = value
            inputs += [space.positions[i].name for i in node.incoming]
    kept = space.keep_strongest(choices, strength)
    if names := [space.positions[i].name for i in drawn if kept[i] >= 0]:
        notes = {**notes, "drawn_at_random": names}
    if inputs:
        notes = {**notes, "inputs_drawn_at_random": inputs}
    return Selection(space.architecture_of(kept), scores.double().numpy(), notes)
