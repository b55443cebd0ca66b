"""How long a look-up takes, as ratios to nats_bench reading its own sample files, in the same process.

    python benchmarks/lookup/run.py [--data ../shared/data --rounds 15 --out FILE.json]

Two tables are made in a temporary home: all 15,625 cells from the CSV export, and the three cells of the sample folder,
with their single trainings. Every round does each thing once, beginning with another one, and a ratio is taken within
a round, so that a slow moment of the machine falls on both. Files are in the system's cache. Before anything is timed,
the answers are compared. Where nats_bench or its sample is missing, our own times are printed without ratios.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchbed.runtime.script import Parser, at_least, ended

CELLS = (0, 11, 284)  # those of the sample
SETS = (("cifar10-valid", "cifar10"), ("cifar100", "cifar100"), ("ImageNet16-120", "imagenet16-120"))
Act = Callable[[], float]  # does one thing and gives its seconds

# (what, ours, theirs): the time of theirs / the time of ours
RATIOS = (
    ("open the whole table, query one cell : first touch of a cell", "table: open, first query", "nats: first touch"),
    ("the same : create and first touch", "table: open, first query", "nats: create, first touch"),
    ("warm scalar query : warm get_more_info", "table: scalar query", "nats: get_more_info"),
    ("a cell of a vectorised query : warm get_more_info", "table: a cell of all in one query", "nats: get_more_info"),
    ("Spearman over all cells : first touch of a cell", "table: Spearman of all cells", "nats: first touch"),
    ("drop-in, create and first touch : create and first touch", "drop-in: create, first touch",
     "nats: create, first touch"),
    ("drop-in, first touch : first touch", "drop-in: first touch", "nats: first touch"),
    ("drop-in, warm, another epoch : warm, another epoch", "drop-in: another epoch", "nats: another epoch"),
    ("drop-in, asked before : warm get_more_info", "drop-in: get_more_info", "nats: get_more_info"),
)  # fmt: skip


def timed(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def each(action: Callable[[Any], Any], arguments: list[Any], times: int) -> float:
    """Seconds of one call: the arguments in turn, `times` times over."""
    given = [argument for _, argument in zip(range(times), cycle(arguments), strict=False)]
    begun = time.perf_counter()
    for argument in given:
        action(argument)
    return (time.perf_counter() - begun) / times


def table_acts(path: Path) -> dict[str, Act]:
    """What is done with the table of all cells."""
    from scipy.stats import spearmanr

    from benchbed.tables import Table

    table = Table.open(path)
    texts = [table.arch(index).text for index in CELLS]
    asked = [(text, ours) for text in texts for _, ours in SETS]
    choices = np.indices(table.shape).reshape(len(table.shape), -1).T.copy()  # (15625, 6)
    figure = ("cifar10", "valid", 200)

    def spearman() -> Any:
        return spearmanr(table.values("cifar10", "valid", 12).reshape(-1), table.values(*figure).reshape(-1))

    return {
        "table: open, first query": lambda: timed(lambda: Table.open(path).query(texts[1], *figure)),
        "table: scalar query": lambda: each(lambda a: table.query(a[0], a[1], "valid", 200), asked, 9000),
        "table: a cell of all in one query": lambda: timed(lambda: table.query(choices, *figure)) / len(choices),
        "table: Spearman of all cells": lambda: timed(spearman),
    }


def dropin_acts(create: Callable[[], Any], name: str, repeats: int) -> dict[str, Act]:
    """The same questions to an interface of NATS-Bench's form: theirs, or the drop-in."""
    warm = create()
    asked = [(index, theirs, None) for index in CELLS for theirs, _ in SETS]
    later = [(index, "cifar10-valid", epoch) for epoch in range(199) for index in CELLS]
    random.Random(0).shuffle(later)

    def ask(api: Any, question: tuple[int, str, int | None]) -> Any:
        index, dataset, epoch = question
        return api.get_more_info(index, dataset, iepoch=epoch, hp="200", is_random=False)

    for question in asked:
        ask(warm, question)

    def first_touch() -> float:
        api = create()
        return timed(lambda: ask(api, asked[4]))

    def another_epoch() -> float:
        api = create()
        for index in CELLS:
            ask(api, (index, "cifar10-valid", None))
        return each(lambda q: ask(api, q), later, min(repeats, len(later)))

    return {
        f"{name}: create, first touch": lambda: timed(lambda: ask(create(), asked[4])),
        f"{name}: first touch": first_touch,
        f"{name}: another epoch": another_epoch,
        f"{name}: get_more_info": lambda: each(lambda q: ask(warm, q), asked, repeats),
    }


def rounds_of(acts: dict[str, Act], rounds: int) -> dict[str, list[float]]:
    """Seconds of every act in every round; round r begins with act r. Two rounds before the first do not count."""
    names, times = list(acts), {name: [] for name in acts}
    for r in range(-2, rounds):
        for k in range(len(names)):
            name = names[(r + k) % len(names)]
            seconds = acts[name]()
            if r >= 0:
                times[name].append(seconds)
    return times


def ratios_of(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Median and quartiles, over rounds, of the time of theirs / the time of ours."""
    rows = []
    for what, ours, theirs in RATIOS:
        if ours in times and theirs in times:
            found = [b / a for a, b in zip(times[ours], times[theirs], strict=True)]
            low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
            rows.append({"what": what, "ours": ours, "theirs": theirs, "median": middle, "quartiles": [low, high]})
    return rows


def differences(path: Path, theirs: Any, dropin: Any) -> list[str]:
    """One line per answer that is not the same. The export is rounded to six decimals; the drop-in is exact."""
    from benchbed.tables import Table

    table, found = Table.open(path), []
    for index in CELLS:
        for name, ours in SETS:
            wanted, own = (a.get_more_info(index, name, hp="200", is_random=False) for a in (theirs, dropin))
            if wanted != own:
                found.append(f"cell {index}, {name}: the drop-in's answer is another")
            value = table.query(table.arch(index), ours, "valid", 200)
            if not abs(value - wanted["valid-accuracy"]) < 1e-6:
                found.append(f"cell {index}, {name}: {value} in the table, {wanted['valid-accuracy']} in nats_bench")
    return found


def import_tables(data: Path) -> tuple[Path, Path | None]:
    """The files of the table of all cells, and of the sample's where it is there. They lie in $BENCHBED_HOME."""
    from benchbed.tables import store
    from benchbed.tables.importing import import_table

    import_table([data / "nb201" / "table.csv", data / "nb201" / "per_seed_200.npz"], "nb201")
    sample = data / "nats-tss-sample"
    if sample.is_dir():
        import_table([sample], "sample")
    return store.path_of("nb201"), store.path_of("sample") if sample.is_dir() else None


def measure(data: Path, rounds: int, repeats: int) -> tuple[dict[str, list[float]], list[str]]:
    """Times, and what differs, in which case nothing is timed."""
    whole, sample = import_tables(data)
    acts = table_acts(whole)
    try:
        from nats_bench import create as theirs
    except ImportError:
        theirs = None
        print("nats_bench is missing (pip install nats_bench==1.8): no ratios", file=sys.stderr)
    if sample is None:
        print(f"{data / 'nats-tss-sample'} is missing: no ratios", file=sys.stderr)
    else:
        from benchbed.dropin import create as ours

        acts |= dropin_acts(lambda: ours(sample, "tss", fast_mode=True, verbose=False), "drop-in", repeats)
        if theirs is not None:
            folder = str(data / "nats-tss-sample")
            acts |= dropin_acts(lambda: theirs(folder, "tss", fast_mode=True, verbose=False), "nats", repeats)
            wrong = differences(whole, theirs(folder, "tss", fast_mode=True, verbose=False),
                                ours(sample, "tss", fast_mode=True, verbose=False))  # fmt: skip
            if wrong:
                return {}, wrong
    return rounds_of(acts, rounds), []


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="the folder of nb201/ and nats-tss-sample/")
    parser.add_argument("--rounds", type=at_least(1), default=15, help="rounds that count, at least 2 (default 15)")
    parser.add_argument(
        "--repeats", type=at_least(1), default=300, help="warm calls of get_more_info a round (default 300)"
    )
    found = parser.parse_args(arguments)
    if found.rounds < 2 or found.repeats < 1:
        parser.error(f"--rounds {found.rounds} --repeats {found.repeats}: a spread needs 2 rounds, a mean 1 call")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if not (options.data / "nb201" / "table.csv").is_file():
        print(f"{options.data / 'nb201' / 'table.csv'} is missing: nothing to measure", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="benchbed-lookup-") as home:
        before = os.environ.get("BENCHBED_HOME")
        os.environ["BENCHBED_HOME"] = home
        try:
            times, wrong = measure(options.data, options.rounds, options.repeats)
        finally:
            os.environ.pop("BENCHBED_HOME")
            if before is not None:
                os.environ["BENCHBED_HOME"] = before
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    rows = ratios_of(times)
    for name, seconds in times.items():
        low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
        print(f"{name:36}{middle * 1e6:12.2f} us   (quartiles {low * 1e6:.2f} to {high * 1e6:.2f})")
    print()
    for row in rows:
        low, high = row["quartiles"]
        print(f"{row['what']:64}{row['median']:10.2f}   (quartiles {low:.2f} to {high:.2f})")
    if options.out:
        options.out.write_text(json.dumps(_record(options, times, rows), indent=1) + "\n")
    return 0


def _record(options: argparse.Namespace, times: Any, rows: Any) -> dict[str, Any]:
    import torch  # after everything has been timed

    from benchbed.runtime import machine

    return {
        "options": {"rounds": options.rounds, "repeats": options.repeats},
        **machine.made_with(torch.device("cpu")),
        "seconds": times,
        "ratios": rows,
    }


if __name__ == "__main__":
    sys.exit(ended(main))
