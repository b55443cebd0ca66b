"""The part of the published page that is made again from tables alone: searches, evolution's deviation, correlations.

A printed mean is *inside* where ours is within half a deviation of it: the printed one, or where none is printed ours.
The band was set before the figures were looked at. It is wide: of 500 runs each, half a deviation is eight standard
errors of a difference, so the page gives these too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchbed.tables import Table, whois

BAND = 0.5  # deviations
ROWS = {  # (paper, our searcher) -> (table of published.toml, row); of NATS-Bench's table no text could be read
    ("nb201", "random-search"): ("nb201", "RS"),
    ("nb201", "regularised-evolution"): ("nb201", "REA"),
    ("nb201", "reinforce-search"): ("nb201", "REINFORCE"),
    ("nb201", "bohb"): ("nb201", "BOHB"),
}
CAUSES = {  # of figures that are outside
    ("nb201", "bohb"): "the paper's script ignores the rungs; a copy of ours that does too is inside (below)",
}
RUNS = 500  # of each printed mean, as NAS-Bench-201 says
SHORT = {"cifar10": "C10", "cifar100": "C100", "imagenet16-120": "I16"}
TITLES = {
    "nb201": "NAS-Bench-201's protocol: searched on CIFAR-10 in 12,000 simulated seconds",
    "nats": "NATS-Bench's protocol: searched on each data set, in 20,000, 40,000 and 120,000 simulated seconds",
}
SPLITS = ("valid", "test")


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The lines of a file, without the one of conditions; none where it is not made yet."""
    if not file.exists():
        return []
    return [line for line in map(json.loads, file.read_text().splitlines()) if "conditions" not in line]


def conditions_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text().splitlines()[-1])["conditions"]
    return found


def short(commit: str | None) -> str:
    """Seven digits of a commit, and its + where files were changed."""
    return f"{str(commit)[:7]}{'+' if str(commit).endswith('+') else ''}"


def number(printed: str) -> tuple[float, float | None] | None:
    """(mean, deviation) of '93.92+-0.30'; None of what is no figure."""
    found = re.fullmatch(r"(\d+\.\d+)(?:\+-(\d*\.?\d+))?", printed)
    return None if found is None else (float(found[1]), None if found[2] is None else float(found[2]))


def verdict(printed: str, ours: Mapping[str, float]) -> str:
    """'inside', 'outside', or '' where nothing is printed."""
    if (read := number(printed)) is None:
        return ""
    mean, deviation = read
    return "inside" if abs(ours["mean"] - mean) <= BAND * (deviation or ours["deviation"]) else "outside"


def apart(printed: str, ours: Mapping[str, float]) -> str:
    """Ours minus the printed mean, in standard errors of the difference; '' where no deviation is printed."""
    mean, deviation = number(printed) or (0.0, None)
    if deviation is None:
        return ""
    error = (deviation**2 / RUNS + ours["deviation"] ** 2 / ours["n"]) ** 0.5
    return f"{(ours['mean'] - mean) / error:+.1f}"


def printed_figures(tables: Sequence[Mapping[str, Any]], paper: str, searcher: str) -> dict[str, str]:
    """By 'cifar10 test' and so on what a paper prints of a searcher; empty where it has no such row."""
    place = ROWS.get((paper, searcher))
    if place is None:
        return {}
    table = next(table for table in tables if table["id"] == place[0])
    row = next(row for row in table["rows"] if row[0] == place[1])
    by_column = dict(zip(table["columns"], row[1:], strict=True))
    pairs = ((f"{dataset} {split}", f"{short} {split}") for dataset, short in SHORT.items() for split in SPLITS)
    return {name: by_column[column] for name, column in pairs if column in by_column}


def searches(folder: Path, tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table a protocol: a row a searcher and a figure, the printed one, ours and whether it is inside."""
    lines, text = lines_of(folder / "searches.jsonl"), []
    counts = {"inside": 0, "outside": 0}
    for paper, title in TITLES.items():
        own = [line for line in lines if line["paper"] == paper]
        if not own:
            continue
        head = "| searcher | seeds | figure | printed | ours: mean ± deviation | 95 % interval | apart | |"
        text += ["", f"### {title}", "", head, "|---" * 8 + "|"]
        for line in own:
            printed = printed_figures(tables, paper, line["searcher"])
            for figure, ours in line["figures"].items():
                said = verdict(printed.get(figure, "-"), ours)
                counts[said] = counts.get(said, 0) + 1
                if said == "outside":
                    said += f": {CAUSES.get((paper, line['searcher']), 'no cause found')}"
                shown = printed.get(figure, "-").replace("+-", " ± ")
                text.append(f"| {line['searcher']} | {ours['n']} | {figure} | {shown} | "
                            f"{ours['mean']:.2f} ± {ours['deviation']:.2f} | {ours['low']:.2f} to {ours['high']:.2f} | "
                            f"{apart(printed.get(figure, '-'), ours)} | {said or 'not printed'} |")  # fmt: skip
    if not text:
        return ["", "Not made yet."]
    of = conditions_of(folder / "searches.jsonl")
    where = f"{of['machine']['processor']}, {of['machine']['device']}, commit {short(of['commit'])}"
    about = (
        f"Evaluations by 12 epochs (`bohb`: 12 and 200), table {of['table'][:16]}; {where}. *Inside*: our mean "
        f"is within half a deviation of the printed one ({counts['inside']} figures inside, {counts['outside']} "
        f"outside). *Apart*: ours minus the printed mean in standard errors of the difference, of {RUNS} runs each; "
        f"beyond 2 the two are told apart, inside or not. {_reinforce(lines, tables)} "
        "NATS-Bench's own figures could not be read, and stand nowhere here. The papers' searches read single "
        "trainings of the official file and add a validation pass to the clock; the public exports hold means "
        "and training seconds alone. In NATS-Bench's protocol `bohb` is left out, since its rungs there are 1 to 12 "
        "epochs and the exports have no curves. A seed of the searches that ask a model takes a second or two, hence "
        "40 of them. Intervals are Student's t, of the mean over seeds."
    )
    return ["", about, *text]


def _reinforce(lines: Sequence[Mapping[str, Any]], tables: Sequence[Mapping[str, Any]]) -> str:
    """How far REINFORCE is from what is printed, and where its script's learning rate leads."""
    printed = printed_figures(tables, "nb201", "reinforce-search")
    own = {line["searcher"]: line["figures"] for line in lines if line["paper"] == "nb201"}
    far = [float(apart(text, own["reinforce-search"][figure])) for figure, text in printed.items()]
    rates = []
    for name, figures in own.items():
        _, of, rate = name.partition("reinforce-search:alpha_lr=")
        if of:
            rates.append("{} at {mean:.2f} ± {deviation:.2f}".format(rate, **figures["cifar10 test"]))
    return (
        f"`reinforce-search` is {min(far):+.1f} to {max(far):+.1f} of them from what is printed: its rate is "
        "NATS-Bench's 0.01 and its baseline leaves the reward itself out, where NAS-Bench-201's script takes 0.5 and "
        f"holds it. By other rates ours ends, on CIFAR-10's test, with {' and with '.join(rates)}: the rate is not "
        "what explains it."
    )


def evolution(folder: Path) -> list[str]:
    """The noise of one training, and what it and the stopping rule do to means and deviations."""
    lines = lines_of(folder / "evolution.jsonl")
    if not lines:
        return ["", "Not made yet."]
    noise, rows = lines[0]["noise"], lines[1:]
    head = ("searcher", "noise of one training", "rule of January 2020", "test, %", "deviation's 95 % interval",
            "below 93 %", "evaluations")  # fmt: skip
    text = ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        low, high = row["spread of the deviation"]
        said = ["yes" if row[key] else "no" for key in ("noise of one training", "rule of January 2020")]
        figures = f"{row['mean']:.2f} ± {row['deviation']:.2f} | {low:.2f} to {high:.2f}"
        counts = f"{row['below 93']} of {row['n']} | {row['evaluations']:.1f}"
        text.append(f"| {row['searcher']} | {' | '.join(said)} | {figures} | {counts} |")
    by_accuracy = ", ".join(f"{n['deviation']:.2f} at {n['mean']:.0f} %" for n in noise)
    about = (
        "The papers' scripts read one 12-epoch training of two, the exports their mean. How far one of two is from "
        "their mean, from cells that compute the same function and were trained apart (CIFAR-10, validation, points): "
        f"{by_accuracy}. The script of January 2020 looks at the clock after an evaluation, and not at all for "
        f"evolution's first population. {_found(rows)} Intervals of deviations are percentile bootstraps over seeds."
    )
    return ["", about, *text]


def _found(rows: Sequence[Mapping[str, Any]], printed: float = 0.30) -> str:
    """Whether any of it brings evolution's deviation to the printed one."""
    lows = [row["spread of the deviation"][0] for row in rows if row["searcher"] == "regularised-evolution"]
    if min(lows) > printed:
        return (
            f"Neither brings evolution's deviation to the printed {printed:.2f}: every interval lies above it. The "
            "version of the file behind the paper remains as a cause that was not tried."
        )
    return f"One of the intervals of evolution's deviation holds the printed {printed:.2f}."


def rungs(folder: Path, tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """BOHB as it is told, and as the paper's script has it."""
    lines = lines_of(folder / "rungs.jsonl")
    if not lines:
        return ["", "Not made yet."]
    printed, own = printed_figures(tables, "nb201", "bohb"), lines[-1]["figures"]
    near = sum(verdict(text, own[figure]) == "inside" for figure, text in printed.items())
    above = sum(float(apart(text, own[figure])) > 2 for figure, text in printed.items())
    head = ("each evaluation reads", "evaluations", "figure", "printed", "ours: mean ± deviation", "95 % interval",
            "apart", "deviation's 95 % interval", "")  # fmt: skip
    about = (
        "The script of January 2020 (`exps/algos/BOHB.py` of D-X-Y/AutoDL-Projects bb2f405) gives HpBandSter's BOHB "
        "budgets from 12 to 200 and eta 3, and its worker looks at none: each evaluation reads one training of 12 "
        "epochs and pays for it, a promoted one again. So did ours in the second part, on the rungs that HpBandSter "
        "makes of it (22, 67 and 200), with the script's samples 4, random_fraction 0 and least_bandwidth 0.3, and in "
        "the third with the noise of one training as above, which is the script's own way. HpBandSter's "
        "bandwidth_factor 3, with which candidates are drawn from a wider kernel, has no option here, and its "
        "brackets begin with 9, 3 and 3 architectures, ours, which are Hyperband's, with 9, 5 and 3. "
        f"{lines[0]['figures']['cifar10 test']['n']} seeds. **So it explains most of it, and not all**: in the third "
        f"part {near} of the {len(printed)} figures are inside the band of half a deviation, and {above} are still "
        "more than two standard errors above the printed means; the bandwidth factor and the brackets were not tried."
    )
    text = ["", about, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for line in lines:
        for figure, ours in line["figures"].items():
            low, high = line["spread of the deviation"][figure]
            text.append(f"| {line['what']} | {line['evaluations']:.1f} | {figure} | "
                        f"{printed[figure].replace('+-', ' ± ')} | {ours['mean']:.2f} ± {ours['deviation']:.2f} | "
                        f"{ours['low']:.2f} to {ours['high']:.2f} | {apart(printed[figure], ours)} | "
                        f"{low:.2f} to {high:.2f} | {verdict(printed[figure], ours)} |")  # fmt: skip
    return text


def correlations(folder: Path) -> list[str]:
    """Kendall and Spearman of what is cheap to know with test accuracy after 200 epochs."""
    lines = lines_of(folder / "correlations.jsonl")
    if not lines:
        return ["", "Not made yet."]
    head = ("data set", "predictor", "n", "Kendall tau-b", "Spearman", "Kendall in the top 10 %")
    about = (
        "Kendall's tau-b and Spearman's rho over all cells, with 95 % percentile bootstrap intervals over cells; "
        "`figure:` names a column of HW-NAS-Bench, of Jung et al.'s robust accuracies, or few-shot-NAS' accuracies by "
        "one supernet. No printed figure of these pairs could be read in a paper's text, so none stands beside them."
    )
    text = ["", about, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for line in lines:
        tau, rho, top = (line[key] for key in ("tau", "rho", "top_tau"))
        words = (f"{e['value']:.3f} ({e['low']:.3f} to {e['high']:.3f})" for e in (tau, rho, top))
        text.append(f"| {line['dataset']} | {line['predictor']} | {tau['n']:,} | {' | '.join(words)} |")
    return text


def cells(table: Mapping[str, Any], opened: Table) -> dict[str, str]:
    """By row of a published table: the cell of the benchmark whose figures equal all the printed ones, or how many have
    them, or 'none'. Of rows without a deviation, of tables whose columns are the benchmark's."""
    columns = [i for i, column in enumerate(table["columns"]) if re.fullmatch(r"(C10|C100|I16) (valid|test)", column)]
    found: dict[str, str] = {}
    for row in table["rows"]:
        read = [number(row[1 + i]) for i in columns]
        figures = [value for value in read if value is not None]
        if not figures or any((deviation or 0) > 0 for _, deviation in figures):
            continue
        held = whois(opened, [f"{mean:.2f}" for mean, _ in figures]).cells
        found[row[0]] = f"#{held[0].number}" if len(held) == 1 else f"{len(held)} cells" if held else "none"
    return found
