"""Every searcher on the supernet of every space: a whole search, and one that is continued from its middle."""

import pytest
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.tree import difference, through_file
from benchbed.training.search_loop import train_epoch

EPOCHS = 2
# With a warm-up of half the epochs the other half makes architecture steps.
OPTIONS = {
    "proxyless": {"warmup": 0.5},
    "reinforce": {"warmup": 0.5, "samples": 2},
    "enas": {"updates": 2, "samples": 2},
    "sgas": {"operation": "perturb"},
    "shapley": {"permutations": 2, "truncation": 0.9},
}
SEARCHERS = [plugin.name for plugin in registry.plugins("searcher")]
ALONE = [name for name in SEARCHERS if "fidelity" in registry.load("searcher", name).needs]  # refused on a supernet
NAMES = [(name, {}) for name in SEARCHERS if name not in ALONE] + [("darts", {"order": 2}), ("snas", {"reinmax": True})]
FAST = ("nb201", "nb201-untied", "macro", "mbconv")
# In the default lane every searcher is on a cell with inputs to drop, and in turn on one of the other small spaces.
CASES = [
    pytest.param(
        name,
        options,
        space,
        id=f"{name}{''.join(map(str, options.values()))}-{space}",
        marks=() if space in ("darts-s2", FAST[number % len(FAST)]) else (pytest.mark.slow,),
    )
    for number, (name, options) in enumerate(NAMES)
    for space in (plugin.name for plugin in registry.plugins("space"))
]


def _sealed():
    raise AssertionError("the test split was touched")


def _search(name, options, space, seed):
    """A searcher and its objective at the start of a search."""
    images = torch.randn(2, 12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    train, valid = (Split(half, torch.arange(12) % 3) for half in images)
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(_sealed), "0")
    streams = Streams(seed)
    cells = 3 if space.nodes else 1  # the least with both kinds of cell
    supernet = SupernetOptions(channels=4, cells=cells, batch=6, valid_batch=6, eval_batch=6)
    objective = SupernetObjective(space.for_images(task.shape, task.classes), task, supernet, streams, EPOCHS)
    kind = registry.load("searcher", name)
    return kind(objective.space, kind.Options(**{**OPTIONS.get(name, {}), **options}), streams), objective


def _state(searcher, objective):
    return {"searcher": searcher.state(), "objective": objective.state(), "streams": searcher.streams.state()}


@pytest.mark.parametrize(("name", "options", "space"), CASES)
def test_a_search_runs_and_continues_from_its_middle_bit_for_bit(name, options, space, small_space):
    searcher, objective = _search(name, options, small_space(space), 0)
    train_epoch(without_cost(objective), searcher, 0, EPOCHS)
    middle = through_file(_state(searcher, objective))
    train_epoch(without_cost(objective), searcher, 1, EPOCHS)

    p, mask = searcher.probabilities(), torch.from_numpy(objective.space.mask)
    assert (p[~mask] == 0).all()
    droppable = torch.tensor([position.droppable for position in objective.space.positions])
    assert ((p.sum(1) - 1).abs() < 1e-5).logical_or((p.sum(1) == 0) & droppable).all()
    if name in ("sgas", "shrink"):
        assert ((p == 0) | (p == 1)).all()
        objective.space.architecture(p.numpy())  # a member: what may be selected, as many inputs as a node keeps
        assert (torch.from_numpy(objective.space.selectable) | (p == 0)).all()

    other, elsewhere = _search(name, options, small_space(space), 1)
    other.load_state(middle["searcher"])
    elsewhere.load_state(middle["objective"])
    other.streams.load_state(middle["streams"])
    train_epoch(without_cost(elsewhere), other, 1, EPOCHS)
    assert difference(_state(searcher, objective), _state(other, elsewhere)) is None
