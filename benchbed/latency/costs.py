"""The two kinds of cost: additive over positions, and a table of whole networks.

Additive (ProxylessNAS, section 3.3, equation 2): E[cost] = fixed + sum_i sum_j p^i_j F(o^i_j). A table of whole
networks has no such F: its expectation is the exact contraction of all its entries with the rows of gates, because a
fit per position of NAS-Bench-201's measured latencies misses a fifth of their variance on some devices and predicts
negative times.
"""

import hashlib
import json
from functools import reduce
from itertools import combinations, product
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..cost import Cost, Extreme
from ..errors import BenchbedError
from ..objectives.multilinear import Multilinear
from ..space import Architecture, Space
from .knapsack import best_choices


def fingerprint(space: Space, unit: str, *arrays: np.ndarray) -> str:
    """SHA-256 over what a cost holds: the space's operations, the unit and the figures."""
    total = hashlib.sha256(json.dumps([[p.operations for p in space.positions], unit]).encode())
    for array in arrays:
        total.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return total.hexdigest()


def beyond(limit: float, cost: Cost, what: str = "limit") -> BenchbedError:
    """The refusal of a target or limit that no architecture meets."""
    least = cost.least()
    return BenchbedError(
        f"{what} of {limit:g} {cost.unit} is below the fastest architecture on {cost.name}: "
        f"{least.architecture} costs {least.value:.6g} {cost.unit}"
    )


class AdditiveCost(Cost):
    """fixed + the entries of what is chosen. An operation that is not run, such as a zero operation, has entry 0."""

    def __init__(self, space: Space, fixed: float, entries: np.ndarray, name: str, unit: str):
        """entries: (P, O). Raises BenchbedError where a figure is negative or not finite."""
        entries = np.where(space.mask, entries, 0.0).astype(np.float64)
        if not np.isfinite(entries).all() or not np.isfinite(fixed) or entries.min() < 0 or fixed < 0:
            raise BenchbedError(f"cost {name}: every figure must be finite and not negative")
        self.space, self.fixed, self.name, self.unit = space, float(fixed), name, unit
        self.entries = torch.from_numpy(entries)
        self.fingerprint = fingerprint(space, unit, np.array(fixed), entries)

    def value(self, gates: Tensor) -> Tensor:
        assert self.fixed is not None
        return self.fixed + (gates.double() * self.entries).sum((-1, -2))

    def least(self) -> Extreme:
        return self._extreme(1.0)

    def greatest(self) -> Extreme:
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> Extreme:
        keyed = np.where(self.space.selectable, sign * self.entries.numpy(), np.inf)
        kept = self.space.keep_strongest(keyed.argmin(1).tolist(), (-keyed.min(1)).tolist())
        found = self.space.architecture_of(kept)
        return Extreme(found, self.of(found))

    def best_within(self, scores: np.ndarray, limit: float) -> Architecture:
        assert self.fixed is not None
        items = alternatives(self.space)
        costs, won = ([sums(table, item) for item in items] for table in (self.entries.numpy(), scores))
        found = best_choices(costs, won, limit - self.fixed)
        if found is None:
            raise beyond(limit, self)
        choices = [-1] * len(self.space.positions)
        for item, k in zip(items, found, strict=True):
            for i, operation in item[k]:
                choices[i] = operation
        return self.space.architecture_of(tuple(choices))


Item = tuple[tuple[int, int], ...]  # what is decided together: (position, operation) of all that is kept


def alternatives(space: Space) -> list[list[Item]]:
    """The items to choose one of, a row for each position on its own and for each node, whose inputs go together."""
    allowed = [[int(k) for k in np.flatnonzero(row)] for row in space.selectable]
    ruled = {i for node in space.nodes for i in node.incoming}
    rows: list[list[Item]] = [[((i, k),) for k in row] for i, row in enumerate(allowed) if i not in ruled]
    for node in space.nodes:
        rows.append(
            [
                tuple(zip(kept, operations, strict=True))
                for kept in combinations(node.incoming, node.keep)
                for operations in product(*(allowed[i] for i in kept))
            ]
        )
    return rows


def sums(table: np.ndarray, items: list[Item]) -> np.ndarray:
    """The sum of a table's (P, O) entries over each item."""
    return np.array([sum(table[i, k] for i, k in item) for item in items])


class WholeCost(Cost):
    """A figure for every architecture."""

    def __init__(self, space: Space, values: np.ndarray, name: str, unit: str):
        """values: one axis a position, in the order of its operations. Raises BenchbedError where one is missing."""
        gaps = np.argwhere(~np.isfinite(values))
        if len(gaps):
            first = space.architecture_of(tuple(int(k) for k in gaps[0]))
            raise BenchbedError(
                f"cost {name} needs every architecture: {len(gaps):,} of {prod(values.shape):,} are missing, as {first}"
            )
        self.space, self.name, self.unit = space, name, unit
        self.values = np.asarray(values, dtype=np.float64)
        self.contract = Multilinear(space, torch.tensor(self.values))
        self.fingerprint = fingerprint(space, unit, self.values)

    def value(self, gates: Tensor) -> Tensor:
        return self.contract(gates.reshape(-1, *gates.shape[-2:])).reshape(gates.shape[:-2])

    def _selectable(self) -> np.ndarray:
        """bool, one axis a position: the architectures that may be selected."""
        rows = [row[:size] for row, size in zip(self.space.selectable, self.values.shape, strict=True)]
        return np.asarray(reduce(np.logical_and.outer, rows))

    def _extreme(self, values: np.ndarray) -> Extreme:
        place = np.unravel_index(np.where(self._selectable(), values, np.inf).argmin(), values.shape)
        found = self.space.architecture_of(tuple(int(k) for k in place))
        return Extreme(found, float(self.values[place]))

    def least(self) -> Extreme:
        return self._extreme(self.values)

    def greatest(self) -> Extreme:
        return self._extreme(-self.values)

    def best_within(self, scores: np.ndarray, limit: float) -> Architecture:
        allowed = self._selectable() & (self.values <= limit)
        if not allowed.any():
            raise beyond(limit, self)
        rows = [row[:size] for row, size in zip(scores, self.values.shape, strict=True)]
        total = np.where(allowed, reduce(np.add.outer, rows), -np.inf)
        cheapest = np.where(total == total.max(), self.values, np.inf)
        place = np.unravel_index(cheapest.argmin(), cheapest.shape)
        return self.space.architecture_of(tuple(int(k) for k in place))


def values_of_all(cost: AdditiveCost | WholeCost) -> np.ndarray:
    """float64, one axis a position in the order of its operations: what every architecture costs.

    For spaces that can be enumerated: it is as large as the space.
    """
    if isinstance(cost, WholeCost):
        return cost.values
    assert cost.fixed is not None
    rows = [row[: len(p.operations)] for row, p in zip(cost.entries.numpy(), cost.space.positions, strict=True)]
    return np.asarray(reduce(np.add.outer, rows, np.array(cost.fixed)))
