"""Predictors by their contract; encodings by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.predictors._encoded import choices_of, graph, one_hot, path, paths
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.predictor_suite import CHECKS

NAMES = [plugin.name for plugin in registry.plugins("predictor")]
SPACE = NB201()


def rows(encoding: Callable[..., Any], *texts: str) -> np.ndarray:
    found: np.ndarray = encoding(SPACE, choices_of([SPACE.parse(text) for text in texts]))
    return found


def test_they_are_all_there() -> None:
    assert set(NAMES) == {"gp", "random-forest", "gradient-boosting", "mlp-ensemble"}


@pytest.mark.parametrize("encoding", ["one-hot", "path", "graph"])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, encoding: str) -> None:
    found = registry.load("predictor", name)
    options = found.Options(encoding=encoding)
    for check in CHECKS:
        check(lambda space, streams: found(space, options, streams))


@pytest.mark.parametrize("name", NAMES)
def test_another_space_takes_one_hot_and_refuses_the_others(name: str) -> None:
    found, space = registry.load("predictor", name), registry.load("space", "nats-sss")()
    rng = np.random.default_rng(0)
    architectures = [space.random(rng) for _ in range(30)]
    predictor = found(space, found.Options(), Streams(0))
    predictor.fit(architectures, rng.uniform(50, 90, 30))
    assert predictor.predict(architectures).accuracy.shape == (30,)
    for encoding in ("path", "graph"):
        with pytest.raises(BenchbedError, match=f"^encoding '{encoding}' is of NAS-Bench-201's cells: take one-hot"):
            found.check(found.Options(encoding=encoding), space)


def test_one_hot_rows_differ_by_twice_the_positions_that_do() -> None:
    a, b = (SPACE.random(np.random.default_rng(seed)) for seed in (1, 2))
    x, y = one_hot(SPACE, choices_of([a, b]))
    assert x.sum() == 6
    assert ((x - y) ** 2).sum() == 2 * sum(p != q for p, q in zip(a.choices, b.choices, strict=True))


def test_paths_by_hand() -> None:
    assert [len(one) for one in paths()] == [1, 2, 2, 3]
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    (row,) = rows(path, text)
    assert len(row) == 4 + 16 + 64
    assert row.sum() == 1  # 3x3, skip, 1x1; all others are cut
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert rows(path, dead).sum() == 0


def test_cells_that_have_the_same_paths_are_one_to_the_path_encoding() -> None:
    """Operations on edges that nothing reaches are not seen."""
    a = "|none~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    b = "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"
    assert (rows(path, a) == rows(path, b)).all()


def test_graph_features_by_hand() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    (row,) = rows(graph, text)
    assert row[:5].tolist() == [3, 1, 1, 1, 0]  # none, skip, 1x1, 3x3, pool
    assert len(row) == 5 + 4 * 15
    of_skip = row[5:9]
    assert of_skip.tolist() == [4, 0, 0, 0]  # no path of skips alone, none at the input, none at the output
    everything = row[-4:]
    assert everything.tolist() == [3, 3, 1, 1]


def test_a_small_error_is_further_from_a_smaller_one_in_the_log() -> None:
    """The targets, and back again."""
    found = registry.load("predictor", "random-forest")
    architectures = [SPACE.random(np.random.default_rng(seed)) for seed in range(40)]
    for target in ("accuracy", "log-error"):
        predictor = found(SPACE, found.Options(target=target, trees=5), Streams(0))
        predictor.fit(architectures, np.full(40, 73.0))
        assert predictor.predict(architectures).accuracy == pytest.approx(73.0)
