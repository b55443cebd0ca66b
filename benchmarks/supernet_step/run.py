"""How long a dense step of the NAS-Bench-201 supernet takes, as a ratio to an op-by-op supernet in the same process.

    python benchmarks/supernet_step/run.py [--channels 16 --cells 5 --batch 64 --threads 2 --repeats 15]
        [--faster] [--autodl DIR --darts-pt DIR --confopt DIR] [--machine FILE.json]

Weight step: forward, backward, gradient clipping, SGD. Gate step: forward and the gradient of the gates alone. DARTS
step: one after the other. Both networks run the very same step code and differ in their forward pass only; each runs
channels-last and contiguous. Published codes run their own networks and steps (peers.py), from clones that the user
names. With what benchmarks/machine wrote, each DARTS step of ours is also given as a share of the best convolution.

The rounds are interleaved: every variant runs once a round, each round begins with another variant, and a ratio is
taken within a round, so that a slow moment of the machine falls on both. On CUDA there are bfloat16 variants and, for
ours, the step captured in a CUDA graph; with --faster a CPU runs ours in bfloat16 and compiled too (the compilation
falls into the rounds that do not count). Equality comes before time: see check.py.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from check import LIMITS, QUANTITIES, distances, failures
from peers import PEERS, PeerArm, count, loaded
from reference import ReferenceSupernet, copy_weights
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchbed.layers.plan import Plan, full_plan
from benchbed.objectives.capture import REPEATS, Recordings, gate_gradients, weight_gradients
from benchbed.runtime import machine
from benchbed.runtime.script import Parser, at_least, ended
from benchbed.spaces.nb201.supernet import NB201Supernet
from benchbed.supernet import compile_steps

WARM_UP = REPEATS + 2  # rounds before the first that counts; the CUDA graph is recorded in them
CHECKED = 8  # images in the comparison of values
Variant = tuple[str, str, str, str]  # network, memory format, precision; "", "graph" (CUDA) or "compiled" (CPU)
MAIN: Variant = ("ours", "channels-last", "float32", "")


class Arm:
    """One variant, ready to step again and again on one batch."""

    def __init__(self, variant: Variant, size: dict[str, int], batch: tuple[Tensor, Tensor, Tensor], plan: Plan):
        network, layout, precision, how = variant
        images, labels, gates = batch
        memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format
        torch.manual_seed(0)
        reference, ours = ReferenceSupernet(**size), NB201Supernet(**size)
        copy_weights(reference, ours)
        self.network: nn.Module = (ours if network == "ours" else reference).to(images.device).to(memory_format=memory)
        self.inputs, self.plan = (images.contiguous(memory_format=memory), labels, gates), plan
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
        self.precision: Any = nullcontext
        if precision == "bf16":
            self.precision = partial(torch.autocast, images.device.type, torch.bfloat16, cache_enabled=False)
        self.recordings = Recordings(self.network, self.precision) if how == "graph" else None
        if how == "compiled":
            compile_steps(ours)

    def _run(self, step: Any) -> Any:
        if self.recordings is not None:
            return self.recordings.run(step, self.plan, self.inputs)
        return step(self.network, self.precision, self.plan, self.inputs)

    def weight_step(self) -> None:
        _, gradients = self._run(weight_gradients)
        for weight, gradient in zip(self.network.parameters(), gradients, strict=True):
            weight.grad = gradient
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()

    def gate_step(self) -> None:
        self._run(gate_gradients)

    def darts_step(self) -> None:
        self.weight_step()
        self.gate_step()


def variants(device: torch.device, faster: bool) -> list[Variant]:
    both = ("ours", "reference")
    found: list[Variant] = [(n, layout, "float32", "") for layout in ("channels-last", "contiguous") for n in both]
    if device.type == "cuda":
        found += [(n, "channels-last", "bf16", "") for n in both]
        found += [("ours", "channels-last", precision, "graph") for precision in ("float32", "bf16")]
    elif faster:
        found += [("ours", "channels-last", "bf16", "")]
        found += [("ours", "channels-last", precision, "compiled") for precision in ("float32", "bf16")]
    return found


def label(variant: Variant) -> str:
    return " ".join(part for part in variant if part)


def interleave(
    steps: dict[Variant, Callable[[], None]], rounds: int, clock: Callable[[], float]
) -> dict[Variant, list[float]]:
    """Seconds of every variant in every round; round r begins with variant r."""
    names, times = list(steps), {variant: [] for variant in steps}
    for r in range(-WARM_UP, rounds):
        for k in range(len(names)):
            variant = names[(r + k) % len(names)]
            before = clock()
            steps[variant]()
            taken = clock() - before
            if r >= 0:
                times[variant].append(taken)
    return times


def ratios(times: dict[Variant, list[float]]) -> list[dict[str, Any]]:
    """Every variant of ours against others' at its precision, and against the main one: their time over its own."""
    rows = []
    for a in (v for v in times if v[0] == "ours"):
        others = [v for v in times if v[0] != "ours" and v[2] == a[2]]
        for b in others + [MAIN] * (a != MAIN and a[1] == MAIN[1]):
            found = [theirs / ours for ours, theirs in zip(times[a], times[b], strict=True)]
            low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
            rows.append({"ours": label(a), "against": label(b), "median": middle, "quartiles": [low, high]})
    return rows


def clock_of(name: str, device: torch.device) -> Callable[[], float]:
    if device.type == "cuda":

        def synchronised() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return synchronised
    return time.process_time if name == "cpu" else time.perf_counter


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    for name, least, default, text in (
        ("channels", 1, 16, "C of the first stage"),
        ("cells", 1, 5, "N, cells a stage"),
        ("batch", 2, 64, "images a step, at least 2"),
        ("image", 4, 32, "side length in pixels, at least 4"),
        ("threads", 1, 2, "torch's threads"),
        ("repeats", 1, 15, "rounds that count, at least 2"),
        ("seed", 0, 0, "of images, labels and gates"),
    ):
        parser.add_argument(f"--{name}", type=at_least(least), default=default, help=f"{text} (default {default})")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: the process's own CPU time, for one thread on a machine that is busy with other work (default wall)",
    )
    for name in PEERS:
        parser.add_argument(f"--{name}", type=Path, help="a clone of the peer's repository (see peers.py)")
    parser.add_argument("--faster", action="store_true", help="on a CPU: ours also in bfloat16, compiled, and both")
    parser.add_argument("--machine", type=best_rate, help="what benchmarks/machine wrote on this machine")
    found = parser.parse_args(arguments)
    if found.repeats < 2:
        parser.error(f"--repeats {found.repeats}: a spread needs at least 2")
    if found.machine and found.machine.threads != found.threads:
        parser.error(f"--machine {found.machine.file} was measured with {found.machine.threads} thread(s), "
                     f"not {found.threads}")  # fmt: skip
    return found


class Best(NamedTuple):
    """The best convolution rate of a machine, by a file of benchmarks/machine."""

    file: Path
    gflops: float
    threads: int


def best_rate(text: str) -> Best:
    """An argument's type."""
    file = Path(text)
    try:
        found = json.loads(file.read_text())["rates"]["float32"]["convolution"]
        return Best(file, float(found["gflops"]), int(found["threads"]))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"'{text}' cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise argparse.ArgumentTypeError(f"'{text}' has no rates of convolutions in float32: expected a file that "
                                         "benchmarks/machine/run.py wrote with --out") from None  # fmt: skip


def peer_arms(
    options: argparse.Namespace, batch: tuple[Tensor, Tensor, Tensor]
) -> tuple[dict[Variant, PeerArm], dict[str, dict[str, Any]]]:
    """The peers that were named, as they come and channels-last; of each its weights, printed, and its commit."""
    arms: dict[Variant, PeerArm] = {}
    said: dict[str, dict[str, Any]] = {}
    for name in PEERS:
        if (clone := getattr(options, name.replace("-", "_"))) is None:
            continue
        for layout in ("contiguous", "channels-last"):
            peer = loaded(name, clone, options.channels, options.cells)
            arms[name, layout, "float32", ""] = PeerArm(peer, layout, batch)
        said[name] = {"weights": count(peer.weights), "commit": machine.commit_of(clone) or "no git"}
        print(f"{name}: {said[name]['weights']:,} weights, commit {said[name]['commit']}")
    return arms, said


class Flops(TorchDispatchMode):
    """Counts those of convolutions and products of matrices, as torch does (its own counter refuses autograd.grad)."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (counted := flop_registry.get(func.overloadpacket)) is not None:
            self.total += counted(*args, **(kwargs or {}), out_val=out)
        return out


def flops(arm: Arm) -> int:
    """Of a DARTS step."""
    with Flops() as counter:
        arm.darts_step()
    return counter.total


def share(seconds: float, work: int, best: Best) -> str:
    """What the step reaches of this machine's best convolution rate."""
    rate = work / seconds / 1e9
    part = three_digits(100 * rate / best.gflops)
    return f"{three_digits(rate)} GFLOP/s, {part}% of the best convolution of {best.file.name}"


def three_digits(value: float) -> str:
    """At least three that count: a step of a tiny network is far below a percent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    device = machine.pick_device(options.device)
    size = {"channels": options.channels, "cells": options.cells}
    draw = torch.Generator().manual_seed(options.seed)
    images = torch.randn(options.batch, 3, options.image, options.image, generator=draw)
    labels = torch.randint(10, (options.batch,), generator=draw)
    gates = torch.softmax(torch.randn(6, 5, generator=draw), 1)
    plan = full_plan(torch.ones(6, 5, dtype=torch.bool))

    found = distances(size, images[:CHECKED], labels[:CHECKED], gates, plan)
    print("||ours - reference|| / ||reference||      " + "".join(f"{q:>18}" for q in QUANTITIES) + "   limit")
    for name, row in found.items():
        print(f"{name:42}" + "".join(f"{d:18.1e}" for d in row) + f"   {LIMITS[name]:.0e}")
    if wrong := failures(found):
        print("\n".join(wrong), file=sys.stderr)
        return 1

    batch = (images.to(device), labels.to(device), gates.to(device))
    chosen = variants(device, options.faster)
    arms: dict[Variant, Any] = {variant: Arm(variant, size, batch, plan) for variant in chosen}
    weights = count(list(arms[MAIN].network.parameters()))
    print(f"\nours: {weights:,} weights")
    theirs, peers = peer_arms(options, batch)
    arms |= theirs
    work = flops(arms[MAIN])
    result: dict[str, Any] = {
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
        | {"machine": options.machine and str(options.machine.file)},
        **machine.made_with(device),
        "weights": weights,
        "peers": peers,
        "distances": found,
        "flops": work,
        "steps": {},
    }
    for step in ("weight_step", "gate_step", "darts_step"):
        times = interleave(
            {v: getattr(a, step) for v, a in arms.items()}, options.repeats, clock_of(options.clock, device)
        )
        rows = ratios(times)
        print(f"\n{step}: C={options.channels}, N={options.cells}, batch {options.batch}, {options.repeats} rounds")
        for variant, seconds in times.items():
            print(f"  {label(variant):40} median {1000 * statistics.median(seconds):9.1f} ms")
        for row in rows:
            low, high = row["quartiles"]
            print(
                f"  {row['ours']:34} ratio {row['median']:.2f} (quartiles {low:.2f} to {high:.2f}) to {row['against']}"
            )
        result["steps"][step] = {"seconds": {label(v): s for v, s in times.items()}, "ratios": rows}
    if options.machine:
        middle = statistics.median(result["steps"]["darts_step"]["seconds"][label(MAIN)])
        result["share"] = share(middle, work, options.machine)
        print(f"\nDARTS step, {label(MAIN)}: {result['share']}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
