"""The two selectors that ignore the search."""

from collections import Counter

import numpy as np

from benchbed.selectors.constant import Constant
from benchbed.selectors.random import RandomChoice
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace, random_table

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def test_constant_is_the_cell_of_3x3_convolutions_and_explains_nothing():
    bench = Bench(NB201(), random_table(NB201(), 0), Streams(0))
    chosen = bench.run(Constant(Constant.Options()))
    assert str(chosen.architecture) == ALL_3X3
    assert np.isnan(chosen.scores).all()


def test_constant_takes_the_operation_by_name_where_its_columns_differ():
    bench = Bench(ToySpace(), random_table(ToySpace(), 0), Streams(0))
    chosen = bench.run(Constant(Constant.Options(operation="c")))
    assert (str(chosen.architecture), chosen.architecture.choices) == ("c-c-c", (2, 0, 1))


def test_random_draws_every_reachable_architecture_about_equally():
    table, counts = random_table(ToySpace(), 0), Counter()
    streams = Streams(0)
    bench = Bench(table.space, table, streams)
    for _ in range(1800):
        counts[bench.run(RandomChoice(RandomChoice.Options())).architecture.choices] += 1
    assert len(counts) == table.space.size() == 18
    assert sum((n - 100) ** 2 / 100 for n in counts.values()) < 40.8  # chi-square, 17 degrees of freedom, p = 0.001
