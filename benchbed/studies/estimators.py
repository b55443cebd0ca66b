"""Bias and noise of the searchers' gradients of alpha against the exact one.

The table objective gives L(p) = E over independent draws of 1 - accuracy, and its gradient in alpha by autograd: the
expectation is known exactly. At alphas along an exact descent each searcher makes its architecture step many times
without moving, and what it would have stepped by is compared: is its mean the gradient (bias), and how far are single
steps from their mean (noise)? A searcher whose probabilities are not the softmax of alpha (DrNAS) is held against the
gradient of L at its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from .. import registry
from ..cost import without_cost
from ..errors import BenchbedError
from ..modifier import Modified
from ..objectives.table import TableObjective
from ..pipeline.given import named_options
from ..report.markdown import in_words, markdown_table, means
from ..report.plots import Curve, curves_svg
from ..searcher import AlphaSearcher, Clock, Searcher, masked_softmax
from ..stats.interval import Interval
from ..streams import Streams
from ..study import Comma, Distinct, Files, Job, Lab, Records, Seeds, Several, Study, StudyOptions
from ..tables.figures import in_epochs
from ..tables.trusted import trusted
from ..typed import typed

DESCENT_LR = 0.05  # Adam's, of the exact descent: the searchers' preset 'table'
LAST = Clock(1, 0, 2, 1)  # after every warm-up


class Options(StudyOptions):
    """The exact expectation, and which estimators are held against it where."""

    table: str = Field(description="the table whose expectation is known exactly")
    dataset: str = Field(description="of the table")
    estimator: Several = Field(description="a searcher, NAME or NAME:KEY=VALUE[,...]; several may be given")
    seeds: Seeds = Field("0:5", validate_default=True, description="exact descents, a range such as 0:5")
    steps: Annotated[tuple[NonNegativeInt, ...], Comma, Distinct] = Field(
        "0,10,20,40,80", validate_default=True, description="of a descent, after which estimators are compared"
    )
    draws: int = Field(500, ge=2, description="of each estimator at each point")


class Estimator(NamedTuple):
    """A searcher with options. name: as asked for, such as 'proxyless:mode=full'."""

    name: str
    searcher: str
    options: dict[str, Any]


class Point(NamedTuple):
    """An alpha on an exact descent: `steps` after the start of `seed`; gradient: the exact one, float64 (P, O)."""

    seed: int
    steps: int
    alpha: Tensor
    gradient: Tensor


class Finding(NamedTuple):
    """One estimator at one point, over its `draws` g with mean m and exact gradient G; `of`: what that is of, in words.

    cosine: of m and G. scale: <m, G> / <G, G>, 1 where the mean step is as long as the gradient. bias: |m - scale G|
    / |G|, the part of the mean that points elsewhere, less what the noise of so many draws adds to it. noise:
    sqrt(E|g - m|^2) / |G|. single: the mean cosine of one draw and G. Where noise is far above the square root of the
    number of draws, cosine, scale and bias are of the noise.
    """

    estimator: str
    seed: int
    steps: int
    cosine: float
    scale: float
    bias: float
    noise: float
    single: float
    draws: int
    of: str


def parse_estimator(text: str) -> Estimator:
    """The searcher of 'NAME' or 'NAME:KEY=VALUE[,KEY=VALUE...]'. Raises BenchbedError for what cannot be one."""
    name, options = named_options(text)
    loaded = registry.load("searcher", name)
    if not issubclass(loaded.of if issubclass(loaded, Modified) else loaded, AlphaSearcher):
        raise BenchbedError(f"estimator '{text}': searcher '{name}' learns no alpha by a gradient")
    return Estimator(text, name, options)


def points(objective: TableObjective, seeds: Sequence[int], steps: Sequence[int]) -> Iterator[Point]:
    """The alphas of exact descents (Adam), one a seed, each from a start of its own near uniform."""
    mask = torch.from_numpy(objective.space.mask)
    for seed in seeds:
        generator = Streams(seed).generator("alpha")
        alpha = (1e-3 * torch.randn(mask.shape, generator=generator)).masked_fill(~mask, 0.0).requires_grad_()
        adam = torch.optim.Adam([alpha], lr=DESCENT_LR, betas=(0.5, 0.999))
        for step in range(max(steps) + 1):
            loss = 1 - objective.value(masked_softmax(alpha.double(), mask)[None])[0] / 100
            (gradient,) = torch.autograd.grad(loss, alpha)
            if step in steps:
                yield Point(seed, step, alpha.detach().clone(), gradient.double())
            alpha.grad = gradient
            adam.step()


def placed(estimator: Estimator, objective: TableObjective, point: Point) -> tuple[Searcher, AlphaSearcher[Any]]:
    """The searcher with its alpha at the point, and the one that has the alpha: itself, or what is under modifiers."""
    searcher = made(estimator, objective, point.seed)
    alpha = searcher.base if isinstance(searcher, Modified) else searcher
    assert isinstance(alpha, AlphaSearcher)
    with torch.no_grad():
        alpha.alpha.copy_(point.alpha)
    return searcher, alpha


def aim_of(estimator: Estimator, objective: TableObjective, point: Point) -> Point:
    """The point with the exact gradient of L at the searcher's own probabilities there."""
    _, alpha = placed(estimator, objective, point)
    if type(alpha).distribution is AlphaSearcher.distribution:
        return point
    loss = 1 - objective.value(alpha.distribution().double()[None])[0] / 100
    return point._replace(gradient=torch.autograd.grad(loss, alpha.alpha)[0].double())


def draws_of(estimator: Estimator, objective: TableObjective, point: Point, count: int) -> Tensor:
    """float64 (count, P, O): what the searcher's optimiser would be given at the point, `count` times."""
    searcher, alpha = placed(estimator, objective, point)
    alpha.optimiser = SimpleNamespace(step=lambda: None)  # type: ignore[assignment]  # one that does not move
    problem, found = without_cost(objective), []
    for _ in range(count):
        searcher.arch_step(problem, None, LAST)
        if isinstance(searcher, Modified):  # a hook of the optimiser, which stands still
            searcher.change_gradient()
        assert alpha.alpha.grad is not None
        found.append(alpha.alpha.grad.double().clone())
    return torch.stack(found)


def made(estimator: Estimator, objective: TableObjective, seed: int) -> Searcher:
    """The searcher with its options. Raises BenchbedError for one that it lacks, and where a table does not do."""
    loaded = registry.load("searcher", estimator.searcher)
    options = typed(loaded.Options, estimator.options, f"estimator '{estimator.name}'")
    if lacking := loaded.needed(options) - TableObjective.provides:
        raise BenchbedError(f"estimator '{estimator.name}' needs {', '.join(sorted(lacking))}: a table has none")
    loaded.check(options, objective.space, objective)
    searcher: Searcher = loaded(objective.space, options, Streams(seed))
    return searcher


class EstimatorsStudy(Study[Options]):
    """Every estimator at every point, `draws` times; a job is one descent."""

    few: ClassVar[dict[str, Any]] = {"draws": 2}

    def check(self) -> None:
        opened = trusted(self.options.table)
        objective = TableObjective.of(opened, self.options.dataset)
        for text in self.options.estimator:
            made(parse_estimator(text), objective, 0)
        self.fingerprint = opened.fingerprint

    def jobs(self, records: Records) -> list[Job]:
        shared = {**self.options.model_dump(mode="json", exclude={"seeds"}), "fingerprint": self.fingerprint}
        return [{**shared, "seed": seed} for seed in self.options.seeds]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        opened = trusted(job["table"])
        objective = TableObjective.of(opened, job["dataset"])
        estimators, findings, sure = [parse_estimator(text) for text in job["estimator"]], [], []
        words = f"{job['dataset']} validation accuracy after {in_epochs(opened.full_epochs)} in table {opened.name}"
        for point in points(objective, [job["seed"]], job["steps"]):
            p = masked_softmax(point.alpha, torch.from_numpy(objective.space.mask))
            sure.append([point.steps, float(p.amax(1).mean())])
            for one in estimators:
                draws = draws_of(one, objective, point, job["draws"])
                findings.append(compare(one, draws, aim_of(one, objective, point), words)._asdict())
        return {"findings": findings, "confidence": sure}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Finding]:
        stages = dict[int, list[float]]()
        for step, p in (pair for one in measured for pair in one["confidence"]):
            stages.setdefault(step, []).append(p)
        self.confidence = {step: float(np.mean(values)) for step, values in sorted(stages.items())}
        return [Finding(**finding) for one in measured for finding in one["findings"]]

    def figures(self, rows: Sequence[Finding]) -> Files:
        return {"estimators.md": markdown(rows, self.confidence), "estimators.svg": picture(rows)}


def compare(estimator: Estimator, draws: Tensor, point: Point, of: str = "") -> Finding:
    """The draws (n, P, O) against the point's exact gradient; `of`: that in words."""
    g, exact = draws.flatten(1), point.gradient.flatten()
    mean, n = g.mean(0), len(g)
    scale = float(mean @ exact / (exact @ exact))
    variance = float((g - mean).square().sum() / (n - 1))  # E |g - m|^2
    size = float(exact.norm())
    across = (g - mean) - ((g - mean) @ exact)[:, None] * exact / (exact @ exact)  # without what lies along G
    elsewhere = float((mean - scale * exact).square().sum() - across.square().sum() / (n - 1) / n)
    single = torch.nn.functional.cosine_similarity(g, exact[None], dim=1).mean()
    return Finding(
        estimator.name,
        point.seed,
        point.steps,
        cosine=float(mean @ exact) / (float(mean.norm()) * size),
        scale=scale,
        bias=max(elsewhere, 0.0) ** 0.5 / size,
        noise=variance**0.5 / size,
        single=float(single),
        draws=n,
        of=of,
    )


# -- the page ----------------------------------------------------------------------------------------------------------

MEASURES = ("cosine", "bias", "noise", "single", "scale")


def by_step(found: Sequence[Finding]) -> dict[tuple[str, int], dict[str, Interval]]:
    """(estimator, steps) -> each measure's mean over seeds, an estimator after the other, in the order asked for."""
    names = list(dict.fromkeys(f.estimator for f in found))
    ordered = sorted(found, key=lambda f: (names.index(f.estimator), f.steps))
    return means(ordered, lambda f: (f.estimator, f.steps), MEASURES)


def markdown(found: Sequence[Finding], confidence: Mapping[int, float]) -> list[str]:
    """A row an estimator and stage of the descent. confidence: by steps, the mean of the rows' greatest probability."""
    head = ["estimator", "steps", "cosine of the mean", "bias", "noise of a step", "cosine of a step", "scale"]
    lines = []
    for (name, steps), row in by_step(found).items():
        lines.append([name, str(steps), *(in_words(row[m]) for m in MEASURES)])
    draws, seeds = found[0].draws, len({f.seed for f in found})
    stages = ", ".join(f"{p:.2f} after {step}" for step, p in confidence.items())
    about = f"Against the exact gradient of {found[0].of}, {draws:,} draws a point, means over {seeds} descents "
    about += "with 95 % intervals (Student's t). Bias: the part of the mean that does not point along the gradient; "
    about += "noise: a step's deviation from the mean; both over the gradient's length. Noise far above the root of "
    about += f"the number of draws, {draws**0.5:.0f}, leaves nothing to be read of the mean. "
    about += f"Mean greatest probability of a row: {stages} steps."
    return [*markdown_table(head, lines), "", about]


def picture(found: Sequence[Finding]) -> bytes:
    """Two panels over the descent's steps: the cosine of the mean, and the noise of a step."""
    table = by_step(found)
    names = list(dict.fromkeys(name for name, _ in table))

    def curves(measure: str) -> list[Curve]:
        return [Curve(n, [(s, table[n, s][measure]) for m, s in table if m == n]) for n in names]

    noise = "noise of a step over the gradient's length"
    panels = {"cosine of the mean step and the exact gradient": curves("cosine"), noise: curves("noise")}
    return curves_svg(panels, "steps of the exact descent", {noise: 0.1})
