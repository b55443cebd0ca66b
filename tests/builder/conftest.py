"""A build on 200 tiny images, and a whole table of results that nobody trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.builder.assemble import write_table
from benchbed.builder.spec import Spec, spec_of
from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.space import NB201
from benchbed.tables import Table

SIZES = ["scoring.batch=40"]


@pytest.fixture(scope="session")
def spec(tiny_file: Path) -> Callable[..., Spec]:
    """`spec(sample=3)`: a build on 200 images that trains a cell in a tenth of a second."""

    def make(**changes: Any) -> Spec:
        given = {"space": "nb201", "task": f"npz:{tiny_file}", "seeds": "0:2", "epochs": 1, "channels": 2, "cells": 1}
        given |= {"sample": 3, "device": "cpu"}
        return spec_of(given | changes, SIZES, [])

    return make


@pytest.fixture
def whole(spec: Callable[..., Spec], tmp_path: Path) -> Path:
    """A table of every class and two seeds: 20 % and 10 points for each 3x3 convolution of the trained member.

    The second seed is the first plus a hundredth of a point for each 1x1 convolution; test is a point above validation.
    """
    return _written(spec(sample=None), tmp_path / "whole.npz")


@pytest.fixture
def sampled(spec: Callable[..., Spec], tmp_path: Path) -> Path:
    """The same, of twelve classes alone."""
    return _written(spec(sample=12), tmp_path / "sampled.npz")


def _written(one: Spec, path: Path) -> Path:
    results = []
    for group in classes(NB201()):
        value = 20.0 + 10 * group.trained.choices.count(3)
        for seed in (0, 1):
            valid = value + 0.01 * seed * group.trained.choices.count(2)
            results.append(
                {"seed": seed, "cell": group.trained.text, "valid": valid, "test": valid + 1, "seconds": 1.0}
            )
    header = {"versions": {"torch": "2", "numpy": "2"}, "commit": "abc", "machine": {"processor": "x", "device": "cpu"}}
    write_table(one, NB201(), one.load_task(), results, [header, header], path)
    return path


@pytest.fixture
def whole_table(whole: Path) -> Table:
    return Table.open(whole)
