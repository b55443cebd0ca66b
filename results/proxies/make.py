"""The page of zero-cost proxies: five on every cell, the others on some, against the real table and published scores.

    python results/proxies/make.py --data DIR --work DIR [--cells 100] [--workers N]

DIR holds CIFAR-10 as published; the table `nb201` is installed. What is scored is kept in --work, and the same command
goes on. The published scores are read from ../shared/data where they are.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchbed.errors import BenchbedError
from benchbed.ranking.scores import not_finite, read
from benchbed.report.markdown import markdown_table
from benchbed.space import Architecture
from benchbed.spaces.classes import grouped
from benchbed.spaces.nb201.space import NB201
from benchbed.studies.correlate import Truth, agreement, truth_of

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE.parents[2] / "shared" / "data" / "zero-cost" / "nb201_zc_proxies.csv"
IMAGES = 2500  # of CIFAR-10's training split that batches are drawn from
COUNTED = ("params", "flops")
EVERYWHERE = ("synflow", "nwot:batch=64", "jacov", "snip", "zen")  # of every cell
PROXIES = {  # our name -> the published column
    "params": "params", "flops": "flops", "l2-norm": "l2_norm", "synflow": "synflow", "zen": "zen", "meco": None,
    "nwot:batch=64": "nwot", "jacov": "jacov", "epe-nas": "epe_nas", "grad-norm": "grad_norm", "snip": "snip",
    "grasp": "grasp", "fisher": None, "fisher:over=weights": "fisher", "plain": "plain", "az-nas": None, "swap": None,
    "zico": None, "te-nas": None,
}  # fmt: skip
AGAIN = tuple(name for name in PROXIES if name not in (*COUNTED, "fisher"))  # by another seed too


def scored(asked: argparse.Namespace, out: Path, proxies: Sequence[str], cells: int | None, seed: int = 0) -> Path:
    """The file of scores, made by the plain command where it is not there yet. cells: drawn at random; None: all."""
    command = [sys.executable, "-m", "benchbed", "proxy", "run", "--proxy", ",".join(proxies), "--task", "cifar10"]
    command += ["--data", asked.data, "--set", f"task_options.images={IMAGES}", "--seed", str(seed), "--out", str(out)]
    if cells is not None:
        command += ["--cells", str(cells)]
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


def rank_agreement(one: dict[Any, float], other: dict[Any, float]) -> tuple[float, int]:
    """Spearman's rho on the cells that both have a finite score of, and how many those are."""
    both = [cell for cell in one if np.isfinite(one[cell]) and np.isfinite(other.get(cell, np.nan))]
    if len(both) < 3:
        return float("nan"), len(both)
    return float(spearmanr([one[cell] for cell in both], [other[cell] for cell in both]).statistic), len(both)


def with_interval(found: dict[str, Any]) -> str:
    if not np.isfinite(found["value"]):
        return "not defined"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def against_truth(file: Path, names: Sequence[str], truths: list[Truth]) -> list[list[str]]:
    """A row a proxy: tau and the top's tau against each truth; where scores are not finite, parameters without them."""
    rows, without = [], dict[frozenset[Architecture], int]()
    counts = column(file, "params")
    for name in names:
        scores = column(file, name)
        lost = not_finite(np.array(list(scores.values())))
        words = ", ".join(f"{count:,} {word}" for word, count in lost.items()) or "none"
        rows.append([name, *agreements(name, scores, truths), words])
        if lost:
            without[frozenset(cell for cell, score in scores.items() if not np.isfinite(score))] = sum(lost.values())
    for cells, number in without.items():
        there = {cell: score for cell, score in counts.items() if cell not in cells}
        rows.append(["params without those cells", *agreements("params", there, truths), f"{number:,} left out"])
    return rows


def agreements(name: str, scores: dict[Architecture, float], truths: list[Truth]) -> list[str]:
    """tau and the top's tau against each truth, in words; nothing where there are too few cells."""
    found = []
    for truth in truths:
        values = np.full(truth.values.shape, np.nan)
        for cell, score in scores.items():
            values[truth.table.places.of(cell)] = score
        try:
            one = agreement(name, values, truth, 0.1)
        except BenchbedError:
            found += ["", ""]
            continue
        found += [with_interval(one["tau"]), with_interval(one["top_tau"])]
    return found


def drawn_twice(scores: dict[Architecture, float]) -> tuple[float, int]:
    """How scores of one network agree with those of another cell that is the same network, and of how many."""
    space, found = NB201(), dict[Any, list[float]]()
    for cell, score in scores.items():
        found.setdefault(space.network_form(cell), []).append(score)
    one, other = ({form: own[k] for form, own in found.items() if len(own) > 1} for k in (0, 1))
    return rank_agreement(one, other)


def against_published(every: Path, some: Path, again: Path) -> list[list[str]]:
    """A row a proxy: how its ranks agree with the published ones, those with themselves, and ours with another seed."""
    theirs, rows = published(), []
    for name, their_name in PROXIES.items():
        ours, their = column(every if name in (*COUNTED, *EVERYWHERE) else some, name), theirs.get(their_name or "", {})
        pairs = [rank_agreement(ours, their), drawn_twice(their)]
        pairs.append(rank_agreement(ours, column(again, name)) if name in AGAIN else (float("nan"), 0))
        rows.append([name, *(f"{rho:.4f} ({n:,})" if n else "" for rho, n in pairs)])
    return rows


def cost(files: Sequence[Path]) -> list[list[str]]:
    """A row a proxy of each file: networks, and the seconds that one took."""
    rows = []
    for file in files:
        facts = json.loads(file.with_suffix(".json").read_text())
        for name, networks in facts["networks"].items():
            rows.append([name, f"{networks:,}", f"{facts['seconds'][name]:.3f}"])
    return rows


def of_networks(file: Path) -> str:
    """A line for each network of a file of every cell: what the proxies were measured on, in eight digits."""
    space = NB201()
    kept = {group.cells[0].text for group in grouped(space, space.network_form).values()}
    with file.open() as text:
        rows = [row for row in csv.DictReader(text) if row["arch"] in kept]
    assert len(rows) == len(kept)
    lines = [",".join([row["arch"], *(f"{float(row[name]):.8g}" for name in EVERYWHERE)]) for row in rows]
    return "\n".join([",".join(["arch", *EVERYWHERE]), *lines, ""])


def page(asked: argparse.Namespace, every: Path, some: Path, again: Path) -> str:
    truths = [truth_of("nb201", "cifar10", split) for split in ("test", "valid")]
    head = ["proxy", "test: tau-b", "in the top 10%", "validation: tau-b", "in the top 10%", "scores not finite"]
    whole = against_truth(every, (*COUNTED, *EVERYWHERE), truths)
    return (HERE / "page.md.in").read_text().format(
        images=IMAGES, cells=asked.cells,
        every="\n".join(markdown_table(head, whole)),
        some="\n".join(markdown_table(head, against_truth(some, tuple(PROXIES), truths))),
        published="\n".join(
            markdown_table(
                ["proxy", "ours and published", "published, drawn twice", "ours, drawn twice"],
                against_published(every, some, again),
            )
        ),
        cost_every="\n".join(markdown_table(["proxy", "networks", "seconds a network"], cost([every]))),
        cost_some="\n".join(markdown_table(["proxy", "networks", "seconds a network"], cost([some]))),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="the folder of CIFAR-10's files")
    parser.add_argument("--work", required=True, type=Path, help="where scores and what is done are kept")
    parser.add_argument("--cells", type=int, default=100, help="cells that all proxies score")
    parser.add_argument("--again", type=int, default=50, help="cells that seed 1 scores too")
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    every = scored(asked, asked.work / "every", (*COUNTED, *EVERYWHERE), None)
    some = scored(asked, asked.work / "some", tuple(PROXIES), asked.cells)
    again = scored(asked, asked.work / "again", AGAIN, asked.again, seed=1)
    (HERE / "every.csv").write_text(of_networks(every))
    (HERE / "scores.csv").write_text(some.read_text())
    (HERE / "README.md").write_text(page(asked, every, some, again))


if __name__ == "__main__":
    main()
