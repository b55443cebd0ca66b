"""What `study strength` writes: rank correlations, agreement and regret of alpha and of perturbation, beside chance."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...report.markdown import markdown_table, mean_in_words
from ...report.plots import strength_svg
from ...stats.agreement import spearman
from ...stats.kendall import kendall


class Candidate(NamedTuple):
    """One operation on one edge. Accuracies in percent, on validation.

    p: its probability. without: the supernet's accuracy with it masked alone. alone: its discretisation accuracy, after
    `epochs` of tuning.
    """

    edge: str
    operation: str
    p: float
    without: float
    alone: float
    epochs: int
    seconds: float


class Found(NamedTuple):
    """One seed's supernet: its accuracy in percent, and the candidates, an edge after the other."""

    seed: int
    accuracy: float
    candidates: list[Candidate]

    def by_edge(self) -> dict[str, list[Candidate]]:
        edges: dict[str, list[Candidate]] = {}
        for one in self.candidates:
            edges.setdefault(one.edge, []).append(one)
        return edges


Score = Callable[[Candidate], float]
# Higher is stronger. `chance` gives every operation the same score.
SCORES: dict[str, Score] = {
    "alpha": lambda c: c.p,
    "perturbation": lambda c: -c.without,
    "chance": lambda c: 0.0,
}
KEYS = ("rho", "tau", "rho_all", "agree", "regret")
# Figures 1 and 2 of the paper, as its text has them; not verified, and not measured here.
PAPER = (
    "The paper's figure 1 shows three random edges of a DARTS supernet, where the largest alpha is repeatedly not the "
    "best operation's; in its figure 2, on S2, magnitude prefers the skip connection on 12 of 14 edges while strength "
    "prefers sep_conv_3x3 on half of them (read in the paper's double-blind submission; it tabulates no number)."
)


def edge_row(candidates: Sequence[Candidate], score: Score) -> dict[str, float]:
    """One edge: rank correlations of the score with discretisation accuracy, agreement and regret.

    agree: how often the operation of greatest score is a best one. regret: the accuracy, in points, that its choice
    gives away. Where several have the greatest score it is drawn among them: both are the mean over the draws.
    """
    x, y = np.array([score(c) for c in candidates]), np.array([c.alone for c in candidates])
    top = x == x.max()
    return {
        "rho": spearman(x, y),
        "tau": kendall(x, y),
        "agree": float((y[top] == y.max()).mean()),
        "regret": float(y.max() - y[top].mean()),
    }


def pooled(edges: Iterable[Sequence[Candidate]], score: Score) -> float:
    """Spearman's rho over all operations of all edges, each figure relative to the mean of its edge."""
    x, y = list[float](), list[float]()
    for candidates in edges:
        for values, out in (([score(c) for c in candidates], x), ([c.alone for c in candidates], y)):
            out += list(np.array(values) - np.mean(values))
    return spearman(np.round(x, 9), np.round(y, 9))


def rows(found: Sequence[Found]) -> dict[str, list[dict[str, float]]]:
    """By score, a row a seed: the means over the edges."""
    table: dict[str, list[dict[str, float]]] = {}
    for name, score in SCORES.items():
        for one in found:
            edges = one.by_edge()
            each = [edge_row(candidates, score) for candidates in edges.values()]
            row = {key: _mean(r[key] for r in each) for key in ("rho", "tau", "agree", "regret")}
            table.setdefault(name, []).append({"seed": one.seed, **row, "rho_all": pooled(edges.values(), score)})
    return table


def _mean(values: Iterable[float]) -> float:
    """Of those that are there."""
    return float(np.mean([v for v in values if math.isfinite(v)] or [math.nan]))


def chosen(found: Sequence[Found], score: Score) -> Counter[str]:
    """How often each operation has the greatest score of its edge, ties to the first."""
    return Counter(max(edge, key=score).operation for one in found for edge in one.by_edge().values())


def markdown(found: Sequence[Found]) -> list[str]:
    """The page: the scores against discretisation accuracy, then edge by edge, then what the paper says."""
    table = rows(found)
    over_edges = ["rho of an edge", "tau of an edge", "rho of all", "best operation chosen", "regret, points"]
    lines = []
    for name, per_seed in table.items():
        picks = "" if name == "chance" else _counted(chosen(found, SCORES[name]))
        lines.append([name, *(mean_in_words([r[key] for r in per_seed]) for key in KEYS), picks])
    lines.append(["discretisation accuracy", "", "", "", "", "", _counted(chosen(found, lambda c: c.alone))])
    pairs = list(zip(table["perturbation"], table["alpha"], strict=True))
    differences = [mean_in_words([a[key] - b[key] for a, b in pairs], signed=True) for key in KEYS]
    lines.append(["perturbation - alpha", *differences, ""])
    epochs = [c.epochs for one in found for c in one.candidates]
    tuned = f"{min(epochs)} to {max(epochs)}" if min(epochs) < max(epochs) else str(max(epochs))
    accuracy = mean_in_words([one.accuracy for one in found])
    return [
        f"Supernets: {len(found)}, of {accuracy} % validation accuracy. Edges: {len(found[0].by_edge())}. Candidates: "
        f"{len(epochs)}, each tuned for {tuned} epochs.",
        "",
        *markdown_table(["score", *over_edges, "chooses"], lines),
        "",
        *_by_edge(found),
        "",
        "Each figure is a mean over the edges, and over the seeds with its 95 % interval where there are several. rho, "
        "tau: Spearman's and Kendall's, of an edge with three operations or more; rho of all: over all operations of "
        "all edges, each relative to its edge's mean. Regret: the discretisation accuracy that a score's choice gives "
        "away. Chance draws the operation.",
        "",
        PAPER,
    ]


def _by_edge(found: Sequence[Found]) -> list[str]:
    head = ["edge", "best operations", "alpha chooses", "rho", "regret", "perturbation chooses", "rho", "regret"]
    lines = []
    for edge in found[0].by_edge():
        own = [one.by_edge()[edge] for one in found]
        best = (x.operation for c in own for x in c if x.alone == max(y.alone for y in c))
        cells = [edge, _counted(Counter(best))]
        for name in ("alpha", "perturbation"):
            each = [edge_row(c, SCORES[name]) for c in own]
            cells.append(_counted(Counter(max(c, key=SCORES[name]).operation for c in own)))
            cells += [mean_in_words([_mean(r[key] for r in each)]) for key in ("rho", "regret")]
        lines.append(cells)
    return markdown_table(head, lines)


def _counted(counts: Counter[str]) -> str:
    """The names, with how often where it is more than once."""
    return ", ".join(name if count == 1 else f"{name} {count}" for name, count in counts.most_common())


def picture(found: Sequence[Found]) -> bytes:
    """Each candidate's probability against its discretisation accuracy, relative to its edge's mean, as SVG."""
    return strength_svg([
        (c.edge, c.operation, c.p, c.alone - float(np.mean([other.alone for other in candidates])))
        for one in found
        for candidates in one.by_edge().values()
        for c in candidates
    ])  # fmt: skip
