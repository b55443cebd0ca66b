"""Kendall's tau-b, and its values on many resamples at once.

tau-b = (concordant - discordant) / sqrt(pairs untied in x times pairs untied in y); Kendall, Biometrika 33 (1945). A
resample draws items with replacement, so that it is a weight an item, and all resamples share the order of the items.
Sorted by x and by y, they fall into blocks; the discordant pairs of two items that share neither block are counted by
blocks alone, those of the others block by block, each for many resamples by one product of matrices.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float32, Float64, Int, Num
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ..runtime.cores import usable_cores

BLOCK = 128  # items
AT_ONCE = 125  # resamples in one piece of work
MOST = 1 << 24  # items up to which single precision counts exactly


def kendall(x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"]) -> float:
    """tau-b over the pairs that are there; NaN for fewer than three or where one side is constant."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(scipy.stats.kendalltau(x, y, method="asymptotic").statistic)


def kendall_of_resamples(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], rows: Int[np.ndarray, "R m"]
) -> Float64[np.ndarray, " R"]:
    """`kendall(x[r], y[r])` for each row r of `rows`, which are places in x and y."""
    there = np.isfinite(x) & np.isfinite(y)
    places = np.flatnonzero(there)[np.lexsort((y[there], x[there]))]
    if len(places) < 3 or rows.shape[1] > MOST:
        return np.array([kendall(x[row], y[row]) for row in rows])
    plan = _plan(x[places], y[places])
    pieces = [rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE)]

    def work(some: np.ndarray) -> np.ndarray:
        counts = np.stack([np.bincount(row, minlength=len(x)) for row in some])
        return _taus(plan, np.ascontiguousarray(counts.astype(np.float32).T[places]))

    cores = usable_cores()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as threads:
        return np.concatenate(list(threads.map(work, pieces)))


class _Plan(NamedTuple):
    """What all resamples share, of items sorted by x and then by y.

    ties_x, ties_y, ties_both: sparse (groups, n), which items are equal. by_y: the items by y. same_x, same_y: (first,
    float32 (b, b)) of each block of items by x, by y: 1 where the row's item is discordant with the column's. cells:
    sparse (blocks * blocks, n): which items share a block of x and one of y.
    """

    ties_x: scipy.sparse.csr_array
    ties_y: scipy.sparse.csr_array
    ties_both: scipy.sparse.csr_array
    by_y: np.ndarray
    same_x: list[tuple[int, np.ndarray]]
    same_y: list[tuple[int, np.ndarray]]
    cells: scipy.sparse.csr_array
    blocks: int


def _plan(x: np.ndarray, y: np.ndarray) -> _Plan:
    n, blocks = len(x), -(-len(x) // BLOCK)
    by_y = np.argsort(y, kind="stable")
    rank = np.empty(n, dtype=np.intp)  # by y
    rank[by_y] = np.arange(n)
    of_x, of_y = np.arange(n) // BLOCK, rank // BLOCK
    new_x, new_y = np.diff(x) != 0, np.diff(y) != 0
    group_y = np.empty(n, dtype=np.intp)
    group_y[by_y] = _groups(np.diff(y[by_y]) != 0)
    return _Plan(
        _members(_groups(new_x)), _members(group_y), _members(_groups(new_x | new_y)), by_y,
        list(_discordant(np.arange(n), y, of_x, within=True)), list(_discordant(by_y, y, of_x, within=False)),
        _members(of_x * blocks + of_y, blocks**2), blocks,
    )  # fmt: skip


def _groups(new: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(new)])


def _members(group: np.ndarray, count: int | None = None) -> scipy.sparse.csr_array:
    """(groups, n): 1 where the item is of the group."""
    shape = (int(group.max()) + 1 if count is None else count, len(group))
    return scipy.sparse.csr_array((np.ones(len(group), np.float32), (group, np.arange(len(group)))), shape=shape)


def _discordant(order: np.ndarray, y: np.ndarray, of_x: np.ndarray, within: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Of each block of `order`: which pairs come in one order by x and in the other by y; in the same block of x, or
    in different ones."""
    for first in range(0, len(order), BLOCK):
        items = order[first : first + BLOCK]
        earlier = items[None, :] < items[:, None] if within else of_x[items][None, :] < of_x[items][:, None]
        yield first, (earlier & (y[items][None, :] > y[items][:, None])).astype(np.float32)


def _taus(plan: _Plan, weights: Float32[np.ndarray, "n R"]) -> Float64[np.ndarray, " R"]:
    """Weights: how often each item was drawn, in the plan's order."""
    discordant = np.zeros(weights.shape[1])
    for of_blocks, ordered in ((plan.same_x, weights), (plan.same_y, weights[plan.by_y])):
        for first, pairs in of_blocks:
            own = ordered[first : first + len(pairs)]
            discordant += _dot(pairs @ own, own)
    cells = (plan.cells @ weights).reshape(plan.blocks, plan.blocks, -1)
    above = np.triu(np.ones((plan.blocks, plan.blocks), dtype=np.float32), 1)
    before = np.zeros_like(cells[0])  # of the blocks of lower x, by block of y
    for own in cells:
        discordant += _dot(above @ before, own)
        before += own
    tied_x, tied_y, tied_both = (_pairs(t @ weights) for t in (plan.ties_x, plan.ties_y, plan.ties_both))
    pairs = _pairs(weights.sum(0, keepdims=True))
    found: np.ndarray
    with np.errstate(divide="ignore", invalid="ignore"):
        # scipy's order of operations, and so its last digit
        found = (pairs - tied_x - tied_y + tied_both - 2 * discordant) / np.sqrt(pairs - tied_x)
        found = np.clip(found / np.sqrt(pairs - tied_y), -1.0, 1.0)
    found[(weights.sum(0) < 3) | (pairs == tied_x) | (pairs == tied_y)] = np.nan
    return found


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum over items of the products, (R,), in float64."""
    total: np.ndarray = np.einsum("ir,ir->r", a, b, dtype=np.float64)
    return total


def _pairs(sizes: np.ndarray) -> np.ndarray:
    """How many pairs groups (G, R) of such sizes hold together: (R,)."""
    held: np.ndarray = (_dot(sizes, sizes) - sizes.sum(0, dtype=np.float64)) / 2
    return held
