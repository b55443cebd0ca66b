"""The tables at the end of a run, on the terminal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..pipeline.record import Record
from ..runtime.typed_command import typed_command
from ..space import Space
from ..stats.interval import mean_interval
from ..tables.figures import in_epochs
from .columns import Column, fitted, labelled, put, wrapped
from .draw import text_drawing
from .networks import network_in_words
from .tables import number

if TYPE_CHECKING:
    from ..pipeline.full_search import FullSearch

MEANS = "(all but median, deviation and regret are means over seeds)"
NOT_TIMED: Mapping[str, "FullSearch"] = {}


def run_summary(
    record: Record, space: Space, console: Console, folder: str, full: Mapping[str, "FullSearch"] = NOT_TIMED
) -> None:
    """One run: the cell, its figures, the share of parameter-free operations, where the time went, what next.

    full: by searcher, what a search at the paper's size would take.
    """
    facts, seconds = record.facts, record.seconds
    if "images" in facts:
        space = space.for_images(tuple(facts["images"]), facts["classes"])
    console.print(f"\n{record.architecture}", markup=False, soft_wrap=True)  # to be pasted back, in one piece
    console.print(text_drawing(space, space.parse(record.architecture)), markup=False)
    rows = [
        (
            "searcher x selector",
            f"{record.searcher} x {record.selector}, {record.task}, seed {record.seed}",
        ),
        ("test accuracy", _test_accuracy(record)),
        *_standing(record),
        *_cost(record),
        (
            "search's accuracy" if record.objective == "table" else "supernet accuracy",
            f"{record.supernet['supernet_mixture_accuracy']:.2f} % at the mixture, "
            f"{record.supernet['supernet_sampled_accuracy']:.2f} % on average over sampled paths",
        ),
    ]
    rows += _network(record)
    if "parameter_free" in facts:
        rows.append(("parameter-free", f"{facts['parameter_free']:.0%} of the operations{_collapsed(facts)}"))
    if "over_the_limit" in record.notes:
        notes = record.notes
        rows.append(("over the limit", f"the selector's own choice costs {notes['cost_of_that']:.4g}, the limit is "
                     f"{notes['limit']:g}: replaced by the most probable one within it"))  # fmt: skip
    if record.simulated_seconds is not None:
        rows.append(("simulated seconds", f"{record.simulated_seconds:,.0f} of the table's trainings"))
    rows.append(("seconds", "  ".join(f"{name} {value:.1f}" for name, value in seconds.items())))
    if found := full.get(record.searcher):
        rows.append((found.heading, f"{found.hours:.1f}, {found.how}"))
    rows.append(("record", f"{folder}/record.json"))
    put(console, labelled(rows, console.width))
    search = f"{folder.rsplit('/', 1)[0]}/searches/{record.search}"
    another = "magnitude" if record.selector != "magnitude" else "perturb"
    console.print(
        f"next: another selector on the same supernet:\n  {typed_command('select', search, '--selector', another)}",
        markup=False,
        soft_wrap=True,  # a wrapped command is two commands
    )


def _test_accuracy(record: Record) -> str:
    test, valid = f"{record.test_accuracy:.2f} %", f"(validation {record.valid_accuracy:.2f} %)"
    if record.scored_by != "table":
        return f"{test}, trained from scratch  {valid}"
    runs = {None: "", 1: ", one seed"}.get(record.n_seeds, f", mean of {record.n_seeds} seeds")
    if (spread := record.test_spread) is not None:  # older records have none
        runs += f" that deviate by {spread:.2f}"
    table = record.table or {}
    if record.predicted and (by := record.surrogate):
        where = f"{table['dataset']} in surrogate {table['name']}"
        return f"{test}, predicted by {by['predictor']} from {by['trainings']} trainings, not trained: {where}  {valid}"
    epochs = table.get("epochs", 200)  # older records do not say
    return f"{test}, {table['dataset']} in table {table['name']} after {in_epochs(epochs)}{runs}  {valid}"


def _network(record: Record) -> list[tuple[str, str]]:
    """Parameters and FLOPs of the network whose accuracy is told; older records know another, which is named."""
    facts, own = record.facts, record.network or {}
    if "params" in own and "flops" in own:
        return [("parameters", f"{own['params']:,}; {own['flops']:,} FLOPs in the {network_in_words(record)}")]
    if "params" in facts:  # of the run's own images, or of the space's benchmark's; at C and L if given
        of = f"C={facts['channels']}, L={facts['cells']}, " if {"channels", "cells"} <= facts.keys() else ""
        of += "x".join(map(str, facts["images"])) if "images" in facts else "CIFAR-10"
        return [("parameters", f"{facts['params']:,}; {facts['flops']:,} FLOPs in the {of} network")]
    return []


def _standing(record: Record) -> list[tuple[str, str]]:
    """Where the cell stands in the table that scored it, and how many cells its seeds cannot tell from the best."""
    if record.scored_by != "table":
        return []
    floor = record.noise_floor
    why = "most of the table's figures are predicted"
    why = why if record.surrogate else "the table has no per-seed test accuracies, or one seed"
    told = (
        f"not known: {why}"
        if floor is None
        else (f"{floor:,} cells cannot be told from the best at their seeds' spread")
    )
    rank = (
        f"rank {record.rank:,} of {record.cells:,}, percentile {record.percentile:.2f}; regret "
        f"{record.regret:.2f} points below {record.best_test_accuracy:.2f} %"
    )
    every = [f"{name} {pair['valid']:.2f} / {pair['test']:.2f}" for name, pair in (record.datasets or {}).items()]
    elsewhere = [("valid / test", ", ".join(every))] if every else []
    return [*elsewhere, ("in the table", rank), ("noise floor", told)]


def _cost(record: Record) -> list[tuple[str, str]]:
    """What the chosen architecture costs, beside the target and what the search's probabilities cost on average."""
    cost = record.cost
    if not cost:
        return []
    unit = cost["unit"]
    limit = "" if cost["limit"] is None else f", limit {cost['limit']:g}"
    figures = f"{cost['chosen']:.4g} {unit} on {cost['device']} (target {cost['target']:g}{limit}; "
    return [("cost", f"{figures}expected at the end of the search {cost['expected']:.4g})")]


def _collapsed(facts: Mapping[str, Any]) -> str:
    if not facts.get("connected", True):
        return " (dead: no path from input to output)"
    return " (collapsed: nothing in the cell is trained)" if facts["parameter_free"] == 1 else ""


def grid_summary(records: Sequence[Record], console: Console, full: Mapping[str, "FullSearch"] = NOT_TIMED) -> None:
    """Several runs: per pairing the mean, median, deviation and 95 % interval of the test accuracy over seeds.

    Where a table scored, also the median regret over seeds, in points below its best cell; all else is a mean. full: by
    searcher, what a search at the paper's size would take.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.searcher, record.selector].append(record)
    by_table = all(record.scored_by == "table" for record in records)
    where = records[0].table or {}
    how = f"{where['dataset']} in table {where['name']}" if by_table else "cell trained from scratch"
    guessed = sum(bool(r.predicted) for r in records)
    priced = records[0].cost
    columns = [
        Column("searcher"), Column("selector"), Column("seeds", right=True), Column("mean", right=True),
        Column("median", right=True, rank=4), Column("deviation", right=True, rank=5),
        Column("95 % interval", right=True), Column("regret", right=True, rank=1),
        Column(_unit(priced) if priced else "", right=True, rank=2), Column("parameter-free", right=True, rank=7),
        Column("search s", right=True, rank=3), Column("select s", right=True, rank=6),
        *(Column(f.heading, right=True, rank=2) for f in full.values()),
    ]  # fmt: skip
    rows = []
    for (searcher, selector), group in groups.items():
        i = mean_interval([r.test_accuracy for r in sorted(group, key=lambda r: r.seed)])  # as a report has it
        free = [r.facts["parameter_free"] for r in group if "parameter_free" in r.facts]
        searched = [r.search_seconds - r.seconds["selection"] for r in group]  # NaN: not known
        rows.append([
            searcher,
            selector,
            str(i.n),
            f"{i.mean:.2f}",
            "" if i.n < 2 else f"{median(r.test_accuracy for r in group):.2f}",
            "" if i.n < 2 else f"{i.deviation:.2f}",
            "" if i.n < 2 else i.span(),
            f"{median(r.regret for r in group if r.regret is not None):.2f}" if by_table else "",
            f"{sum(cost['chosen'] for r in group if (cost := r.cost)) / i.n:.4g}" if priced else "",
            f"{sum(free) / len(free):.0%}" if free else "",
            number(sum(searched) / i.n, 0),
            f"{sum(r['seconds']['selection'] for r in group) / i.n:.0f}",
            *(f"{f.hours:.1f}" if name == searcher else "" for name, f in full.items()),
        ])  # fmt: skip
    if by_table and records[0].surrogate:
        how += f", a surrogate: predicted of {guessed} of {len(records)} choices"
    title = f"test accuracy in percent, {how}" + ("; regret: the median, in points" if by_table else "")
    put(console, [*wrapped(title, console.width), "", *fitted(columns, rows, console.width), MEANS])
    if simulated := dict.fromkeys(r.searcher for r in records if r.simulated_seconds is not None):
        console.print(f"search s of {', '.join(simulated)}: the table's seconds of the trainings that it bought")
    for found in full.values():
        console.print(str(found))
    if replaced := sum("over_the_limit" in r.notes for r in records):
        of_all = f"{replaced} of {len(records)} choices were over the cost's limit and replaced by the search's most"
        console.print(f"{of_all} probable architecture within it: those say nothing of their selector")
    if len({r.selector for r in records}) > 1 and len({r.seed for r in records}) > 1:
        paired_summary(records, console)


def _unit(cost: Mapping[str, Any]) -> str:
    return f"{cost['unit']} on {cost['device']}"


def paired_summary(records: Sequence[Record], console: Console) -> None:
    """The selector named first minus each other one, seed by seed on the same supernet, with a 95 % interval."""
    first = records[0].selector
    accuracy = {(r.searcher, r.selector, r.seed): r.test_accuracy for r in records}
    title = f"{first} minus each other selector, paired by supernet, points"
    columns = [Column("searcher"), Column("minus")]
    columns += [Column(heading, right=True) for heading in ("pairs", "mean", "95 % interval", "wins")]
    rows = []
    for searcher in dict.fromkeys(r.searcher for r in records):
        for other in dict.fromkeys(r.selector for r in records if r.selector != first):
            pairs = [
                accuracy[searcher, first, seed] - accuracy[searcher, other, seed]
                for seed in dict.fromkeys(r.seed for r in records)
                if {(searcher, first, seed), (searcher, other, seed)} <= accuracy.keys()  # a sweep may lack some
            ]
            if not pairs:
                continue
            i = mean_interval(pairs)
            wins = f"{sum(x > 0 for x in pairs)} of {i.n}"
            rows.append([searcher, other, str(i.n), f"{i.mean:+.2f}", i.span("+.2f"), wins])
    put(console, ["", title, "", *fitted(columns, rows, console.width)])
