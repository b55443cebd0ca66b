"""Rows that can be compared, their tests against the best one, and the controls among them."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchbed.report.collect import Record, collect
from benchbed.report.groups import CONSTANT, RANDOM_CELL, RANDOM_SEARCH, control, groups, slug
from benchbed.report.tables import caption
from benchbed.stats.paired import holm, permutation


@pytest.fixture
def records(made: Path) -> list[Record]:
    return collect(made).records


def retold(records: list[Record], **by_pairing: list[float]) -> list[Record]:
    """The records with other test accuracies, by searcher and selector and in the order of the seeds."""
    given = {name: iter(values) for name, values in by_pairing.items()}
    found = []
    for record in sorted(records, key=lambda r: r.seed):
        values = given.get(f"{record.searcher}_{record.selector}")
        found.append(record if values is None else record.model_copy(update={"test_accuracy": next(values)}))
    return found


def test_one_space_and_table_is_one_group_of_rows_over_seeds(records: list[Record]) -> None:
    (group,) = groups(records)
    assert group.title.startswith("nb201, cifar10 by table")
    assert {(row.searcher, row.selector) for row in group.rows} == {
        ("darts", "magnitude"), ("proxyless", "magnitude"), ("any", "constant")
    }  # fmt: skip
    assert [row.accuracy.mean for row in group.rows] == sorted((r.accuracy.mean for r in group.rows), reverse=True)
    for row in group.rows:
        assert [r.seed for r in row.records] == [0, 1, 2]
        assert row.accuracy.mean == pytest.approx(np.mean([r.test_accuracy for r in row.records]))
    assert group.rows[0].best
    assert not any(row.best for row in group.rows[1:])
    assert group.shared_seeds == [0, 1, 2]


def test_each_row_is_tested_against_the_best_by_seed_and_corrected(records: list[Record]) -> None:
    scores = {"darts_magnitude": [90.0, 80, 70], "proxyless_magnitude": [89.0, 78, 67], "darts_constant": [60.0] * 3}
    (group,) = groups(retold(records, **scores, proxyless_constant=[60.0] * 3))
    best, second, third = group.rows
    assert best.searcher == "darts"
    assert math.isnan(best.p)
    wanted = holm([permutation([1.0, 2, 3]).p, permutation([30.0, 20, 10]).p])
    assert [second.p, third.p] == pytest.approx(wanted)
    assert wanted == pytest.approx([0.5, 0.5])  # 2 of 8 signs, twice
    assert (second.pairs, group.comparisons) == (3, 2)
    assert group.least_p == pytest.approx(0.5)


def test_pairing_takes_the_shared_seeds_only(records: list[Record]) -> None:
    some = [r for r in records if not (r.searcher == "proxyless" and r.seed == 0)]
    (group,) = groups(retold(some, darts_magnitude=[90.0, 80, 70], proxyless_magnitude=[70.0, 60]))
    row = next(row for row in group.rows if row.searcher == "proxyless")
    assert (row.accuracy.n, row.pairs) == (2, 2)
    assert group.shared_seeds == [1, 2]
    lone = [r for r in some if r.searcher == "darts" or r.seed == 1]
    (group,) = groups(retold(lone, darts_magnitude=[90.0, 80, 70]))
    row = next(row for row in group.rows if row.searcher == "proxyless")
    assert math.isnan(row.p)
    assert not row.not_worse  # nobody tested it
    assert math.isnan(row.accuracy.deviation)


def test_one_seed_alone_takes_no_test_from_the_others(records: list[Record]) -> None:
    some = [r for r in records if r.searcher != "darts" or (r.selector, r.seed) == ("magnitude", 1)]
    (group,) = groups(retold(some, darts_magnitude=[99.0], proxyless_magnitude=[90.0, 80, 70]))
    first, second, third = group.rows
    assert (first.searcher, first.best, math.isnan(first.p)) == ("darts", False, True)
    assert second.best
    assert third.pairs == 3
    assert "In no test, for want of two seeds shared with the best: darts x magnitude." in caption(group)


def test_runs_that_searched_on_other_images_are_another_row(records: list[Record]) -> None:
    def on(record: Record, train: int) -> Record:
        config = record.config | {"objective": "supernet", "task": "digits", "task_options": {"train": train}}
        facts = {"fingerprint": f"{train:064x}"}
        new = {"config": config, "task_facts": facts, "objective": "supernet", "id": f"{record.id}{train}"}
        return record.model_copy(update=new)

    some = [r for r in records if r.selector == "magnitude"]
    (group,) = groups([on(r, train) for r in some for train in (128, 256)])
    assert {(row.searcher, row.note, row.accuracy.n) for row in group.rows} == {
        (searcher, f"task_options.train={train}", 3) for searcher in ("darts", "proxyless") for train in (128, 256)
    }
    one = [on(r, 128) for r in some]
    other = [r.model_copy(update={"task_facts": {"fingerprint": "a" * 64}, "id": f"{r.id}x"}) for r in one]
    (group,) = groups(one + other)
    assert {row.note for row in group.rows} == {f"images={'0' * 8}", f"images={'a' * 8}"}


def test_a_random_choice_after_a_random_search_is_a_random_cell() -> None:
    assert control("random-search", "random") == RANDOM_CELL
    assert control("random-search", "magnitude") == RANDOM_SEARCH


def test_with_many_seeds_a_worse_row_is_told_apart(records: list[Record]) -> None:
    one = {r.searcher: r for r in records if r.selector == "magnitude"}
    many = [
        one[name].model_copy(update={"seed": seed, "test_accuracy": 90 - less + seed % 3, "id": f"{name}{seed}"})
        for seed in range(30)
        for name, less in (("darts", 0.0), ("proxyless", 1.0))
    ]
    (group,) = groups(many)
    assert group.rows[1].p < 0.01
    assert not group.rows[1].not_worse
    assert group.least_p < 0.01


def test_other_settings_are_other_rows_and_say_what_differs(records: list[Record]) -> None:
    changed = []
    for record in records:
        if record.searcher == "darts" and record.selector == "magnitude":
            searcher = record.config["searcher"]
            options = {**searcher["options"], "alpha_lr": 0.5}
            config = {**record.config, "epochs": 9, "searcher": {**searcher, "options": options}}
            changed.append(record.model_copy(update={"config": config}))
    (group,) = groups([*records, *changed])
    notes = {row.note for row in group.rows if (row.searcher, row.selector) == ("darts", "magnitude")}
    own = records[0].config["searcher"]["options"]["alpha_lr"]
    assert notes == {f"epochs=3, alpha_lr={own}", "epochs=9, alpha_lr=0.5"}
    assert all(row.note == "" for row in group.rows if row.searcher != "darts")


def test_a_section_that_some_lack_is_told_in_a_word(records: list[Record]) -> None:
    cost = {"target": 60.0, "weight": 0.1, "fingerprint": "ab" * 32, "table": "macs"}
    paying = [r.model_copy(update={"config": {**r.config, "cost": cost}}) for r in records if r.searcher == "darts"]
    (group,) = groups([*records, *paying])
    notes = {row.note for row in group.rows if (row.searcher, row.selector) == ("darts", "magnitude")}
    assert notes == {"no cost", "cost.target=60.0"}
    dearer = [r.model_copy(update={"config": {**r.config, "cost": {**cost, "fingerprint": "cd" * 32}}}) for r in paying]
    (group,) = groups([*paying, *dearer])
    assert {row.note for row in group.rows if not row.control} == {
        f"cost.fingerprint={'ab' * 4}", f"cost.fingerprint={'cd' * 4}"
    }  # fmt: skip


def test_what_cannot_be_compared_is_in_groups_of_its_own(records: list[Record]) -> None:
    table = {"fingerprint": "another", "dataset": "cifar10", "name": "other"}
    moved = [r.model_copy(update={"config": {**r.config, "table": table}, "table": table}) for r in records[:3]]
    first, second = groups([*records[3:], *moved])
    assert (len(first.records), len(second.records)) == (9, 3)
    assert first.slug != second.slug
    trained = records[0].model_copy(update={"scored_by": "training", "config": {**records[0].config, "table": None}})
    assert len(groups([*records[1:], trained])) == 2


def test_a_control_that_no_searcher_changes_is_one_row(records: list[Record]) -> None:
    (group,) = groups(records)
    (row,) = [row for row in group.rows if row.control]
    assert (row.searcher, row.control) == ("any", CONSTANT)
    assert row.search_seconds() == pytest.approx(np.mean([r.seconds["selection"] for r in row.records]))
    found = next(row for row in group.rows if row.searcher == "darts")
    assert found.search_seconds() == pytest.approx(
        np.mean([r.seconds["search"] + r.seconds["selection"] for r in found.records])
    )
    other = [
        r.model_copy(update={"architecture": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"})
        if (r.searcher, r.selector, r.seed) == ("darts", "constant", 1)
        else r
        for r in records
    ]
    (group,) = groups(other)
    assert sorted(row.searcher for row in group.rows if row.control) == ["darts", "proxyless"]


@pytest.mark.parametrize(
    ("searcher", "selector", "kind"),
    [
        ("darts", "perturb", ""),
        ("darts", "constant", CONSTANT),
        ("random", "constant", CONSTANT),
        ("darts", "random", RANDOM_CELL),
        ("random", "magnitude", RANDOM_CELL),
        ("random", "best-of", RANDOM_SEARCH),
        ("random", "perturb", ""),
        ("random-search", "magnitude", RANDOM_SEARCH),
    ],
)
def test_controls_by_name(searcher: str, selector: str, kind: str) -> None:
    assert control(searcher, selector) == kind


def test_the_noise_of_training_is_pooled_within_architectures(records: list[Record]) -> None:
    chosen = {0: "a", 1: "a", 2: "b"}
    figures = iter([50.0, 60, 70])
    trained = [
        r.model_copy(update={"scored_by": "training", "test_accuracy": next(figures), "architecture": chosen[r.seed]})
        for r in records
        if (r.searcher, r.selector) == ("darts", "magnitude")
    ]
    (group,) = groups(trained)
    assert group.noise() == pytest.approx((math.sqrt(50), 1))
    assert group._replace(rows=groups(records)[0].rows).noise() is None  # of a table: its own floor is in the record


def test_a_slug_is_a_file_name() -> None:
    assert slug("nb201 (a=1), npz:tiny.npz / 3") == "nb201-a-1-npz-tiny-npz-3"
    long = [slug("x" * 300 + end) for end in ("a", "b")]
    assert max(map(len, long)) == 70
    assert long[0] != long[1]
