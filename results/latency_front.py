"""Latency-aware search on NAS-Bench-201 with measured latencies: results/latency-front.md, .jsonl and .svg.

    python results/latency_front.py search --hw ../shared/data/hw/nb201_latency_ms.csv [--part 0/2]
    python results/latency_front.py page   --hw ../shared/data/hw/nb201_latency_ms.csv

`search` appends one line a search to latency-front.jsonl and skips those that are there, so that it can be killed, and
run in parts side by side. `page` writes the rest from that file. The table `nb201` is an imported one (README).
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchbed import registry
from benchbed.latency.costs import WholeCost
from benchbed.latency.load import load_cost
from benchbed.latency.penalty import CostOptions, with_cost
from benchbed.objectives.table import STEPS, TableObjective
from benchbed.searcher import Clock
from benchbed.spaces.nb201.space import NB201
from benchbed.stats.pareto import front, hypervolume
from benchbed.streams import Streams
from benchbed.tables.table import Table

HERE = Path(__file__).resolve().parent
DEVICES = ("pixel3", "raspi4", "1080ti_1")
# a 1-2-5 series, fixed before anything was run: lambda of add#linear, and w of the reward
WEIGHTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SEEDS, EPOCHS, DRAWS = 10, 10, 30  # an ignorant search is looked at 30 draws an epoch
DATASET, FLOOR = "cifar10", 80.0  # of the hypervolume's reference point, percent


class Job(NamedTuple):
    """One search. device None: latency-ignorant; its `number` then stands for the weight, 12 to a seed."""

    searcher: str
    device: str | None
    number: int
    seed: int

    @property
    def key(self) -> list[Any]:
        return list(self)


def jobs() -> Iterator[Job]:
    for seed in range(SEEDS):
        for number in range(len(WEIGHTS)):
            yield Job("proxyless", None, number, seed)
            for device in DEVICES:
                yield Job("proxyless", device, number, seed)
                yield Job("reinforce", device, number, seed)


class World(NamedTuple):
    """The table and the devices. valid, test: percent, (5,)*6."""

    space: NB201
    table: Table
    valid: np.ndarray
    test: np.ndarray
    costs: dict[str, WholeCost]


def world(hw: str, name: str) -> World:
    space, table = NB201(), Table.open(name)
    found = {d: load_cost(f"{hw}:{d}", space, "nb201") for d in DEVICES}
    costs = {d: c for d, c in found.items() if isinstance(c, WholeCost)}
    valid, test = (np.asarray(table.values(DATASET, split, table.full_epochs)) for split in ("valid", "test"))
    return World(space, table, valid, test, costs)


def search(job: Job, w: World) -> dict[str, Any]:
    """The most probable cell after 300 steps; of an ignorant search also what it drew on its way."""
    kind = registry.load("searcher", job.searcher)
    options = {**kind.presets["table"]["options"], **({"mode": "full"} if job.searcher == "proxyless" else {})}
    streams = Streams(job.seed if job.device is not None else SEEDS + job.seed * len(WEIGHTS) + job.number)
    searcher = kind(w.space, kind.Options(**options), streams)
    objective = TableObjective.of(w.table, DATASET)
    cost = None if job.device is None else w.costs[job.device]
    problem = with_cost(objective, cost, None if cost is None else paid(cost, WEIGHTS[job.number]))
    began, drawn = time.perf_counter(), list[list[int]]()
    looks = torch.Generator().manual_seed(job.seed * len(WEIGHTS) + job.number)
    for epoch in range(EPOCHS):
        for step in range(STEPS):  # the loop of a table's search, but for its log
            searcher.arch_step(problem, None, Clock(epoch, step, EPOCHS, STEPS))
        if cost is None and job.number == 0:  # the page filters one ignorant search a seed
            drawn += searcher.sample(DRAWS, looks).argmax(-1).tolist()
    p = searcher.probabilities()
    line = {"job": job.key, "cell": p.argmax(1).tolist(), "top_p": float(p.max(1).values.min())}
    return {**line, "seconds": round(time.perf_counter() - began, 3), **({"drawn": drawn} if drawn else {})}


def paid(cost: WholeCost, weight: float) -> CostOptions:
    """The target is the device's mean over all cells: it sets the scale of the weights and nothing else."""
    given = {"table": cost.name, "target": float(cost.values.mean()), "weight": weight, "reward_exponent": weight}
    return CostOptions.model_validate(given)


def run(hw: str, table: str, part: str) -> None:
    torch.set_num_threads(1)
    w, file = world(hw, table), HERE / "latency-front.jsonl"
    done = {json.dumps(line["job"]) for line in read(file)}
    k, n = map(int, part.split("/"))
    for number, job in enumerate(jobs()):
        if number % n == k and json.dumps(job.key) not in done:
            line = json.dumps(search(job, w)) + "\n"
            with open(file, "a") as out:  # one write a line: parts may append side by side
                out.write(line)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# -- fronts ----------------------------------------------------------------------------------------------------------


def share(cells: Any, device: str, w: World) -> float:
    """The hypervolume of these cells (n, 6) over that of all 15,625."""
    values, places = w.costs[device].values, tuple(np.asarray(cells).T)
    slowest = float(values.max())
    whole = hypervolume(values.ravel(), w.test.ravel(), slowest, FLOOR)
    return hypervolume(values[places], w.test[places], slowest, FLOOR) / whole


def filtered(drawn: Any, device: str, w: World) -> np.ndarray:
    """Of the cells that an ignorant search drew, at most 12 of the front by validation accuracy, evenly along it."""
    cells = np.unique(np.asarray(drawn), axis=0)
    places = tuple(cells.T)
    on = front(w.costs[device].values[places], w.valid[places])
    return cells[on[np.unique(np.linspace(0, len(on) - 1, len(WEIGHTS)).round().astype(int))]]


def exact(device: str, w: World) -> np.ndarray:
    """The minimisers of the twelve losses, by enumeration: what a perfect search would find."""
    cost = w.costs[device]
    losses = [1 - w.valid / 100 + weight * cost.values / cost.values.mean() for weight in WEIGHTS]
    return np.array([np.unravel_index(x.argmin(), x.shape) for x in losses])


Found = dict[tuple[str, str | None, int, int], dict[str, Any]]


def shares(found: Found, w: World) -> dict[str, dict[str, list[float]]]:
    """device -> what -> the share of each seed."""
    out: dict[str, dict[str, list[float]]] = {}
    for device in DEVICES:
        rows: dict[str, list[float]] = {name: [] for name in NAMES}
        for seed in range(SEEDS):
            cells = {
                s: [found[s, device, n, seed]["cell"] for n in range(len(WEIGHTS))] for s in ("proxyless", "reinforce")
            }
            ignorant = [found["proxyless", None, n, seed] for n in range(len(WEIGHTS))]
            rng = np.random.default_rng(seed)
            rows["gradient"].append(share(cells["proxyless"], device, w))
            rows["reinforce"].append(share(cells["reinforce"], device, w))
            rows["random"].append(share(rng.integers(0, 5, (len(WEIGHTS), 6)), device, w))
            rows["ignorant"].append(share([line["cell"] for line in ignorant], device, w))
            rows["filtered"].append(share(filtered(ignorant[0]["drawn"], device, w), device, w))
        out[device] = rows
    return out


NAMES = {
    "gradient": "ProxylessNAS, 12 lambdas",
    "reinforce": "REINFORCE, 12 exponents w",
    "random": "12 random cells",
    "ignorant": "12 latency-ignorant searches",
    "filtered": "300 draws of one ignorant search, filtered",
}  # fmt: skip


# -- the page --------------------------------------------------------------------------------------------------------


def page(hw: str, table: str) -> None:
    from latency_front_page import draw, write  # beside this file: a script's own folder is on its path

    w = world(hw, table)
    found = {tuple(line["job"]): line for line in read(HERE / "latency-front.jsonl")}
    missing = [job for job in jobs() if tuple(job.key) not in found]
    if missing:
        raise SystemExit(f"{len(missing)} searches are missing, such as {missing[0]}: run 'search' first")
    write(HERE / "latency-front.md", found, w)
    draw(HERE / "latency-front.svg", found, w)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "page"))
    parser.add_argument("--hw", required=True, help="the CSV of measured latencies")
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--part", default="0/1", help="K/N: every N-th search from K")
    given = parser.parse_args()
    if given.what == "search":
        run(given.hw, given.table, given.part)
    else:
        page(given.hw, given.table)


if __name__ == "__main__":
    main()
