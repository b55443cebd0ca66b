"""Proxy warm-up: the uniform draws that a search begins with are those that a zero-cost proxy likes most.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 ("zero-cost warmup"): a pool of
architectures is scored without training, and the search begins with the best of it: random search goes through them
from the best on, evolution's population is they. Here it goes around every searcher that draws uniformly: each draw is
the next best of the pool until `first` of them were taken. `proxy run` makes the file of scores; what scoring costs is
not on the simulated clock. By `params` it is the warm-up that any proxy has to beat.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from benchbed.black_box import BlackBoxSearcher
from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Objective, Tree
from benchbed.ranking.prior import FORMS, Prior, available, with_digest
from benchbed.searcher import Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space


class Options(PluginOptions):
    """Who ranks, and how many."""

    by: str = Field("params", description=f"what the pool is ranked by: {FORMS}")
    sha256: str | None = Field(None, description="of that file; filled in")
    pool: int = Field(
        1000, ge=1, description="architectures that are ranked, drawn uniformly, of a file from its lines"
    )
    first: int = Field(10, ge=1, description="of which so many are drawn first, from the best on")

    @model_validator(mode="after")
    def _enough(self) -> "Options":
        if self.pool < self.first:
            raise ValueError(f"pool = {self.pool} with first = {self.first}: rank at least as many as are drawn first")
        return self

    _digest = model_validator(mode="before")(with_digest)


class ProxyWarmup(Modifier[Options]):
    """Lays the best of a pool before the searcher's uniform draws."""

    suite_options: ClassVar[Mapping[str, Any]] = {"pool": 2, "first": 1}

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: Options, space: Space, objective: Objective | None) -> None:
        if not (issubclass(searcher, BlackBoxSearcher) and searcher.draws_uniformly):
            raise BenchbedError(f"it lays architectures before uniform draws, and {searcher.__name__} makes none")

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None = None) -> None:
        if options.sha256 is None or available(options.by):  # a search that has begun needs its file no more
            prior = Prior(options.by, space, options.sha256)
            if prior.known is not None and len(prior.known) < options.first:
                raise BenchbedError(f"{options.by} has {len(prior.known):,} finite scores, and first = {options.first} "
                                    "are to be drawn by them")  # fmt: skip

    def problem(self, problem: Problem, clock: Clock) -> Problem:
        assert isinstance(self.searcher, BlackBoxSearcher)
        if self.searcher.prepared is None:
            options, rng = self.options, self.streams.numpy("proxy-warmup")
            prior = Prior(options.by, self.space, options.sha256)
            self.searcher.prepared = prior.best(options.pool, options.first, rng)
        return problem

    def state(self) -> Tree:
        assert isinstance(self.searcher, BlackBoxSearcher)
        left = self.searcher.prepared
        return {"prepared": None if left is None else [list(one.choices) for one in left]}

    def load_state(self, tree: Tree) -> None:
        assert isinstance(self.searcher, BlackBoxSearcher)
        left = tree["prepared"]
        self.searcher.prepared = None if left is None else [self.space.architecture_of(tuple(one)) for one in left]
