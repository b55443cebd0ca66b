"""What this machine can do: its best rates of convolution, matrix product and memory, by torch.

    python benchmarks/machine/run.py [--threads 2 --repeats 9] [--out FILE.json]

A step of a network can be no faster than its convolutions at the best rate of any convolution here. So
`benchmarks/supernet_step --machine FILE.json` gives a step as a share of it. Rates are medians; of each kind the best
shape counts. bfloat16 is measured where torch has it on this processor (it is emulated, and slow, where the processor
lacks the instructions).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional as F

from benchbed.runtime import machine
from benchbed.runtime.script import Parser, at_least, ended

LEAST = 0.02  # seconds that one timing takes at least: it is repeated within
SIDES = {16: 32, 32: 16, 64: 8, 128: 8, 256: 8}  # channels to the side of the image, as in NAS-Bench-201 and beyond
MATRICES = (512, 1024, 2048)
COPIED = 1 << 26  # float32 values of a copy: beyond any cache
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call."""
    work()
    before = time.perf_counter()
    work()
    inside = max(1, round(LEAST / max(time.perf_counter() - before, 1e-9)))
    found = []
    for _ in range(repeats):
        before = time.perf_counter()
        for _ in range(inside):
            work()
        found.append((time.perf_counter() - before) / inside)
    return statistics.median(found)


def convolutions(dtype: torch.dtype, batch: int) -> Iterator[tuple[str, float, Callable[[], object]]]:
    """(shape, GFLOP, call) of 3x3 convolutions, forwards, channels-last."""
    for channels, side in SIDES.items():
        x = torch.randn(batch, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
        work = 2 * batch * channels * channels * 9 * side * side / 1e9
        yield f"{channels} channels, {side}x{side}", work, lambda x=x, w=w: F.conv2d(x, w, padding=1)


def products(dtype: torch.dtype, batch: int) -> Iterator[tuple[str, float, Callable[[], object]]]:
    for n in MATRICES:
        a, b = (torch.randn(n, n).to(dtype) for _ in range(2))
        yield f"{n}x{n}", 2 * n**3 / 1e9, lambda a=a, b=b: a @ b


def best(
    cases: Iterator[tuple[str, float, Callable[[], object]]], threads: int, repeats: int, say: str
) -> dict[str, Any]:
    """The greatest rate among the cases, which are printed."""
    found: dict[str, Any] = {"gflops": 0.0, "threads": threads}
    for shape, work, call in cases:
        rate = work / median_seconds(call, repeats)
        print(f"{say:24} {shape:26} {rate:8.1f} GFLOP/s", flush=True)
        if rate > found["gflops"]:
            found |= {"gflops": rate, "shape": shape}
    return found


def memory(repeats: int) -> float:
    """GB/s of a copy, read and written bytes together."""
    source = torch.ones(COPIED)
    target = torch.empty_like(source)
    return 2 * 4 * COPIED / 1e9 / median_seconds(lambda: target.copy_(source), repeats)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--threads", type=at_least(1), default=2, help="torch's threads (default 2)")
    parser.add_argument("--batch", type=at_least(1), default=64, help="images of a convolution (default 64)")
    parser.add_argument("--repeats", type=at_least(1), default=9, help="timings a rate is the median of (default 9)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    rates: dict[str, Any] = {}
    with torch.no_grad():
        for name, dtype in PRECISIONS.items():
            rates[name] = {
                kind: best(cases(dtype, options.batch), options.threads, options.repeats, f"{kind} {name}")
                for kind, cases in (("convolution", convolutions), ("product", products))
            }
        copied = memory(options.repeats)
    print(f"{'copy of memory':51} {copied:8.1f} GB/s")
    if options.out:
        result = {
            "options": {key: value for key, value in vars(options).items() if key != "out"},
            **machine.made_with(torch.device("cpu")),
            "rates": rates,
            "copy_gigabytes_a_second": copied,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
