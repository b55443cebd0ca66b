"""What can be compared: records of one space, scored the same way, in rows of one setting over seeds; and the tests."""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np

from ..pipeline.record import Record
from ..stats.bayes import signed_rank
from ..stats.interval import Interval, mean_interval
from ..stats.paired import differ, holm, least_p, permutation
from ..tables.figures import in_epochs
from .collect import settings

LEVEL = 0.05
RESAMPLES = 9_999  # of a permutation test of many seeds
CONSTANT, RANDOM_CELL, RANDOM_SEARCH = "constant cell", "random cell", "random search"
UNIFORM = "random"  # the searcher that trains uniform paths (RSPS): with best-of, a random search
LONGEST = 70  # letters of a part of a file's name
ANY = "any"  # a searcher's name where several gave the same
IMAGES = "images"  # the fingerprint of what was searched on
PURE_RANDOM = ("random-search", "random_search")  # searchers that are random search by themselves


class Row(NamedTuple):
    """One setting: a searcher and a selector with their options, over seeds.

    note: the settings in which it differs from other rows of the same two names. control: which control it is, or ''.
    p: of the paired test against the best row, corrected; better: the probability that the best row is better, by the
    Bayesian signed-rank test; both NaN for the best itself and where no two seeds are shared.
    """

    searcher: str
    selector: str
    note: str
    control: str
    records: tuple[Record, ...]  # by seed
    accuracy: Interval
    p: float = math.nan
    better: float = math.nan
    pairs: int = 0  # seeds shared with the best row
    best: bool = False

    @property
    def name(self) -> str:
        return f"{self.searcher} x {self.selector}" + (f" ({self.note})" if self.note else "")

    @property
    def not_worse(self) -> bool:
        """Tested, and not significantly worse than the best."""
        return self.p > LEVEL  # False for NaN

    @property
    def seeds(self) -> dict[int, Record]:
        return {r.seed: r for r in self.records}

    def mean_of(self, name: str) -> float:
        """The mean of a figure over the records that have it; NaN if none has."""
        found = [x for r in self.records if (x := getattr(r, name)) is not None]
        return mean(found) if found else math.nan

    def search_seconds(self) -> float:
        """Of finding the architecture, the mean; a constant or random cell uses no search, and pays for none."""
        if self.control in (CONSTANT, RANDOM_CELL):
            return mean(r.seconds.get("selection", 0.0) for r in self.records)
        return mean(r.search_seconds for r in self.records)

    @property
    def simulated(self) -> bool:
        """Whether its seconds are those of a table's clock."""
        return self.control not in (CONSTANT, RANDOM_CELL) and self.records[0].simulated_seconds is not None

    def median_of(self, name: str) -> float:
        """The median of a figure over the records that have it; NaN if none has."""
        found = [x for r in self.records if (x := getattr(r, name)) is not None]
        return float(median(found)) if found else math.nan

    def cost(self) -> Interval | None:
        """Of the chosen architectures, in the unit of the group; None where the searches paid for none."""
        found = [float(r.cost["chosen"]) for r in self.records if r.cost]
        return mean_interval(found) if found else None

    @property
    def unit(self) -> str:
        return next((f"{r.cost['device']}, {r.cost['unit']}" for r in self.records if r.cost), "")


class Group(NamedTuple):
    """Rows that can be compared: one space, and one table's data set or one task and way of training."""

    title: str
    slug: str  # for file names
    space: str
    space_options: dict[str, Any]
    task: str  # of the images that were scored, or the table's data set
    rows: tuple[Row, ...]
    alike: int = 0  # runs beside those of the rows: of a control that is the same whatever the searcher

    @property
    def records(self) -> list[Record]:
        return [r for row in self.rows for r in row.records]

    @property
    def by_table(self) -> bool:
        return self.rows[0].records[0].scored_by == "table"

    @property
    def predicted(self) -> bool:
        """Whether a surrogate scored: what it was not trained on is predicted."""
        return self.rows[0].records[0].surrogate is not None

    @property
    def shared_seeds(self) -> list[int]:
        """The seeds that every row has."""
        return sorted(set.intersection(*(set(row.seeds) for row in self.rows)))

    @property
    def comparisons(self) -> int:
        return sum(not math.isnan(row.p) for row in self.rows)

    @property
    def least_p(self) -> float:
        """The least corrected p that the tests of this group can give; NaN without a test."""
        pairs = [row.pairs for row in self.rows if not math.isnan(row.p)]
        return self.comparisons * least_p(max(pairs), RESAMPLES) if pairs else math.nan

    def noise(self) -> tuple[float, int] | None:
        """(pooled standard deviation, architectures) of one architecture's test accuracy from seed to seed.

        Only of architectures that were trained from several seeds; None where there is none.
        """
        by_architecture: dict[str, dict[int, float]] = defaultdict(dict)
        for record in self.records:
            by_architecture[record.architecture][record.seed] = record.test_accuracy
        samples = [list(figures.values()) for figures in by_architecture.values() if len(figures) > 1]
        if self.by_table or not samples:
            return None
        squares = sum((len(s) - 1) * float(np.var(s, ddof=1)) for s in samples)
        return math.sqrt(squares / sum(len(s) - 1 for s in samples)), len(samples)


def groups(records: Iterable[Record]) -> list[Group]:
    """The records in groups, the largest first, each in rows by the mean test accuracy, the best first."""
    by_key: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_key[comparable(record)].append(record)
    ordered = sorted(by_key.values(), key=lambda group: (-len(group), group[0].id))
    titles = _unlike([_title(group[0]) for group in ordered])
    return [_group(title, members) for title, members in zip(titles, ordered, strict=True)]


def comparable(record: Record) -> str:
    """What two records must share to be compared, as JSON: the space, and what the test accuracy is of."""
    config = record.config
    space = [record.space, config.get("space_options") or {}, config.get("space_sha256")]
    if record.scored_by == "table":
        table = config.get("table") or {}
        scored = [table.get("fingerprint"), table.get("dataset")]
    else:
        scored = [record.task, record.task_facts.get("fingerprint"), config.get("scoring")]
    return json.dumps([*space, *scored], sort_keys=True)


def _title(record: Record) -> str:
    options = record.config.get("space_options") or {}
    space = record.space + (f" ({_words(options)})" if options else "")
    if record.scored_by == "table":
        table = record.table or {}
        by = "predicted by surrogate" if record.surrogate else "by table"
        return f"{space}, {table.get('dataset')} {by} {table.get('name')}"
    scoring = record.config.get("scoring") or {}
    return f"{space}, {record.task}, trained for {in_epochs(scoring.get('epochs', 0))}"


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _unlike(titles: list[str]) -> list[str]:
    """Titles that occur twice get a number: what tells them apart is in the settings of their files."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for title in titles:
        seen[title] += 1
        found.append(title if titles.count(title) == 1 else f"{title} [{seen[title]}]")
    return found


def _group(title: str, records: list[Record]) -> Group:
    first = records[0]
    by_setting: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_setting[json.dumps(own_settings(record), sort_keys=True, default=str)].append(record)
    alike: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one, *_ in by_setting.values():
        alike[one.searcher, one.selector].append(own_settings(one))
    rows = []
    for members in by_setting.values():
        one = members[0]
        note = difference(own_settings(one), alike[one.searcher, one.selector])
        accuracy = mean_interval([r.test_accuracy for r in members])
        ordered = tuple(sorted(members, key=lambda r: r.seed))
        rows.append(Row(one.searcher, one.selector, note, control(one.searcher, one.selector), ordered, accuracy))
    rows = _merged(rows)
    alike_runs = len(records) - sum(len(row.records) for row in rows)
    rows.sort(key=lambda row: (-row.accuracy.mean, row.name))
    task = str((first.table or {}).get("dataset", first.task)) if first.scored_by == "table" else first.task
    options = first.config.get("space_options") or {}
    return Group(title, slug(title), first.space, options, task, tuple(_tested(rows)), alike_runs)


def own_settings(record: Record) -> dict[str, Any]:
    """The settings in which records of one group can differ: of what a table scored, the images searched on too."""
    own = {key: value for key, value in settings(record).items() if not key.startswith(("scoring.", "table."))}
    if record.scored_by == "table" and record.objective == "supernet":
        own |= {f"task_options.{key}": value for key, value in (record.config.get("task_options") or {}).items()}
        own[IMAGES] = record.task_facts.get("fingerprint")
    return own


def difference(own: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]) -> str:
    """The settings of `own` that are not the same in all that are alike, in words.

    A section that some lack, such as a cost, is said to be there or not, and not told option by option.
    """
    keys = [key for key in sorted({k for one in alike for k in one}) if len({str(one.get(key)) for one in alike}) > 1]
    if len(keys) > 1 and IMAGES in keys and any(key == "task" or key.startswith("task_options.") for key in keys):
        keys.remove(IMAGES)  # what it says is said in words
    words: dict[str, None] = {}
    for key in keys:
        section, dot, _ = key.partition(".")
        partial = dot and not all(any(k.startswith(f"{section}.") for k in one) for one in alike)
        if not partial:
            words[f"{key.removeprefix('searcher.').removeprefix('selector.')}={_short(own.get(key))}"] = None
        elif any(k.startswith(f"{section}.") for k in own):
            words[f"{section}.target={own[f'{section}.target']}" if f"{section}.target" in own else section] = None
        else:
            words[f"no {section}"] = None
    return ", ".join(words)


def _short(value: object) -> str:
    """A setting in words; of a fingerprint the first digits."""
    text = str(value)
    return text[:8] if re.fullmatch(r"[0-9a-f]{32,}", text) else text


def control(searcher: str, selector: str) -> str:
    """Which control a pairing is, or ''. Uniform paths with magnitude draw the cell at random, as `random` does."""
    if selector == "constant":
        return CONSTANT
    if selector == "random":  # whatever was searched before
        return RANDOM_CELL
    if searcher in PURE_RANDOM:
        return RANDOM_SEARCH
    if searcher == UNIFORM and selector == "magnitude":
        return RANDOM_CELL
    return RANDOM_SEARCH if searcher == UNIFORM and selector == "best-of" else ""  # perturbation is a method of its own


def _merged(rows: Sequence[Row]) -> list[Row]:
    """One row for a control that gives the same architectures whatever the searcher, under the name ANY.

    A constant cell, and a random one of the selection's own draws: each needs no search. The row of most seeds stays.
    """
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: (-len(r.records), r.name)):
        if row.control not in (CONSTANT, RANDOM_CELL):
            found.append(row)
            continue
        others = alike[row.control, row.selector]
        chosen = {r.seed: r.architecture for r in row.records}
        kept = next((o for o in others if chosen.items() <= {r.seed: r.architecture for r in o.records}.items()), None)
        if kept is None:
            others.append(row)
        else:
            shared = [words for words in kept.note.split(", ") if words in row.note.split(", ")]
            others[others.index(kept)] = kept._replace(searcher=ANY, note=", ".join(shared))
    return found + [row for others in alike.values() for row in others]


def _tested(rows: Sequence[Row]) -> list[Row]:
    """Each row against the best over the seeds that both have; p corrected after Holm.

    The best is the first, or where that one shares no two seeds with another row the first that does.
    """
    best = next((row for row in rows if any(_shared(row, other) for other in rows if other is not row)), rows[0])
    others = [row for row in rows if row is not best]
    found: dict[int, tuple[float, float, int]] = {}
    for number, row in enumerate(others):
        shared = _shared(best, row)
        if shared:
            a, b = best.seeds, row.seeds
            differences = [a[s].test_accuracy - b[s].test_accuracy for s in shared]
            better = signed_rank(differences).better if differ(differences) else math.nan
            found[number] = (permutation(differences, RESAMPLES).p, better, len(shared))
    corrected = dict(zip(found, holm([p for p, *_ in found.values()]), strict=True)) if found else {}
    tested = [
        row._replace(p=corrected[i], better=found[i][1], pairs=found[i][2]) if i in corrected else row
        for i, row in enumerate(others)
    ]
    tested.insert(rows.index(best), best._replace(best=True))
    return tested


def _shared(a: Row, b: Row) -> list[int]:
    """The seeds of both rows, where there are two or more: what a paired test needs."""
    shared = sorted(set(a.seeds) & set(b.seeds))
    return shared if len(shared) > 1 else []


def slug(text: str) -> str:
    """A file's name of a title: small letters, digits and single hyphens; a long one ends in a hash instead."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
