"""How far the short score of a DARTS cell on digits ranks cells as a longer training does.

    python results/darts_short_score.py --sample 20 --out results/darts-short-score.jsonl

Random cells of the space are trained twice: as preset `small` scores them, and longer, at the sizes and epochs below,
both on the digits task and from the same seed. Trainings that are in the file are skipped, so that a killed run goes
on. At the end: Spearman's and Kendall's correlation of the validation accuracies, the first with a 95 % percentile
bootstrap interval over the cells.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

CELLS_SEED = 20  # of the random cells; no experiment's seed
SEED = 0
LONG = {"channels": 16, "cells": 8, "epochs": 20}


def settings(kind: str, space: str, long_epochs: int) -> dict[str, Any]:
    """Sizes and recipe of 'short', which is preset small's own, or of 'long'."""
    from benchbed.pipeline.resolve import scoring_base

    own = scoring_base(space, "small")
    return own if kind == "short" else {**own, **LONG, "epochs": long_epochs}


def train(text: str, space_name: str, task: Any, given: dict[str, Any]) -> dict[str, Any]:
    """One training: its validation accuracy and seconds."""
    from benchbed.spaces.load import load_space
    from benchbed.training.cell import training_of
    from benchbed.training.evaluate import evaluate
    from benchbed.training.recipe import Recipe

    space = load_space(space_name)
    recipe = Recipe(**{name: value for name, value in given.items() if name not in ("channels", "cells")})
    began, size = time.perf_counter(), {"channels": given["channels"], "cells": given["cells"]}
    training = training_of(space, task, recipe, space.parse(text), **size, seed=SEED)
    while not training.finished:
        training.epoch()
    return {"accuracy": evaluate(training.network, task.valid), "seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="random cells")
    parser.add_argument("--out", type=Path, required=True, help="a .jsonl file, a line a training")
    parser.add_argument("--space", default="darts")
    parser.add_argument("--images", type=int, default=16000, help="training images of the digits task")
    parser.add_argument("--long-epochs", type=int, default=LONG["epochs"])
    arguments = parser.parse_args()
    import numpy as np
    import torch

    from benchbed.spaces.load import load_space
    from benchbed.tasks.digits import digits

    torch.set_num_threads(1)
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    found = {(r["kind"], r["architecture"], json.dumps(r["settings"])): r for r in map(json.loads, lines)}
    space, rng = load_space(arguments.space), np.random.default_rng(CELLS_SEED)
    cells = [str(space.random(rng)) for _ in range(arguments.sample)]
    task, rows = digits(train=arguments.images), []
    for text in cells:
        row = []
        for kind in ("short", "long"):
            given = {**settings(kind, arguments.space, arguments.long_epochs), "images": arguments.images}
            key = (kind, text, json.dumps(given))
            if key not in found:
                own = {name: value for name, value in given.items() if name != "images"}
                found[key] = {"kind": kind, "architecture": text, "settings": given, "seed": SEED}
                found[key] |= train(text, arguments.space, task, own)
                with open(arguments.out, "a") as file:
                    file.write(json.dumps(found[key]) + "\n")
            row.append(found[key]["accuracy"])
            print(f"{kind:>5} {row[-1]:6.2f} %  {found[key]['seconds']:5.0f} s  {text[:60]}", flush=True)
        rows.append(row)
    agreement(np.array(rows))


def agreement(accuracies: Any) -> None:
    """accuracies: (cells, 2), short and long."""
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    short, long = accuracies.T
    if len(short) < 4:
        print(f"{len(short)} cells: at least 4 are needed for a correlation")
        return
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(short), size=len(short)) for _ in range(2000)]
    drawn = [spearmanr(short[d], long[d]).statistic for d in draws if len(set(d)) > 2]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    print(
        f"{len(short)} cells: Spearman {spearmanr(short, long).statistic:.3f} [{low:.3f}, {high:.3f}], "
        f"Kendall {kendalltau(short, long).statistic:.3f}"
    )


if __name__ == "__main__":
    main()
