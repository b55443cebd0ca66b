"""Proxies a second, against plain implementations of the same scores on a network as the published codes have it.

    python benchmarks/proxies/run.py [--rounds 9 --cells 6 --batch 64 --channels 16 --size 5] [--out FILE.json]

Cells of NAS-Bench-201 are drawn, the same in every round; each round scores every cell by every proxy in both ways, in
turns that begin with the other one. Before anything is timed both give the same scores. Processor seconds of one
thread, so that other work on the machine does not count. 'whole space' is how many of the 15,625 cells have to be
scored where cells that differ in what reaches no output have one score: a count, not a time.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import plain
import torch

from benchbed import registry
from benchbed.proxy import Case, Proxy
from benchbed.runtime import machine
from benchbed.runtime.script import Parser, ended
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.task import Split


def cases(count: int, channels: int, cells: int, images: int) -> list[Case]:
    """Of drawn cells through which something flows, on drawn images."""
    space, rng, generator = NB201(), np.random.default_rng(0), torch.Generator().manual_seed(0)
    train = Split(torch.randn(images, 3, 32, 32, generator=generator), torch.arange(images) % 10)
    found: list[Case] = []
    while len(found) < count:
        cell = space.random(rng)
        if "conv" in str(space.canonical(cell)):
            choices = cell.choices
            found.append(
                Case(space, cell, (3, 32, 32), 10, channels, cells, 0, train,
                     lambda choices=choices: NB201Network(choices, channels, cells), torch.device("cpu"))
            )  # fmt: skip
    return found


def ours(name: str, case: Case, batch: int) -> float:
    kind: type[Proxy[Any]] = registry.load("proxy", name)
    options = {"batch": batch} if "batch" in kind.Options.model_fields else {}
    found = kind(kind.Options(**options)).score(case)
    assert isinstance(found, float)
    return found


def theirs(name: str, case: Case, batch: int) -> float:
    assert case.architecture is not None
    network = case.network().to(memory_format=torch.contiguous_format)  # the published codes ask for no layout
    assert isinstance(network, NB201Network)
    images = case.batch(batch)
    images = images._replace(images=images.images.contiguous())
    return plain.SCORES[name](plain.Network(network, case.architecture.choices), images)


def check(name: str, some: list[Case], batch: int) -> None:
    """Raises RuntimeError where the two do not score alike."""
    for case in some:
        one, other = ours(name, case, batch), theirs(name, case, batch)
        if not np.isclose(one, other, rtol=2e-3, atol=1e-6):
            raise RuntimeError(f"{name} of {case.architecture}: {one} here, {other} plainly")


def timed(some: list[Case], batch: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """proxy -> 'ours' or 'plain' -> processor seconds a network, a number a round."""
    found: dict[str, dict[str, list[float]]] = {name: {"ours": [], "plain": []} for name in plain.SCORES}
    for number in range(-1, rounds):  # one before the first warms up
        for name, own in found.items():
            arms = [("ours", ours), ("plain", theirs)]
            for arm, score in arms if number % 2 else arms[::-1]:
                before = time.process_time()
                for case in some:
                    score(name, case, batch)
                if number >= 0:
                    own[arm].append((time.process_time() - before) / len(some))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.counts(rounds=9, cells=6, channels=16, size=5)
    parser.counts(2, batch=64)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    some = cases(options.cells, options.channels, options.size, options.batch)
    for name in plain.SCORES:
        check(name, some, options.batch)
    found: dict[str, Any] = {}
    for name, own in timed(some, options.batch, options.rounds).items():
        low, middle, high = np.quantile(np.array(own["plain"]) / np.array(own["ours"]), [0.25, 0.5, 0.75]).tolist()
        found[name] = {"seconds": float(np.median(own["ours"])), "ratio": middle, "quartiles": [low, high]}
        rate = 1 / found[name]["seconds"]
        print(f"{name:8} {rate:7.2f} a second   plain over ours {middle:.2f} ({low:.2f} to {high:.2f})")
    networks = len({NB201().network_form(cell) for cell in all_architectures()})
    print(f"whole space: {networks:,} of 15,625 cells are scored")
    if options.out:
        given = {key: getattr(options, key) for key in ("rounds", "cells", "batch", "channels", "size")}
        result = {"options": given, **machine.made_with(torch.device("cpu")), "proxies": found, "networks": networks}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
