"""A budget: what a search may spend together with the tuning of the selection after it, for comparisons at equal cost.

`steps=N` counts weight steps (batches of the loop where an objective has no weights), `epochs=N` as many of them as N
passes over the training split have, `seconds=S` the time that the steps of search and tuning took, as measured. Looks
at validation are in none of them. The search is served first: it is cut after the step that spends the budget, on the
schedule of its `epochs`, and an epoch that is cut has no end at which a searcher would decide something. What is left
goes to tuning. Where nothing is left, the selector decides without tuning, and the record's notes say how many of its
tuning epochs were left out or cut. A search cut by seconds is another one each time: nobody can repeat it.
"""

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import BenchbedError, unknown

UNITS = ("steps", "epochs", "seconds")
MOST = 1e15  # what a record writes to the last digit


class Budget(NamedTuple):
    """`amount` is whole but for seconds."""

    unit: str
    amount: float

    @classmethod
    def parse(cls, text: object) -> "Budget":
        """Of 'steps=N', 'epochs=N' or 'seconds=S'. Raises BenchbedError for anything else."""
        unit, equals, amount = str(text).partition("=")
        if equals and unit.strip() not in UNITS:
            raise unknown("unit of a budget", unit.strip(), UNITS)
        try:
            value = float(amount) if unit.strip() == "seconds" else int(amount)
        except ValueError:
            value = 0
        if not equals or not 0 < value < MOST:
            raise BenchbedError(
                f"budget = {str(text)!r:.60}: expected steps=N, epochs=N or seconds=S, with N a whole number above 0 "
                f"and below {MOST:g}"
            )
        return cls(unit.strip(), value)

    def __str__(self) -> str:
        return f"{self.unit}={self.amount:.15g}"


class Meter:
    """What has been spent of a budget; None: of no limit. `go_on` is asked after every step, and counts it."""

    def __init__(self, limit: str | None, steps_per_epoch: int, spent: Mapping[str, Any] | None = None):
        self.limit = None if limit is None else Budget.parse(limit)
        self.steps_per_epoch = steps_per_epoch
        self.steps = int((spent or {}).get("steps", 0))
        self.seconds = float((spent or {}).get("seconds", 0.0))
        self.untuned = int((spent or {}).get("untuned", 0))  # tuning epochs that were left out or cut
        self._began: float | None = None

    @property
    def left(self) -> float:
        """Of the budget, in steps or in seconds."""
        if self.limit is None:
            return math.inf
        if self.limit.unit == "seconds":
            return self.limit.amount - self.seconds
        return self.limit.amount * (self.steps_per_epoch if self.limit.unit == "epochs" else 1) - self.steps

    def begin(self) -> None:
        """The clock runs from here."""
        self._began = time.perf_counter()

    def go_on(self) -> bool:
        """Counts a step that was made; whether there is anything left for the next."""
        now = time.perf_counter()
        self.seconds += now - (now if self._began is None else self._began)
        self._began, self.steps = now, self.steps + 1
        return self.left > 0

    def spent(self) -> dict[str, Any]:
        """What a checkpoint or a record keeps; nothing without a limit."""
        if self.limit is None:
            return {}
        counted = {"steps": self.steps, "seconds": self.seconds, "untuned": self.untuned}
        return {"budget": {"limit": str(self.limit), **counted}}


def repeatable(budget: str | None) -> bool:
    """Whether a search under this budget ends at the same step each time: not one that a clock cuts."""
    return budget is None or Budget.parse(budget).unit != "seconds"
