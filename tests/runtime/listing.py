"""What test_listed_once.py runs as two processes: makes a task, and writes what it is and how often files were read.

python listing.py FOLDER TASK OUT [broken | alone]      under torchrun's variables

broken: rank 0 finds a folder empty; alone: it makes the task once more by itself, and once within `from_leader`.
"""

import json
import os
import shutil
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from benchbed.errors import BenchbedError
from benchbed.runtime.parallel import ALONE, connected, joined, within
from benchbed.tasks.load import load_task


def main() -> None:
    folder, name, out = sys.argv[1:4]
    calls: Counter[str] = Counter()

    def counting(event: str, args: tuple) -> None:
        if event in ("os.scandir", "os.listdir", "open") and str(args[0]).startswith(folder):
            calls[event] += 1

    sys.addaudithook(counting)
    rank = int(os.environ["RANK"])
    with joined("cpu") as (group, _):
        if "broken" in sys.argv and group.leader:
            shutil.rmtree(Path(folder) / "train" / "n0")
            (Path(folder) / "train" / "n0").mkdir()
        options = {"data": folder, "valid": 2, "resolution": 8} if name == "imagenet" else {}
        make = partial(load_task, name if name == "imagenet" else f"{name}:{folder}", **options)
        if "alone" in sys.argv:
            if group.leader:
                with within(ALONE):
                    make()
            group.from_leader(lambda: make().fingerprint)
            assert connected() == group
        try:
            task = make()
        except BenchbedError as error:
            found = {"refused": str(error)}
        else:
            found = {"fingerprint": task.fingerprint, "facts": task.facts, "calls": dict(calls)}
            found["labels"] = [split.labels.tolist() for split in (task.train, task.valid, task.seal.open("it"))]
            if name == "imagenet":
                found["names"] = [task.train.names, task.valid.names, task.seal.open("it").names]
            else:
                found["sums"] = [split.images.double().sum().item() for split in (task.train, task.valid)]
    (Path(out) / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
