"""Trains one cell by NAS-Bench-201's 12-epoch recipe on real CIFAR-10, and sets it beside its row of the table.

    python results/training_path.py --data DIR --splits DIR --table nb201 --out FOLDER [--arch STR] [--seed 0]

As the benchmark's `cifar10-valid`: trained on 25,000 images, validated on the other 25,000 (its own split files), C=16,
N=5, recipe H of 12 epochs, crop and flip. FOLDER keeps a checkpoint an epoch, `history.jsonl` and last `record.json`;
the same command goes on where it was stopped.
"""

import argparse
import time
from pathlib import Path

from benchbed.runtime.folder import Folder
from benchbed.runtime.machine import made_with, pick_device
from benchbed.spaces.nb201.network import NB201Network
from benchbed.streams import Streams, seeded
from benchbed.tables import Table
from benchbed.tasks.load import load_task
from benchbed.training.train import RECIPES, Training, evaluate

CELL_284 = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "splits", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--arch", default=CELL_284)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    table, device = Table.open(given.table), pick_device("auto")
    cell = table.space.parse(given.arch)
    published = table.answer(cell, "cifar10", "valid", 12)
    task = load_task("cifar10", data=given.data, splits=given.splits)
    streams = Streams(given.seed)
    with seeded(streams.generator("initialisation")):
        network = NB201Network(cell.choices)
    training = Training(network, task.train, RECIPES["H12"], streams.generator("data"), task.augment, device)
    with Folder(given.out, ("valid_accuracy",)) as folder:
        if folder.record is not None:
            print(f"done before: {given.out}")
            return
        seconds = 0.0
        if (saved := folder.load()) is not None:
            training.load_state(saved["training"])
            seconds = saved["seconds"]
        while not training.finished:
            began = time.perf_counter()
            line = training.epoch()
            seconds += time.perf_counter() - began
            line["valid_accuracy"] = evaluate(network, task.valid.to(device))
            folder.log(line)
            folder.save({"training": training.state(), "seconds": seconds})
            print(line, flush=True)
        record = {
            "architecture": str(cell),
            "valid_accuracy": evaluate(network, task.valid.to(device)),
            "table": {"name": table.name, "fingerprint": table.fingerprint, "cifar10_valid_12": published._asdict()},
            "seed": given.seed,
            "recipe": RECIPES["H12"].model_dump(),
            "task": {"fingerprint": task.fingerprint, **task.facts},
            "seconds": seconds,
            **made_with(device),
        }
        folder.finish(record)
    print(f"validation {record['valid_accuracy']:.2f} %, the table's mean {published.mean:.2f} %")


if __name__ == "__main__":
    main()
