"""The page and the picture of results/latency_front.py, from its .jsonl."""

from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from latency_front import (
    DEVICES,
    EPOCHS,
    FLOOR,
    NAMES,
    SEEDS,
    STEPS,
    WEIGHTS,
    Found,
    World,
    exact,
    share,
    shares,
)  # fmt: skip

from benchbed.runtime.machine import commit, machine, versions
from benchbed.stats.interval import mean_interval
from benchbed.stats.pareto import front

SHOWN = 0.1  # lambda of the cross-device table: the official code's
CLOSE = 0.3  # points of accuracy within which a cell found for the device must not be slower


def write(file: Path, found: Found, w: World) -> None:
    """The page, whole."""
    parts = [_head(found), _hypervolumes(found, w), _against_reinforce(found, w), _cells(found, w), _cross(found, w)]
    file.write_text("\n\n".join(parts) + "\n")


def _head(found: Found) -> str:
    import torch

    made, used = machine(torch.device("cpu")), versions()
    seconds = {s: np.median([x["seconds"] for k, x in found.items() if k[0] == s]) for s in ("proxyless", "reinforce")}
    return f"""# Latency-aware search on NAS-Bench-201, measured latencies

Objective: the table's own CIFAR-10 validation accuracy (200 epochs), exact and without noise; cost: the measured
latency of whole cells on {", ".join(DEVICES)} (HELP's table), exact too. So this page is about the *search* under a
latency term, not about shared weights. Final cells (the most probable operation of each edge) are shown at their
**test** accuracy.

    python results/latency_front.py search --hw ../shared/data/hw/nb201_latency_ms.csv
    python results/latency_front.py page --hw ../shared/data/hw/nb201_latency_ms.csv

Conditions: {EPOCHS * STEPS} architecture steps a search, the searchers' `table` presets (Adam 0.05), ProxylessNAS in
mode `full`; `add#linear` with lambda, and REINFORCE (10 samples a step, the same number of steps) with w, both in the
series {", ".join(f"{x:g}" for x in WEIGHTS)}, fixed beforehand and not tuned; target T = the device's mean
over all cells, which only sets the scale of lambda. {SEEDS} seeds. Intervals: 95 %, BCa bootstrap of the mean over
seeds. Median seconds a search: {seconds["proxyless"]:.1f} (gradient), {seconds["reinforce"]:.1f} (REINFORCE), on a
machine shared with other work.

{made["processor"]}, {made["cores"]} cores, one thread a search; torch {used["torch"]}, numpy {used["numpy"]}; commit
{(commit() or "?")[:12]}.

![fronts on three devices](latency-front.svg)"""


def _interval(values: list[float], digits: int = 3) -> str:
    i = mean_interval(values)
    return f"{i.mean:.{digits}f} ({i.low:.{digits}f} to {i.high:.{digits}f})"


def _hypervolumes(found: Found, w: World) -> str:
    """The table of shares, and in how many seeds the gradient search is ahead."""
    by_device = shares(found, w)
    lines = [
        "## Hypervolume",
        "",
        "Share of the hypervolume of all 15,625 cells' true front (test accuracy, measured ms), reference point: the",
        f"slowest cell and {FLOOR:.0f} %.",
        "",
        "| cells | " + " | ".join(DEVICES) + " |",
        "|---" * (len(DEVICES) + 1) + "|",
    ]
    for name, words in NAMES.items():
        lines.append(f"| {words} | " + " | ".join(_interval(by_device[d][name]) for d in DEVICES) + " |")
    minimisers = " | ".join(f"{share(exact(d, w), d, w):.3f}" for d in DEVICES)
    lines += [
        f"| exact minimisers of the 12 losses | {minimisers} |",
        "",
        "Seeds of 10 in which ProxylessNAS is above:",
        "",
    ]
    lines += ["| than | " + " | ".join(DEVICES) + " |", "|---" * (len(DEVICES) + 1) + "|"]
    for name in ("random", "ignorant", "filtered"):
        ahead = [_ahead(by_device[d]["gradient"], by_device[d][name]) for d in DEVICES]
        lines.append(f"| {NAMES[name]} | " + " | ".join(map(str, ahead)) + " |")
    lines += [
        "",
        "Random cells are drawn uniformly, 12 of each seed's own. The 12 latency-ignorant searches have the same",
        "budget and other seeds; their final cells stand as they are. Filtered: 300 draws along one of those searches,",
        "of which at most 12 of the front by true validation accuracy and latency are kept; it looks at 300 cells'",
        "true figures where the others look at 12.",
    ]
    return "\n".join(lines)


def _ahead(a: list[float], b: list[float]) -> int:
    return sum(x > y for x, y in zip(a, b, strict=True))


def _against_reinforce(found: Found, w: World) -> str:
    by_device = shares(found, w)
    lines = [
        "## Gradient against REINFORCE",
        "",
        "Paired by seed: share of the gradient search minus share of REINFORCE.",
        "",
    ]
    lines += ["| device | difference | seeds ahead |", "|---|---|---|"]
    for d in DEVICES:
        a, b = by_device[d]["gradient"], by_device[d]["reinforce"]
        lines.append(f"| {d} | {_interval([x - y for x, y in zip(a, b, strict=True)])} | {_ahead(a, b)} of {SEEDS} |")
    lines += ["", "Each optimises its own published form of the trade, so this compares fronts and not losses.", ""]
    lines += [
        "How often a gradient search ended at the very minimiser of its loss, and how far above it on average:",
        "",
    ]
    lines += ["| device | at the minimiser | mean excess loss |", "|---|---|---|"]
    for d in DEVICES:
        hits, excess = _optimality(found, d, w)
        lines.append(f"| {d} | {hits} of {SEEDS * len(WEIGHTS)} | {excess:.4f} |")
    return "\n".join(lines)


def _optimality(found: Found, device: str, w: World) -> tuple[int, float]:
    values, hits, excess = w.costs[device].values, 0, []
    for number, weight in enumerate(WEIGHTS):
        losses = 1 - w.valid / 100 + weight * values / values.mean()
        for seed in range(SEEDS):
            above = float(losses[tuple(found["proxyless", device, number, seed]["cell"])] - losses.min())
            hits, excess = hits + (above == 0), [*excess, above]
    return hits, float(np.mean(excess))


def _cells(found: Found, w: World) -> str:
    """The medians over seeds by lambda: what a weight buys."""
    lines = ["## What a lambda buys", "", "Median over seeds of the final cell: ms, test accuracy in %.", ""]
    lines += ["| lambda | " + " | ".join(DEVICES) + " |", "|---" * (len(DEVICES) + 1) + "|"]
    for number, weight in enumerate(WEIGHTS):
        fields = []
        for d in DEVICES:
            cells = tuple(np.array([found["proxyless", d, number, s]["cell"] for s in range(SEEDS)]).T)
            fields.append(f"{np.median(w.costs[d].values[cells]):.2f} ms, {np.median(w.test[cells]):.2f}")
        lines.append(f"| {weight:g} | " + " | ".join(fields) + " |")
    return "\n".join(lines)


class Pair(NamedTuple):
    """A cell found for A against one found for B, both measured on A."""

    a: str
    b: str
    weight: float
    faster: bool  # or equal
    close: bool  # B's is at most CLOSE points more accurate
    better: bool  # A's has no higher loss on A: validation accuracy and lambda's latency


def pairs(found: Found, w: World) -> list[Pair]:
    """Every ordered pair of devices, at every lambda and seed."""
    out = []
    for a, b in permutations(DEVICES, 2):
        for number, weight in enumerate(WEIGHTS):
            for seed in range(SEEDS):
                own, other = (tuple(found["proxyless", d, number, seed]["cell"]) for d in (a, b))
                ms = w.costs[a].values
                close = bool(w.test[other] - w.test[own] <= CLOSE)
                losses = 1 - w.valid / 100 + weight * ms / ms.mean()
                better = bool(losses[own] <= losses[other])
                out.append(Pair(a, b, weight, bool(ms[own] <= ms[other]), close, better))
    return out


def _cross(found: Found, w: World) -> str:
    number = WEIGHTS.index(SHOWN)
    lines = [
        "## Search for A, measure on B",
        "",
        f"Mean over seeds at lambda = {SHOWN:g}: a row is a device that cells were searched for, a column where they",
        "are measured.",
        "",
        "| searched for | test accuracy | " + " | ".join(f"ms on {d}" for d in DEVICES) + " |",
        "|---" * (len(DEVICES) + 2) + "|",
    ]
    for a in DEVICES:
        cells = tuple(np.array([found["proxyless", a, number, s]["cell"] for s in range(SEEDS)]).T)
        fields = [f"{np.mean(w.costs[d].values[cells]):.2f}" for d in DEVICES]
        lines.append(f"| {a} | {np.mean(w.test[cells]):.2f} % | " + " | ".join(fields) + " |")
    lines += [
        "",
        "The claim: the cell found for A is no slower on A than the one found for B, wherever B's is at most",
        f"{CLOSE:g} points more accurate (test). Over all lambdas and seeds:",
        "",
        "| A | B | pairs to which it applies | of those, it holds | lambdas at which it fails |",
        "|---|---|---|---|---|",
    ]
    found_pairs = pairs(found, w)
    for a, b in permutations(DEVICES, 2):
        chosen = [x for x in found_pairs if (x.a, x.b) == (a, b) and x.close]
        fails = sorted({x.weight for x in chosen if not x.faster})
        holds = sum(x.faster for x in chosen)
        lines.append(f"| {a} | {b} | {len(chosen)} | {holds} | {', '.join(f'{x:g}' for x in fails) or 'none'} |")
    return "\n".join([*lines, "", *_failures(found_pairs)])


def _failures(found_pairs: list[Pair]) -> list[str]:
    """How often the claim holds, and of which kind its failures are."""
    close = [x for x in found_pairs if x.close]
    failed = [x for x in close if not x.faster]
    trades = sum(x.better for x in failed)
    return [
        f"It holds in {len(close) - len(failed)} of {len(close)}: it is **not** a rule here. Of the {len(failed)}",
        f"failures, {trades} are trades (the cell for A is slower on A, but its loss there, lambda's own weighing of",
        f"validation accuracy and latency, is no higher than that of B's), and in {len(failed) - trades} the search",
        "for A stopped short: B's cell has the lower loss on A.",
    ]


def draw(file: Path, found: Found, w: World) -> None:
    """A panel a device: all cells, the true front, and the final cells of the searches."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "latency-front"  # the same picture, the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(DEVICES), figsize=(13, 4.8), sharey=True, constrained_layout=True)
    for axis, d in zip(axes, DEVICES, strict=True):
        ms, accuracy = w.costs[d].values.ravel(), w.test.ravel()
        axis.scatter(ms, accuracy, s=2, c="0.8", lw=0, rasterized=True, label="all 15,625 cells")
        best = front(ms, accuracy)
        axis.step(ms[best], accuracy[best], where="post", c="k", lw=1, label="their front")
        for name, colour, marker in (("reinforce", "tab:orange", "x"), ("proxyless", "tab:blue", "o")):
            cells = tuple(np.array([x["cell"] for k, x in found.items() if k[:2] == (name, d)]).T)
            size = {"s": 22, "lw": 1} if marker == "x" else {"s": 16, "lw": 0}
            style: dict[str, Any] = {**size, "c": colour, "marker": marker, "alpha": 0.6}
            axis.scatter(w.costs[d].values[cells], w.test[cells], label=_label(name), **style)
        blind = tuple(np.array([x["cell"] for k, x in found.items() if k[1] is None]).T)
        axis.scatter(w.costs[d].values[blind], w.test[blind], s=40, c="tab:red", marker="+", label="without latency")
        axis.set(title=d, xlabel="latency, ms", ylim=(FLOOR, 95), xlim=(0, float(ms.max()) * 1.02))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CIFAR-10 test accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(file, dpi=150, metadata={"Date": None})
    plt.close(figure)


def _label(searcher: str) -> str:
    return {"proxyless": "ProxylessNAS, 12 lambdas x 10 seeds", "reinforce": "REINFORCE, 12 w x 10 seeds"}[searcher]
