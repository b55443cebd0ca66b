"""What ProxylessNAS' gradient estimates, by exact enumeration on a trained supernet: the figures of docs/proxyless.md.

    python results/estimator_bias.py RUNS/searches/SEARCH [--batches 40] [--out results/estimator-bias]

One position at a time: its operations k are few, so every expectation over them is a finite sum. The other positions
follow a path drawn from the search's probabilities, another one for each validation batch, the same for all four:

    exact   grad of E_g[L] = sum_k p_k L(k):   p_i (L(i) - sum_j p_j L(j))
    full    E over the draw k of p_i (G_i - sum_j p_j G_j), G = dL/dg at the path through k (paper, equation 4)
    two     E over pairs and draws of q_a q_b (G_a - G_b)  (section 3.2.1)
    darts   p_i (G_i - sum_j p_j G_j) with G at the mixture of the row

Writes FILE.svg and FILE.json, and prints the table of cosines to the exact gradient.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchbed.pipeline.build import Parts
from benchbed.runtime import machine
from benchbed.study import finished

ESTIMATORS = ("exact", "full", "two", "darts")


def through_softmax(p: Tensor, gradient: Tensor) -> Tensor:
    return p * (gradient - (p * gradient).sum())


def two_path(p: Tensor, by_draw: Tensor) -> Tensor:
    """The expected gradient of mode `two`; by_draw[k] is G (O,) at the path through k. Pairs without replacement."""
    n, total = len(p), torch.zeros_like(p)
    for a in range(n):
        for b in range(a + 1, n):
            pair = p[a] * p[b] * (1 / (1 - p[a]) + 1 / (1 - p[b]))
            q = p[a] / (p[a] + p[b])
            for active, chance in ((a, q), (b, 1 - q)):
                pull = pair * chance * q * (1 - q) * (by_draw[active, a] - by_draw[active, b])
                total[a] += pull
                total[b] -= pull
    return total


def expectations(parts: Parts, position: int, batches: list) -> dict[str, Tensor]:
    """The four gradients of one row of alpha, each float64 (O,)."""
    p = parts.searcher.probabilities()
    operations = int(parts.searcher.mask[position].sum())
    need = torch.zeros_like(parts.searcher.mask)
    need[position] = parts.searcher.mask[position]
    losses, by_draw = torch.zeros(operations).double(), torch.zeros(operations, operations).double()
    mixture = torch.zeros(operations).double()
    for path, batch in batches:
        for k in range(operations):
            gates = path.clone()
            gates[position] = torch.eye(p.shape[1])[k]
            loss, gradient = parts.objective.gate_gradient(gates, batch, need)
            losses[k] += loss / len(batches)
            by_draw[k] += gradient[position, :operations] / len(batches)
        gates = path.clone()
        gates[position] = p[position]
        mixture += parts.objective.gate_gradient(gates, batch, need)[1][position, :operations] / len(batches)
    row = p[position, :operations].double()
    full = sum(row[k] * through_softmax(row, by_draw[k]) for k in range(operations))
    return {
        "exact": through_softmax(row, losses),
        "full": full,
        "two": two_path(row, by_draw),
        "darts": through_softmax(row, mixture),
    }


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a @ b) / (a.norm() * b.norm()))


def picture(found: list[dict[str, Tensor]], parts: Parts, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "benchbed"
    figure, panels = plt.subplots(2, 3, figsize=(10.5, 5.4), constrained_layout=True)
    for panel, row, position in zip(panels.flat, found, parts.space.positions, strict=True):
        x = np.arange(len(position.operations))
        for k, name in enumerate(ESTIMATORS):
            values = row[name] / row[name].abs().max()
            panel.bar(x + 0.2 * (k - 1.5), values, width=0.2, label=name)
        panel.set_title(position.name, fontsize=9)
        panel.set_xticks(x, [o.replace("nor_", "").replace("_", "\n") for o in position.operations], fontsize=7)
        panel.axhline(0, color="black", linewidth=0.6)
    panels[0, 0].legend(frameon=False, fontsize=8)
    panels[0, 0].set_ylabel("gradient / its largest entry")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", type=Path)
    parser.add_argument("--batches", type=int, default=40, help="of the search's own validation batch size")
    parser.add_argument("--out", type=Path, default=Path("results/estimator-bias"))
    given = parser.parse_args()
    parts = finished(given.search, torch.device("cpu"))
    batches = [(parts.searcher.sample(1)[0], parts.objective.batch("valid")) for _ in range(given.batches)]
    found = [expectations(parts, i, batches) for i in range(len(parts.space.positions))]
    print("| position | " + " | ".join(f"{name}, cosine (length)" for name in ESTIMATORS[1:]) + " |")
    print("|" + "---|" * len(ESTIMATORS))
    for position, row in zip(parts.space.positions, found, strict=True):
        exact = row["exact"]
        cells = [f"{cosine(row[n], exact):+.2f} ({float(row[n].norm() / exact.norm()):.2f})" for n in ESTIMATORS[1:]]
        print(f"| {position.name} | " + " | ".join(cells) + " |")
    picture(found, parts, given.out.with_suffix(".svg"))

    result = {
        "search": given.search.name,
        "batches": given.batches,
        "probabilities": parts.searcher.probabilities().tolist(),
        "gradients": [{name: value.tolist() for name, value in row.items()} for row in found],
        **machine.made_with(torch.device("cpu")),
    }
    given.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
