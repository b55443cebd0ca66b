"""The page of zero-cost proxies: scores of cells drawn at random, against the real table and the published scores.

    python results/proxies/make.py --data DIR --work DIR [--cells 100] [--workers N]

DIR holds CIFAR-10 as published; the table `nb201` is installed. What is scored is kept in --work, and the same command
goes on; `--cells 15625` scores every cell. The published scores are read from ../shared/data where they are.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchbed.errors import BenchbedError
from benchbed.ranking.scores import not_finite, read
from benchbed.report.markdown import markdown_table
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import NB201
from benchbed.studies.correlate import Truth, agreement, truth_of

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE.parents[2] / "shared" / "data" / "zero-cost" / "nb201_zc_proxies.csv"
IMAGES = 2500  # of CIFAR-10's training split that batches are drawn from
PROXIES = {  # our name -> the published column
    "params": "params", "flops": "flops", "l2-norm": "l2_norm", "synflow": "synflow", "zen": "zen", "meco": None,
    "nwot:batch=64": "nwot", "jacov": "jacov", "epe-nas": "epe_nas", "grad-norm": "grad_norm", "snip": "snip",
    "fisher": "fisher", "az-nas": None, "plain": "plain",
}  # fmt: skip
AGAIN = ("l2-norm", "synflow", "zen", "nwot:batch=64", "jacov", "snip", "fisher")


def scored(asked: argparse.Namespace, seed: int, proxies: tuple[str, ...], cells: int) -> Path:
    """The scores of a seed, made by the plain command where they are not there yet."""
    out = asked.work / f"seed-{seed}"
    command = [sys.executable, "-m", "benchbed", "proxy", "run", "--proxy", ",".join(proxies), "--task", "cifar10"]
    command += ["--data", asked.data, "--set", f"task_options.images={IMAGES}", "--cells", str(cells)]
    command += ["--seed", str(seed), "--out", str(out)]
    if asked.workers is not None:
        command += ["--workers", str(asked.workers)]
    subprocess.run(command, check=True)
    return out / "scores.csv"


def column(file: Path, name: str) -> dict[Architecture, float]:
    found = read(file, name, NB201())
    return dict(zip(found.cells, found.columns[name].tolist(), strict=True))


def published() -> dict[str, dict[Architecture, float]]:
    """column -> cell -> score; nothing where the file is not there."""
    if not PUBLISHED.exists():
        return {}
    with PUBLISHED.open() as file:
        rows = list(csv.DictReader(file))
    cells = [NB201().parse(row["net_str"]) for row in rows]
    return {name: {cell: float(row[name]) for cell, row in zip(cells, rows, strict=True)} for name in rows[0] if name
            not in ("net", "net_str")}  # fmt: skip


def rank_agreement(one: dict[Architecture, float], other: dict[Architecture, float]) -> tuple[float, int]:
    """Spearman's rho on the cells that both have a finite score of, and how many those are."""
    both = [cell for cell in one if np.isfinite(one[cell]) and np.isfinite(other.get(cell, np.nan))]
    if len(both) < 3:
        return float("nan"), len(both)
    return float(spearmanr([one[cell] for cell in both], [other[cell] for cell in both]).statistic), len(both)


def with_interval(found: dict[str, Any]) -> str:
    if not np.isfinite(found["value"]):
        return "not defined"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def against_truth(file: Path, truths: list[Truth]) -> list[list[str]]:
    """A row a proxy: tau and the top's tau against each truth."""
    rows = []
    for name in PROXIES:
        scores = column(file, name)
        cells = [""] * 4
        for k, truth in enumerate(truths):
            values = np.full(truth.values.shape, np.nan)
            for cell, score in scores.items():
                values[truth.table.places.of(cell)] = score
            try:
                found = agreement(name, values, truth, 0.1)
            except BenchbedError:
                continue
            cells[2 * k], cells[2 * k + 1] = with_interval(found["tau"]), with_interval(found["top_tau"])
        lost = not_finite(np.array(list(scores.values())))
        rows.append([name, *cells, ", ".join(f"{count} {word}" for word, count in lost.items()) or "none"])
    return rows


def against_published(files: list[Path]) -> list[list[str]]:
    """A row a proxy: how its ranks agree with the published ones, and with ours of another seed."""
    theirs, rows = published(), []
    for name, their_name in PROXIES.items():
        ours = column(files[0], name)
        both = rank_agreement(ours, theirs.get(their_name or "", {}))
        again = rank_agreement(ours, column(files[1], name)) if name in AGAIN else (float("nan"), 0)
        rows.append([name, *(f"{rho:.4f} ({n})" if n else "" for rho, n in (both, again))])
    return rows


def page(asked: argparse.Namespace, files: list[Path]) -> str:
    truths = [truth_of("nb201", "cifar10", split) for split in ("test", "valid")]
    facts = json.loads(files[0].with_suffix(".json").read_text())
    seconds = facts["seconds"]
    cost = [[name, f"{facts['networks'][name]:,}", f"{seconds[name]:.3f}"] for name in PROXIES]
    template = (HERE / "page.md.in").read_text()
    head = ["proxy", "test: tau-b", "in the top 10%", "validation: tau-b", "in the top 10%", "scores not finite"]
    return template.format(
        cells=f"{facts['architectures']:,}", images=IMAGES, cells_asked=asked.cells, names=", ".join(PROXIES),
        truth="\n".join(markdown_table(head, against_truth(files[0], truths))),
        published="\n".join(markdown_table(["proxy", "published scores", "our seed 1"], against_published(files))),
        cost="\n".join(markdown_table(["proxy", "networks", "seconds a network"], cost)),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="the folder of CIFAR-10's files")
    parser.add_argument("--work", required=True, type=Path, help="where scores and what is done are kept")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--again", type=int, default=50, help="cells that seed 1 scores too")
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    files = [scored(asked, 0, tuple(PROXIES), asked.cells), scored(asked, 1, AGAIN, asked.again)]
    (HERE / "scores.csv").write_text(files[0].read_text())
    (HERE / "README.md").write_text(page(asked, files))


if __name__ == "__main__":
    main()
