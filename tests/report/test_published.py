"""Published figures stand beside records of the same space, data set and training, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from benchbed.report.collect import Record, collect
from benchbed.report.groups import Group, groups
from benchbed.report.published import beside

BENCHMARK = {"channels": 16, "cells": 5, "epochs": 200}


@pytest.fixture
def record(made: Path) -> Record:
    return collect(made).records[0]


def only(record: Record, **changes: Any) -> Group:
    (group,) = groups([record.model_copy(update=changes)])
    return group


def test_figures_of_the_benchmark_stand_beside_its_table(record: Record) -> None:
    found = beside(only(record))
    figures = {(row.method, row.test, row.deviation) for row in found}
    # NAS-Bench-201, arXiv version 2, CIFAR-10, and two cells of DARTS-PT
    ours = [("GDAS", 93.61, 0.09), ("random search", 93.70, 0.36), ("DARTS-V1", 54.30, 0.0), ("REA", 93.92, 0.30)]
    for wanted in (*ours, ("DARTS+PT", 88.11, None), ("DARTS+PT, fixed alpha", 93.80, None)):
        assert wanted in figures
    assert all(row.source for row in found)
    # those of NAS-Bench-201 were read in other papers' tables, DARTS-PT's in its submission
    assert {row.method for row in found if row.verified} == {"DARTS", "DARTS+PT", "DARTS+PT, fixed alpha"}


def test_other_data_other_figures_and_unknown_data_none(record: Record) -> None:
    def of(dataset: str) -> dict[str, float]:
        table = {"name": "t", "fingerprint": "f", "dataset": dataset, "epochs": 200}
        return {row.method: row.test for row in beside(only(record, table=table))}

    assert of("cifar100")["GDAS"] == 70.70
    assert of("imagenet16-120")["GDAS"] == 41.71
    assert "DARTS+PT" not in of("cifar100")
    assert of("digits") == {}


def test_another_space_or_a_short_training_is_not_compared(record: Record) -> None:
    assert beside(only(record, space="macro")) == []
    short = {"name": "t", "fingerprint": "f", "dataset": "cifar10", "epochs": 12}
    assert beside(only(record, table=short)) == []
    config = {**record.config, "space_options": {"x": 1}}
    assert beside(only(record, config=config)) == []

    def trained(space: str, **scoring: int) -> list[str]:
        config = {**record.config, "table": None, "scoring": scoring}
        group = only(record, space=space, task="cifar10", scored_by="training", table=None, config=config)
        return [row.method for row in beside(group)]

    assert "GDAS" in trained("nb201", **BENCHMARK, batch=256)
    assert trained("nb201", **{**BENCHMARK, "epochs": 12}) == []
    assert "SDARTS-RS+PT" in trained("darts", channels=36, cells=20, epochs=600)
    assert trained("darts", channels=16, cells=8, epochs=600) == []
