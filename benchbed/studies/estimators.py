"""Estimators of dL/dalpha against the exact gradient, on a table whose expectation is known exactly.

The table objective gives L(p) = E over independent draws of 1 - accuracy, and its gradient in alpha by autograd. At
alphas along an exact descent each searcher makes its architecture step many times without moving, and what it would
have stepped by is compared: is its mean the gradient (bias), and how far are single steps from their mean (noise)?
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import registry
from ..cost import without_cost
from ..errors import BenchbedError
from ..objectives.table import TableObjective
from ..pipeline.resolve import with_settings
from ..report.markdown import in_words, json_lines, markdown_table, write_files
from ..report.plots import Curve, curves_svg
from ..searcher import AlphaSearcher, Clock, masked_softmax
from ..space import Space
from ..stats.interval import Interval, mean_interval
from ..streams import Streams
from ..tables.figures import in_epochs
from ..tables.table import Table
from ..typed import typed

DESCENT_LR = 0.05  # Adam's, of the exact descent: the searchers' preset 'table'
LAST = Clock(1, 0, 2, 1)  # after every warm-up


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
    """One estimator at one point, over its draws g with mean m and exact gradient G.

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


class Compared(NamedTuple):
    """A finished study."""

    words: str
    draws: int
    findings: list[Finding]
    confidence: dict[int, float]  # by steps: the mean of the rows' greatest probability


def parse_estimator(text: str) -> Estimator:
    """The searcher of 'NAME' or 'NAME:KEY=VALUE[,KEY=VALUE...]'. Raises BenchbedError for what cannot be one."""
    name, _, rest = text.partition(":")
    loaded = registry.load("searcher", name)
    if not issubclass(loaded, AlphaSearcher):
        raise BenchbedError(f"estimator '{text}': searcher '{name}' learns no alpha by a gradient")
    settings = [f"searcher.{part.strip()}" for part in rest.split(",")] if rest else []
    options = with_settings({}, settings).get("searcher", {})
    options.pop("name", None)
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


def draws_of(estimator: Estimator, objective: TableObjective, point: Point, count: int) -> Tensor:
    """float64 (count, P, O): what the searcher's optimiser would be given at the point, `count` times."""
    searcher = made(estimator, objective.space, point.seed)
    with torch.no_grad():
        searcher.alpha.copy_(point.alpha)
    searcher.optimiser = Still()  # type: ignore[assignment]
    problem, found = without_cost(objective), []
    for _ in range(count):
        searcher.arch_step(problem, None, LAST)
        assert searcher.alpha.grad is not None
        found.append(searcher.alpha.grad.double().clone())
    return torch.stack(found)


def made(estimator: Estimator, space: Space, seed: int) -> AlphaSearcher:
    """The searcher with its options. Raises BenchbedError for an option that it does not have."""
    loaded = registry.load("searcher", estimator.searcher)
    options = typed(loaded.Options, estimator.options, f"estimator '{estimator.name}'")
    searcher: AlphaSearcher = loaded(space, options, Streams(seed))
    return searcher


class Still:
    """Stands for an optimiser that does not move."""

    def step(self) -> None:
        """Nothing."""


def study(
    table: str, dataset: str, asked: Sequence[str], seeds: Sequence[int], steps: Sequence[int], draws: int
) -> Compared:
    """Every estimator at every point, `draws` times.

    Raises BenchbedError for an estimator that is none or stands there twice, or fewer than two draws.
    """
    if draws < 2:
        raise BenchbedError(f"--draws {draws}: the noise of an estimator needs at least 2")
    if len(set(asked)) < len(asked):
        raise BenchbedError(f"estimator '{next(a for a in asked if asked.count(a) > 1)}' is asked for twice")
    estimators = [parse_estimator(text) for text in asked]
    opened = Table.open(table)
    objective = TableObjective.of(opened, dataset)
    for one in estimators:
        made(one, objective.space, 0)
    findings, sure = [], dict[int, list[float]]()
    for point in points(objective, seeds, steps):
        p = masked_softmax(point.alpha, torch.from_numpy(objective.space.mask))
        sure.setdefault(point.steps, []).append(float(p.amax(1).mean()))
        findings += [compare(one, draws_of(one, objective, point, draws), point) for one in estimators]
    words = f"{dataset} validation accuracy after {in_epochs(opened.full_epochs)} in table {opened.name}"
    return Compared(words, draws, findings, {step: float(np.mean(values)) for step, values in sorted(sure.items())})


def compare(estimator: Estimator, draws: Tensor, point: Point) -> Finding:
    """The draws (n, P, O) against the point's exact gradient."""
    g, exact = draws.flatten(1), point.gradient.flatten()
    mean, n = g.mean(0), len(g)
    scale = float(mean @ exact / (exact @ exact))
    variance = float((g - mean).square().sum() / (n - 1))  # E |g - m|^2
    size = float(exact.norm())
    elsewhere = float((mean - scale * exact).square().sum()) - variance / n
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
    )


# -- the page ----------------------------------------------------------------------------------------------------------

MEASURES = ("cosine", "bias", "noise", "single")


def by_step(found: Compared) -> dict[tuple[str, int], dict[str, Interval]]:
    """(estimator, steps) -> each measure's mean over seeds, in the order asked for."""
    keys = dict.fromkeys((f.estimator, f.steps) for f in found.findings)
    table = {}
    for key in keys:
        own = [f for f in found.findings if (f.estimator, f.steps) == key]
        table[key] = {name: mean_interval([getattr(f, name) for f in own]) for name in (*MEASURES, "scale")}
    return table


def markdown(found: Compared) -> list[str]:
    """A row an estimator and stage of the descent."""
    head = ["estimator", "steps", "cosine of the mean", "bias", "noise of a step", "cosine of a step", "scale"]
    lines = []
    for (name, steps), row in sorted(by_step(found).items(), key=lambda item: _order(found, item[0])):
        lines.append([name, str(steps), *(in_words(row[m]) for m in (*MEASURES, "scale"))])
    seeds = len({f.seed for f in found.findings})
    stages = ", ".join(f"{p:.2f} after {step}" for step, p in found.confidence.items())
    about = f"Against the exact gradient of {found.words}, {found.draws:,} draws a point, means over {seeds} descents "
    about += "with 95 % intervals (BCa bootstrap). Bias: the part of the mean that does not point along the gradient; "
    about += "noise: a step's deviation from the mean; both over the gradient's length. Noise far above the root of "
    about += f"the number of draws, {found.draws**0.5:.0f}, leaves nothing to be read of the mean. "
    about += f"Mean greatest probability of a row: {stages} steps."
    return [*markdown_table(head, lines), "", about]


def _order(found: Compared, key: tuple[str, int]) -> tuple[int, int]:
    names = list(dict.fromkeys(f.estimator for f in found.findings))
    return names.index(key[0]), key[1]


def picture(found: Compared) -> bytes:
    """Two panels over the descent's steps: the cosine of the mean, and the noise of a step."""
    table = by_step(found)
    names = list(dict.fromkeys(name for name, _ in table))

    def curves(measure: str) -> list[Curve]:
        return [Curve(n, [(s, table[n, s][measure]) for m, s in table if m == n]) for n in names]

    noise = "noise of a step over the gradient's length"
    panels = {"cosine of the mean step and the exact gradient": curves("cosine"), noise: curves("noise")}
    return curves_svg(panels, "steps of the exact descent", {noise: 0.1})


def write(found: Compared, place: Path) -> None:
    """estimators.jsonl (a line an estimator and point), .md and .svg into the folder, each whole or not at all."""
    page = "\n".join(markdown(found)) + "\n"
    lines = json_lines({**f._asdict(), "draws": found.draws, "of": found.words} for f in found.findings)
    write_files(place, {"estimators.jsonl": lines, "estimators.md": page, "estimators.svg": picture(found)})
