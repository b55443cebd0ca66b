"""How much memory a search step takes when a position has 2, 4, 8 and 16 operations: DARTS and ProxylessNAS' modes.

    python benchmarks/memory/run.py [--operations 2,4,8,16 --positions 8 --channels 16 --batch 16] [--out FILE.json]

The network is a chain of inverted bottlenecks (chain.py), the steps are benchbed's own: the gradient of the gates in
each mode, and a weight step of one path. A number is the most bytes of tensors held at once above what was held
before the step (weights, images): see live.py. It holds no time and is the same at every call on a CPU.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from chain import Chain
from live import peak_bytes
from torch import Tensor

from benchbed.layers.plan import Plan, Run, plan
from benchbed.objectives.capture import Inputs, gate_gradients, weight_gradients
from benchbed.runtime import machine
from benchbed.runtime.script import Parser, ended

MODES = {
    "one path": "a weight step of one path",
    "two": "gate gradients of the path and one other operation a position (ProxylessNAS, section 3.2.1)",
    "echo": "gate gradients of all operations, run again in the backward pass",
    "full": "gate gradients of all operations, outputs kept",
    "darts": "gate gradients at the mixture: every operation flows",
}
MIB = 2**20


def gates_and_plan(mode: str, positions: int, operations: int) -> tuple[Tensor, Plan]:
    """What the searcher of a mode asks for: gates (P, O), and how each operation takes part."""
    everything = torch.ones(positions, operations, dtype=torch.bool)
    if mode == "darts":
        mixture = torch.full((positions, operations), 1 / operations)
        return mixture, plan(mixture, everything)
    path = torch.zeros(positions, operations)
    path[:, 0] = 1.0
    if mode == "one path":
        return path, plan(path)
    if mode == "two":
        pair = everything.clone()
        pair[:, 2:] = False
        return path, plan(path, pair)
    return path, plan(path, everything, Run.ECHOED if mode == "echo" else Run.PROBED)


def measure(mode: str, operations: int, size: dict[str, int], device: torch.device) -> tuple[int, int]:
    """Peak bytes of one step, and how many candidates were run in it."""
    torch.manual_seed(0)
    network = Chain(size["positions"], operations, size["channels"]).to(device)
    gates, steps = gates_and_plan(mode, size["positions"], operations)
    images = torch.randn(size["batch"], 3, size["image"], size["image"], device=device)
    inputs: Inputs = (images, torch.zeros(size["batch"], dtype=torch.int64, device=device), gates.to(device))
    step = weight_gradients if mode == "one path" else gate_gradients

    def run() -> None:
        step(network, nullcontext, steps, inputs)

    peak = peak_bytes(run, device)
    network.zero_grad()
    before = network.calls
    run()
    return peak, network.calls - before


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The Markdown table: MiB by mode and number of operations, and the ratio of the last to the first."""
    counts = sorted({row["operations"] for row in rows})
    found = {(row["mode"], row["operations"]): row["peak_bytes"] for row in rows}
    lines = [
        "| step | " + " | ".join(f"{n} operations" for n in counts) + f" | {counts[-1]} over {counts[0]} |",
        "|" + "---|" * (len(counts) + 2),
    ]
    for mode in MODES:
        cells = [f"{found[mode, n] / MIB:.1f} MiB" for n in counts]
        lines.append(f"| {mode} | {' | '.join(cells)} | {found[mode, counts[-1]] / found[mode, counts[0]]:.2f} |")
    return lines


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "benchbed"
    figure, axes = plt.subplots(figsize=(5.2, 3.6), constrained_layout=True)
    for mode, marker in zip(MODES, "osv^D", strict=True):
        own = [row for row in rows if row["mode"] == mode]
        axes.plot(
            [row["operations"] for row in own], [row["peak_bytes"] / MIB for row in own], marker=marker, label=mode
        )
    axes.set_xlabel("operations a position")
    axes.set_ylabel("peak of a step, MiB")
    axes.set_xticks(sorted({row["operations"] for row in rows}))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--operations", default="2,4,8,16", help="numbers of operations a position")
    parser.counts(positions=8, channels=16, batch=16, image=32)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument("--plot", type=Path, help="also draw it to this .svg, .pdf or .png")
    options = parser.parse_args(arguments)
    counts = [int(n) for n in options.operations.split(",")]
    if min(counts) < 2:
        parser.error(f"--operations {options.operations}: 'two' needs at least 2")
    device = machine.pick_device(options.device)
    size = {name: getattr(options, name) for name in ("positions", "channels", "batch", "image")}
    rows = []
    for mode in MODES:
        for operations in counts:
            peak, calls = measure(mode, operations, size, device)
            rows.append({"mode": mode, "operations": operations, "peak_bytes": peak, "candidate_runs": calls})
    print("\n".join(table(rows)))
    if options.out:
        found = {
            "size": size,
            **machine.made_with(device),
            "rows": rows,
        }
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.plot:
        picture(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
