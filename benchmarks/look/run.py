"""A look at validation with and without glibc giving freed memory back, as a ratio in one process.

    python benchmarks/look/run.py [--images 1000 --rounds 3 --channels 16 --cells 5 --batch 500] [--out FILE.json]

The mixture of NAS-Bench-201's supernet is measured on random images in batches of --batch: first as glibc does by
default, then after `benchbed.machine.keep_freed_memory`, which cannot be undone, so the rounds do not take turns.
Beside the seconds stand the page faults of each look. Both must give the same loss, bit for bit.
"""

import json
import resource
import statistics
import sys
import time

import torch

from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.runtime.machine import keep_freed_memory, made_with
from benchbed.runtime.script import Parser, ended
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task


def objective(images: int, channels: int, cells: int, batch: int) -> SupernetObjective:
    draw = torch.Generator().manual_seed(0)
    split = Split(torch.randn(images, 3, 32, 32, generator=draw), torch.arange(images) % 10)
    task = Task("random", 10, (3, 32, 32), split.first(64), split, Seal(lambda: split), "none")
    options = SupernetOptions(channels=channels, cells=cells, eval_batch=batch)
    return SupernetObjective(NB201(), task, options, Streams(0), epochs=1)


def looks(made: SupernetObjective, rounds: int) -> tuple[list[float], list[int], float]:
    """Milliseconds an image and page faults of each look after a first one, and the loss."""
    gates, times, faults = torch.full((6, 5), 0.2), list[float](), list[int]()
    loss = float(made.measure(gates).loss)
    for _ in range(rounds):
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        made.measure(gates)
        times.append(1000 * (time.perf_counter() - began) / made.validation_images)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return times, faults, loss


def main(arguments: list[str] | None = None) -> None:
    parser = Parser(__doc__)
    parser.counts(images=1000, rounds=3, channels=16, cells=5, batch=500)
    given = parser.parse_args(arguments)
    made = objective(given.images, given.channels, given.cells, given.batch)
    times, faults, loss = looks(made, given.rounds)
    keep_freed_memory()
    kept_times, kept_faults, kept_loss = looks(made, given.rounds)
    if kept_loss != loss:
        raise SystemExit(f"the two losses differ: {loss!r} and {kept_loss!r}")
    ratio = statistics.median(times) / statistics.median(kept_times)
    found = {
        "images": given.images, "channels": given.channels, "cells": given.cells, "batch": given.batch,
        "default": {"ms_an_image": times, "page_faults": faults},
        "kept": {"ms_an_image": kept_times, "page_faults": kept_faults},
        "ratio": ratio,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        **made_with(torch.device("cpu")),
    }  # fmt: skip
    for words, ms, count in (("by default", times, faults), ("with memory kept", kept_times, kept_faults)):
        print(f"{words}: {statistics.median(ms):.2f} ms an image, {statistics.median(count):,} page faults a look")
    print(f"{ratio:.2f} x")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(ended(main))
