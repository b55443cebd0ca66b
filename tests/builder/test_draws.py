"""`table build --sample` on a space that is too large to be trained whole: for real, on 200 images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchbed.builder.build import build
from benchbed.builder.spec import Spec
from benchbed.runtime.progress import Reporter
from benchbed.runtime.workers import Pool
from benchbed.spaces.classes import drawn
from benchbed.spaces.darts.space import Darts
from benchbed.tables import Table


def test_a_table_of_draws_is_a_list_that_a_larger_one_goes_on_from(spec: Callable[..., Spec], tmp_path: Path) -> None:
    out, space = tmp_path / "own.npz", Darts()
    size = {"space": "darts", "channels": 2, "cells": 3, "seeds": "0:1"}
    build(spec(sample=2, **size), out, Pool(1), Reporter(quiet=True))
    two = Table.open(out)
    assert set(two.strings) == {one.text for one in drawn(space, 2)}
    build(spec(sample=3, **size), out, Pool(1), Reporter(quiet=True))
    three, (shards, *_) = Table.open(out), list((tmp_path / "own.build" / "shards").iterdir())
    assert len(three.places) == 3
    assert shards.is_file()
    for one in drawn(space, 2):  # what was trained is not trained again
        assert three.answer(one, "tiny", "test", 1).seeds == two.answer(one, "tiny", "test", 1).seeds
        assert (
            three.train_seconds("tiny", "test", 1)[three.place(one)]
            == two.train_seconds("tiny", "test", 1)[two.place(one)]
        )
    task = spec(sample=2, **size).load_task()
    counted = [space.counts(one, task.shape, task.classes, channels=2, cells=3)["params"] for one in drawn(space, 3)]
    assert [int(three.cost("params", "tiny")[three.place(one)]) for one in drawn(space, 3)] == counted
    assert np.isfinite(three.values("tiny", "valid", 1)).all()
    assert "3 of 1.1e+18 architectures were trained, drawn uniformly at random" in three.meta["notes"]
