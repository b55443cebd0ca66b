"""The table of what sets alpha on digits, from the records of results/small-protocols.toml.

    python results/small_protocols.py RUNS    # results/small-protocols.jsonl; the table goes to the terminal

Nothing but the finished supernet's accuracy and the seconds of a search is read of a record.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from benchbed.pipeline.record import Record
from benchbed.report.markdown import json_lines, markdown_table

TRIED = ("alpha_lr", "controller_lr", "step")
LINES = Path("results/small-protocols.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, help="the sweep's folder")
    lines = []
    for path in sorted(parser.parse_args().runs.glob("*/record.json")):
        record = Record.read(path)
        options = record.config["searcher"]["options"]
        (tried,) = (name for name in TRIED if name in options)
        lines.append({"searcher": record.searcher, "setting": f"{tried}={options[tried]:g}", "value": options[tried],
                      "epochs": record.config["epochs"], "seed": record.seed,
                      "supernet_accuracy": record.supernet_accuracy, "seconds": record.seconds["search"]})  # fmt: skip
    lines.sort(key=lambda line: (line["searcher"], line["value"], line["seed"]))
    LINES.write_text(json_lines(lines))
    settings = defaultdict(list)
    for line in lines:
        settings[line["searcher"], line["setting"], line["epochs"]].append(line)
    rows = []
    for (searcher, setting, epochs), own in settings.items():
        found = [line["supernet_accuracy"] for line in own]
        seconds = sum(line["seconds"] for line in own) / len(own)
        each = ", ".join(f"{one:.1f}" for one in found)
        rows.append([searcher, setting, str(epochs), each, f"{sum(found) / len(found):.1f}", f"{seconds:.0f}"])
    head = ["searcher", "setting", "epochs", "supernet accuracy of each seed, %", "mean", "seconds a search"]
    print("\n".join(markdown_table(head, rows)))


if __name__ == "__main__":
    main()
