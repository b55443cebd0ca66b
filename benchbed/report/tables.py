"""One pandas frame, the columns that are printed of it, and the words around a table."""

import math
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, NamedTuple

from ..pipeline.record import GIVEN
from ..stats.interval import Interval
from ..tables.score import Ceiling
from .groups import LEVEL, RANDOM_SEARCH, RESAMPLES, Group, Row
from .markdown import p_in_words
from .networks import Network, network_in_words, networks
from .which import ceilings, cell_of, table_of

if TYPE_CHECKING:
    import pandas as pd

    from ..tables.table import Table

HOUR = 3600.0
CEILING = "ceiling"
UNEQUAL = 1.5  # times the cost: from there on a control is not at equal cost


def frame(groups: Iterable[Group], with_ceilings: bool = False) -> "pd.DataFrame":
    """A row a setting, groups one after the other; plain numbers, NaN where there is none.

    with_ceilings: below a group also a row for each fidelity of its searches on a table, of the cell that a perfect
    searcher would end at.

    Accuracies, deviation, interval and regret in percent or points, seconds and hours of the search and selection, p
    after Holm against the group's best, p_best_better the probability that the best is better; params and flops of the
    network that was trained. `mean`, `median`, `deviation`, `low` and `high` are of the test accuracy; of all else the
    name says whether it is a mean or a median.
    """
    import pandas as pd

    found = []
    for group in groups:
        table = table_of(group)
        trained = networks(group, table)
        rows = [_figures(group, row, table, trained) for row in group.rows]
        found += rows
        if with_ceilings:
            found += [{**rows[0], **_ceiling(one)} for one in ceilings(group, table)]
    return pd.DataFrame(found)


def _ceiling(of: Ceiling) -> dict[str, Any]:
    """What stands in the row of a ceiling in place of a method's figures."""
    nothing = dict.fromkeys(
        ("median", "deviation", "low", "high", "p", "p_best_better", "median_rank", "mean_cost", "cost_deviation",
         "mean_params", "median_params", "mean_flops", "median_flops", "median_regret", "mean_search_seconds",
         "mean_search_hours"), math.nan
    )  # fmt: skip
    return {
        **nothing, "searcher": of.name, "selector": "", "settings": "", "control": CEILING, "cell": "", "n": 0,
        "predicted": math.nan, "mean": of.test, "pairs": 0, "best": False, "not_worse": False, "mean_valid": of.valid,
        "mean_regret": of.regret,
    }  # fmt: skip


def _figures(group: Group, row: Row, table: "Table | None", trained: Mapping[str, Network]) -> dict[str, Any]:
    cost, seconds = row.cost(), row.search_seconds()
    return {
        "group": group.title,
        "space": group.space,
        "data": group.task,
        "scored_by": "surrogate" if group.predicted else row.records[0].scored_by,
        "predicted": sum(bool(r.predicted) for r in row.records) if group.predicted else math.nan,
        "searcher": row.searcher,
        "selector": row.selector,
        "settings": row.note,
        "control": row.control,
        "cell": cell_of(row, table),
        "n": row.accuracy.n,
        "mean": row.accuracy.mean,
        "median": median(r.test_accuracy for r in row.records),
        "deviation": row.accuracy.deviation,
        "low": row.accuracy.low,
        "high": row.accuracy.high,
        "p": row.p,
        "p_best_better": row.better,
        "pairs": row.pairs,
        "best": row.best,
        "not_worse": row.not_worse,
        "mean_valid": row.mean_of("valid_accuracy"),
        "mean_regret": row.mean_of("regret"),
        "median_regret": row.median_of("regret"),
        "median_rank": row.median_of("rank"),
        "mean_cost": math.nan if cost is None else cost.mean,
        "cost_deviation": math.nan if cost is None else cost.deviation,
        "cost_unit": row.unit,
        **_sizes(row, trained),
        "mean_search_seconds": seconds,
        "mean_search_hours": seconds / HOUR,
    }


def _sizes(row: Row, trained: Mapping[str, Network]) -> dict[str, float]:
    """Mean and median over the row's runs of what their networks cost; NaN where one of them is not known."""
    found = {}
    for kind in Network._fields:
        every = [getattr(trained[r.id], kind) for r in row.records]
        known = None not in every
        found[f"mean_{kind}"] = fmean(every) if known else math.nan
        found[f"median_{kind}"] = float(median(every)) if known else math.nan
    return found


class Column(NamedTuple):
    """A printed column: its heading, what stands in a row, and whether it is a figure."""

    heading: str
    text: Callable[[dict[str, Any]], str]
    figure: bool = True


def number(value: float, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def brief(value: float) -> str:
    """Seconds or hours: three figures of it, whole from a hundred on."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 or value == 0 else "< 0.001"


def _accuracy(row: dict[str, Any]) -> str:
    spread = "" if math.isnan(row["deviation"]) else f" ± {row['deviation']:.2f}"
    return f"{row['mean']:.2f}{spread}"


def _interval(row: dict[str, Any]) -> str:
    """A dash of one seed, whose n says so."""
    if row["n"] < 2:
        return "-"
    return Interval(row["n"], row["mean"], row["deviation"], row["low"], row["high"]).span()


def _p(row: dict[str, Any]) -> str:
    if math.isnan(row["p"]):
        return "-"
    if math.isnan(row["p_best_better"]):  # every pair is equal
        return "equal"
    return p_in_words(row["p"])


def _millions(kind: str) -> Callable[[dict[str, Any]], str]:
    """The mean in millions, and behind it the median where it is another."""

    def text(row: dict[str, Any]) -> str:
        mean, middle = row[f"mean_{kind}"] / 1e6, row[f"median_{kind}"] / 1e6
        if math.isnan(mean):
            return "-"
        return f"{mean:.4g}" if f"{mean:.4g}" == f"{middle:.4g}" else f"{mean:.4g} ({middle:.4g})"

    return text


def _predicted(row: dict[str, Any]) -> str:
    """How many of the row's accuracies no training gave; nothing where no surrogate scored."""
    return "" if math.isnan(row["predicted"]) else f"{row['predicted']:.0f} of {row['n']}"


def _cost(row: dict[str, Any]) -> str:
    spread = "" if math.isnan(row["cost_deviation"]) else f" ± {row['cost_deviation']:.3g}"
    return "-" if math.isnan(row["mean_cost"]) else f"{row['mean_cost']:.4g}{spread}"


ACCURACY = "mean test accuracy, %"
NAMES = ("searcher", "selector", "settings", "control")  # the columns that say which method a row is
COLUMNS = (
    Column("searcher", lambda r: str(r["searcher"]), False),
    Column("selector", lambda r: str(r["selector"]), False),
    Column("settings", lambda r: str(r["settings"]), False),
    Column("control", lambda r: str(r["control"]), False),
    Column("cell", lambda r: str(r["cell"])),
    Column("n", lambda r: str(r["n"] or "-")),
    Column("predicted", _predicted),
    Column(ACCURACY, _accuracy),
    Column("95 % interval", _interval),
    Column("median", lambda r: number(r["median"])),
    Column("p", _p),
    Column("P(best better)", lambda r: number(r["p_best_better"])),
    Column("mean regret", lambda r: number(r["mean_regret"])),
    Column("median rank", lambda r: number(r["median_rank"], 0)),
    Column("mean cost", _cost),
    Column("params, M", _millions("params")),
    Column("FLOPs, M", _millions("flops")),
    Column("mean search, s", lambda r: brief(r["mean_search_seconds"])),
)


def printed(table: "pd.DataFrame") -> tuple[list[Column], list[list[str]]]:
    """The columns of one group's rows that say something, and their texts, a list a row."""
    rows = table.to_dict("records")
    texts = [[column.text(row) for column in COLUMNS] for row in rows]
    kept = [k for k in range(len(COLUMNS)) if any(line[k] not in ("", "-") for line in texts)]
    return [COLUMNS[k] for k in kept], [[line[k] for k in kept] for line in texts]


def markdown(table: "pd.DataFrame") -> list[str]:
    """The lines of one group's table; the best bold, what is not significantly worse underlined."""
    from .markdown import markdown_table

    columns, texts = printed(table)
    place = [c.heading for c in columns].index(ACCURACY)
    for row, text in zip(table.to_dict("records"), texts, strict=True):
        text[place] = marked(row, text[place], "**{}**", "<u>{}</u>")
    return markdown_table(
        [c.heading for c in columns], [[" ".join(t.replace("|", "\\|").split()) for t in line] for line in texts]
    )


def marked(row: dict[str, Any], text: str, best: str, not_worse: str) -> str:
    return (best if row["best"] else not_worse if row["not_worse"] else "{}").format(text)


# -- the words around a table -----------------------------------------------------------------------------------------


def caption(group: Group) -> str:
    """What the figures are, and which test says what is underlined."""
    seeds = sorted({row.accuracy.n for row in group.rows})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    parts = [f"{group.title}. Mean test accuracy ± sample deviation over n = {many} seeds, 95 % t interval of the "
             "mean, and median."]  # fmt: skip
    if seeds == [1]:
        parts = [f"{group.title}. Test accuracy of one seed: without a second there is no deviation and no test."]
    if group.predicted:
        parts.insert(0, _by_surrogate(group))
    if group.comparisons:
        untested = [row.name for row in group.rows if not row.best and math.isnan(row.p)]
        if untested:
            parts.append(f"In no test, for want of two seeds shared with the best: {', '.join(untested)}.")
        parts.append(
            "Bold: the best mean that can be tested. p: two-sided paired permutation test against it over shared seeds "
            f"(exact up to 20, else {RESAMPLES:,} draws), Holm's correction for {group.comparisons} comparison(s). "
            f"Underlined: not significantly worse, p > {LEVEL:g}. P(best better): the probability that the best is "
            "better than the row, by the Bayesian signed-rank test over the same pairs; it says little of few pairs, "
            "or where most are equal."
        )
        if group.least_p > LEVEL:
            parts.append(
                f"So few seeds give no corrected p below {min(group.least_p, 1):.3g}: no difference can be significant."
            )
    if any(row.records[0].regret is not None for row in group.rows):
        parts.append("Regret: points below the table's best cell; rank among the table's cells, the median over seeds.")
        parts.append("Cell: the official index, where all runs of a row end at one.")
    if units := sorted({row.unit for row in group.rows if row.unit}):
        parts.append(f"Cost of the chosen architecture: {', '.join(units)}, mean ± sample deviation.")
    parts += _sizes_in_words(group)
    parts.append("Search: the search and the selection, mean over seeds; a constant or random cell pays for no search.")
    if unequal := _unequal(group):
        parts.append(unequal)
    if any(row.selector == GIVEN for row in group.rows):
        parts.append(f"Selector {GIVEN}: architectures and seconds from a file, of methods that benchbed did not run.")
    if simulated := sorted({row.searcher for row in group.rows if row.simulated}):
        parts.append(f"Of {', '.join(simulated)} it is the table's seconds of the trainings that the search bought.")
    return " ".join(parts)


def _by_surrogate(group: Group) -> str:
    """That accuracies are predicted, by whom and how well: what stands first."""
    table, by = group.records[0].table or {}, group.records[0].surrogate or {}
    sure = ""
    if by.get("tau") is not None:
        sure = f" (cross-validated tau {by['tau']:.2f}, 95 % interval {by['tau_low']:.2f} to {by['tau_high']:.2f}; "
        sure += f"error {by['rmse']:.2f} points)"
    return (
        f"PREDICTED, not trained: accuracies are those of surrogate {table.get('name')}, {by.get('predictor')} on "
        f"{by.get('trainings')} trainings of table {by.get('table')}{sure}, except of architectures that it was "
        "trained on; tests and intervals are of predictions, and take no account of its error."
    )


def _sizes_in_words(group: Group) -> list[str]:
    """Which network the columns of parameters and FLOPs are of."""
    if all(one == Network() for one in networks(group, table_of(group)).values()):
        return []
    one = next((r for r in group.records if r.network), group.records[0])
    return [f"Params and FLOPs (multiply-accumulates of one image) are of the {network_in_words(one)}: the mean over "
            "seeds, behind it in brackets the median where it differs."]  # fmt: skip


def _unequal(group: Group) -> str:
    """That a random search cost much more or less than the best method: then it is no control at equal cost."""
    method = next((row for row in group.rows if not row.control), None)
    searched = [row for row in group.rows if row.control == RANDOM_SEARCH]
    if method is not None:  # seconds of two clocks have no ratio
        searched = [row for row in searched if row.simulated == method.simulated]
    if method is None or not searched or not method.search_seconds() > 0:  # NaN: not known
        return ""
    row = min(searched, key=lambda r: abs(math.log(max(r.search_seconds(), 1e-9) / method.search_seconds())))
    times = row.search_seconds() / method.search_seconds()
    if 1 / UNEQUAL <= times <= UNEQUAL:
        return ""
    return f"Random search ({row.name}) took {times:.2g} times the seconds of {method.name}: not at equal cost."


def noise_line(group: Group) -> str:
    """The noise floor of a group, or that it is not known and what would tell it."""
    floors = sorted({(r.noise_floor, r.cells) for r in group.records if r.noise_floor is not None and r.cells})
    if floors:
        told, cells = floors[0]
        return (
            f"Noise floor: {told:,} of the table's {cells:,} cells cannot be told from its best at their seeds' spread."
        )
    if found := group.noise():
        return (
            "Noise floor: one architecture's test accuracy varies from seed to seed with a deviation of "
            f"{found[0]:.2f} points (pooled over {found[1]} architecture(s) that several seeds trained)."
        )
    if group.predicted:
        return "Noise floor: not known, most of the surrogate's figures are predicted."
    if group.by_table:
        return "Noise floor: not known, the table has no per-seed test accuracies, or one seed."
    return "Noise floor: not known, no architecture was trained from two seeds (a constant cell on two seeds tells it)."
