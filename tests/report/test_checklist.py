"""The checklist answers from the records alone, and says so where they do not know."""

from pathlib import Path

from benchbed.report.checklist import NO, OPEN, PARTLY, YES, checklist
from benchbed.report.collect import Collection, collect
from benchbed.report.groups import RANDOM_SEARCH, Group, groups


def answers(found: Collection, compared: list[Group] | None = None) -> dict[str, str]:
    items = checklist(found, groups(found.records) if compared is None else compared)
    assert len(items) == 16
    assert all(item.because for item in items)
    return {item.question.partition(":")[0]: item.answer for item in items}


def test_what_the_records_know_and_what_they_cannot(made: Path) -> None:
    found = answers(collect(made))
    assert found["How hyperparameters were tuned, and at what cost"] == OPEN
    assert found["Ablation studies"] == OPEN
    assert found["Compared with random search"] == NO
    assert found["Several runs, seeds reported"] == YES
    assert found["Performance over time"] == YES
    assert found["Confounding factors controlled"] == YES
    assert found["Tabular or surrogate benchmarks for depth"] == YES


def test_answers_follow_the_records(made: Path) -> None:
    whole = collect(made)
    first, *rest = whole.records
    other = first.model_copy(update={"machine": {**first.machine, "processor": "another"}})
    assert answers(whole._replace(records=[other, *rest]))["Confounding factors controlled"] == NO
    lone = whole._replace(records=[r for r in whole.records if r.seed == 0])
    assert answers(lone)["Several runs, seeds reported"] == NO
    assert answers(whole._replace(histories={}))["Performance over time"] == NO
    unnamed = whole._replace(records=[r.model_copy(update={"commit": None}) for r in whole.records])
    assert answers(unnamed)["Code of the NAS method"] == OPEN
    assert answers(unnamed)["Every detail of the set-up"] == PARTLY
    trained = whole._replace(records=[r.model_copy(update={"scored_by": "training"}) for r in whole.records])
    assert answers(trained)["Tabular or surrogate benchmarks for depth"] == NO
    (group,) = groups(whole.records)
    rows = (group.rows[0]._replace(control=RANDOM_SEARCH), *group.rows[1:])
    assert answers(whole, [group._replace(rows=rows)])["Compared with random search"] == YES


def test_the_time_of_table_only_searches_is_the_tables_too(made: Path) -> None:
    """Each search once, whatever selectors used it: seconds here, and those of the trainings that it bought."""
    whole = collect(made)
    searches = {r.search for r in whole.records}
    bought = whole._replace(records=[r.model_copy(update={"simulated_seconds": 7200.0}) for r in whole.records])
    plain, told = (
        next(i.because for i in checklist(c, groups(c.records)) if i.question.startswith("Time of the whole"))
        for c in (whole, bought)
    )
    assert "table's trainings" not in plain
    assert told.startswith(plain)
    assert told.endswith(f"and {2 * len(searches):.3g} h of a table's trainings that searches bought")
