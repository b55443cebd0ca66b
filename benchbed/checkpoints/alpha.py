"""A searcher that goes on with an alpha that was learned elsewhere."""

from torch import Tensor

from ..errors import BenchbedError
from ..searcher import Searcher


def give(searcher: Searcher, alpha: Tensor, adam: dict[str, Tensor] | None = None) -> None:
    """Puts alpha (P, O) into the searcher's state, and Adam's moments of it where its optimiser has a place for them.

    adam: step, exp_avg (P, O) and exp_avg_sq (P, O); None: its optimiser begins anew. Raises BenchbedError for a
    searcher without an alpha of that shape.
    """
    state = searcher.state()
    own = state.get("alpha")
    if not isinstance(own, Tensor) or own.shape != alpha.shape:
        raise BenchbedError(
            f"searcher {type(searcher).__name__} has no alpha to take over: give one that learns it, such as darts"
        )
    state["alpha"] = alpha.detach().float()
    if "optimiser" in state:
        state["optimiser"] = {**state["optimiser"], "state": {} if adam is None else {0: adam}}
    searcher.load_state(state)
