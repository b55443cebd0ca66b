"""The NAS best-practice checklist, answered from the records as far as they know.

Items after Lindauer and Hutter, "Best Practices for Scientific Research on Neural Architecture Search", JMLR 21(243),
2020, and its checklist (automl.org/nas_checklist.pdf), in short words of our own. What a record cannot know is said to
be the author's to answer, never guessed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..pipeline.record import GIVEN
from .collect import Collection
from .groups import RANDOM_SEARCH, Group

MACHINE = ("processor", "device", "cores", "threads", "system")  # what two runs share that were made on one
YES, NO, PARTLY, OPEN = "yes", "no", "partly", "not known from the records"


class Item(NamedTuple):
    """A question of the checklist, its answer (one of the four words above), and what the records say."""

    part: str
    question: str
    answer: str
    because: str


RELEASE, COMPARE, DETAILS = "Releasing code", "Comparing methods", "Reporting details"


def checklist(found: Collection, groups: Sequence[Group]) -> list[Item]:
    """Every item, in the order of the publication.

    Of results that were read from a file nothing is known but what the file says: where there are some, no answer is a
    whole yes.
    """
    ours = found._replace(records=[record for record in found.records if record.objective != GIVEN])
    given = len(found.records) - len(ours.records)
    if not given:
        return [*_release(found), *_compare(found, groups), *_details(found)]
    words = f"of {given} result(s) from a file nothing is known"
    if not ours.records:
        named = [*_release(found), *_compare(found, groups), *_details(found)]
        return [item._replace(answer=OPEN, because=words) for item in named]
    items = [*_release(ours), *_compare(ours, groups), *_details(ours)]
    return [
        item._replace(answer=PARTLY if item.answer == YES else item.answer, because=f"{item.because}; {words}")
        for item in items
    ]


def _release(found: Collection) -> list[Item]:
    commits = sorted({r.commit for r in found.records if r.commit})
    named = f"made at commit {', '.join(short(c) for c in commits)}" if commits else "no record names a commit"
    named += "; '+': with changed files, which no commit holds" if any(c.endswith("+") for c in commits) else ""
    named += "; that it is released is the author's to say"
    code = PARTLY if commits else OPEN
    seeds = f"each record holds its complete configuration and seed ({len(found.records)} of them)"
    trained = sum(r.scored_by == "training" for r in found.records)
    pipeline = f"{trained} run(s) trained by it, {len(found.records) - trained} scored by a table"
    if guessed := sum(r.surrogate is not None for r in found.records):
        pipeline += f", of which {guessed} by a surrogate, whose accuracies are predicted"
    return [
        Item(RELEASE, "Code of the pipeline that trains the final architectures", code, f"{named}; {pipeline}"),
        Item(RELEASE, "Code of the search space", code, named),
        Item(RELEASE, "Hyperparameters of the final training, and its seeds", YES, seeds),
        Item(RELEASE, "Code of the NAS method", code, f"{named}; files by SHA-256 in each record"),
        Item(RELEASE, "Hyperparameters of the NAS method, and its seeds", YES, seeds),
    ]


def _compare(found: Collection, groups: Sequence[Group]) -> list[Item]:
    several = [g for g in groups if len(g.rows) > 1]
    machines = {tuple(str(r.machine.get(key)) for key in MACHINE) for r in found.records}
    versions = {tuple(sorted(r.versions.items())) for r in found.records}
    controlled = len(machines) == 1 and len(versions) == 1
    random = [g for g in groups if any(row.control == RANDOM_SEARCH for row in g.rows)]
    counts = sorted({row.accuracy.n for g in groups for row in g.rows})
    runs = YES if counts[0] > 1 else PARTLY if counts[-1] > 1 else NO
    tabled = [g for g in groups if g.by_table]
    curves = sum(r.search in found.histories for r in found.records)
    varied = [row for g in groups for row in g.rows if row.note]
    return [
        Item(COMPARE, "The same benchmark for all: data, split, space, training code and its hyperparameters",
             YES if several else OPEN,
             f"rows of one table share space, data and split (by fingerprint) and scoring; {len(groups)} table(s)"),
        Item(COMPARE, "Confounding factors controlled: hardware, versions, run times", YES if controlled else NO,
             f"{len(machines)} machine(s), {len(versions)} set(s) of library versions"),
        Item(COMPARE, "Ablation studies", PARTLY if varied else OPEN,
             f"{len(varied)} row(s) differ from another in settings only; whether that is the ablation needed is the "
             "author's to say"),
        Item(COMPARE, "The same evaluation protocol for all", YES if several else OPEN,
             "test accuracy is read once, for the selected architecture; searches see validation data only"),
        Item(COMPARE, "Performance over time", YES if curves == len(found.records) else PARTLY if curves else NO,
             f"anytime curves of {curves} of {len(found.records)} run(s)"),
        Item(COMPARE, "Compared with random search", YES if len(random) == len(groups) else PARTLY if random else NO,
             f"in {len(random)} of {len(groups)} table(s); where it is missing the table says which command adds it"),
        Item(COMPARE, "Several runs, seeds reported", runs,
             f"{counts[0]} to {counts[-1]} seeds a row" if len(counts) > 1 else f"{counts[0]} seed(s) a row"),
        Item(COMPARE, "Tabular or surrogate benchmarks for depth", YES if tabled else NO,
             f"{len(tabled)} of {len(groups)} table(s) scored by a benchmark table"),
    ]  # fmt: skip


def _details(found: Collection) -> list[Item]:
    timed = [r for r in found.records if {"search", "selection", "scoring"} <= r.seconds.keys()]
    searches = {r.search: r.seconds["search"] for r in timed}  # once each, whatever selectors used it
    whole = sum(searches.values()) + sum(r.seconds["selection"] + r.seconds["scoring"] for r in timed)
    bought = sum({r.search: r.simulated_seconds for r in timed if r.simulated_seconds is not None}.values())
    clock = f" on this machine, and {bought / 3600:.3g} h of a table's trainings that searches bought" if bought else ""
    full = all(r.versions and r.machine and r.commit for r in found.records)
    return [
        Item(DETAILS, "How hyperparameters were tuned, and at what cost", OPEN,
             "records hold the values used, not how they were found: the author's to answer"),
        Item(DETAILS, "Time of the whole method, not of the search alone",
             YES if len(timed) == len(found.records) else PARTLY,
             f"search, selection and scoring are timed apart in {len(timed)} of {len(found.records)} record(s); "
             f"{whole / 3600:.3g} h in all{clock}"),
        Item(DETAILS, "Every detail of the set-up", YES if full else PARTLY,
             "configuration, versions, machine, commit, fingerprints of data and tables"
             + ("" if full else "; some records lack versions, machine or commit")),
    ]  # fmt: skip


def short(commit: str) -> str:
    """A commit as a page shows it; the '+' of changed files stays."""
    return commit[:12] + ("+" if commit.endswith("+") else "")
