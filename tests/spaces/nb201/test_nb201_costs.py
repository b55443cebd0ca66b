"""NAS-Bench-201's parameters and FLOPs against the recorded ones, two files of them, and a sum over layers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchbed.errors import BenchbedError
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import NB201, OPERATIONS, all_strings, flops, parameters, unique_string

SPACE = NB201()
ALL = all_strings()

INDEX_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
INDEX_11 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
INDEX_284 = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"
INDEX_1459 = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
INDEX_9930 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def uniform(operation: str) -> Architecture:
    return SPACE.architecture_of((OPERATIONS.index(operation),) * 6)


@pytest.mark.parametrize(
    ("text", "cifar10", "cifar100", "imagenet16"),
    [
        (INDEX_0, 129306, 135156, 136456),
        (INDEX_11, 802426, 808276, 809576),
        (INDEX_284, 101306, 107156, 108456),
        (INDEX_1459, 858426, None, None),
        (INDEX_9930, 1288506, None, None),
        (uniform("skip_connect").text, 73306, None, None),
        (uniform("nor_conv_3x3").text, 1531546, None, None),
        (uniform("none").text, 73306, None, None),
        (uniform("avg_pool_3x3").text, 73306, None, None),
    ],
)
def test_parameters_are_the_recorded_ones(text, cifar10, cifar100, imagenet16):
    arch = SPACE.parse(text)
    assert parameters(arch) == cifar10
    if cifar100:
        assert parameters(arch, classes=100) == cifar100
        assert parameters(arch, classes=120) == imagenet16


@pytest.mark.parametrize(
    ("text", "cifar10", "imagenet16"),
    [
        (INDEX_0, 15_647_370, 3_919_480),
        (INDEX_11, 113_951_370, 28_495_480),
        (INDEX_284, 11_715_210, 2_936_440),
        (INDEX_9930, 184_730_250, None),
        (uniform("skip_connect").text, 7_783_050, None),
        (uniform("nor_conv_3x3").text, 220_119_690, None),
    ],
)
def test_flops_are_the_recorded_ones(text, cifar10, imagenet16):
    arch = SPACE.parse(text)
    assert flops(arch) == cifar10
    if imagenet16:
        assert flops(arch, classes=120, size=16) == imagenet16


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_cell_has_the_parameters_of_an_independent_count(shared_data):
    cells = [SPACE.parse(row["arch"]) for row in rows_of(shared_data / "nb201" / "table.csv")]
    for name, classes in (("Cifar10", 10), ("Cifar100", 100), ("ImageNet", 120)):
        rows = rows_of(shared_data / "nb201" / "upstream" / f"{name}-NB201.csv")
        counts = {int(row["index"]): float(row["num_param"]) for row in rows}
        assert counts == {i: parameters(cell, classes=classes) for i, cell in enumerate(cells)}


def test_every_cell_has_the_costs_of_the_table_or_there_of_an_isomorphic_cell(shared_data):
    """150 rows of the table carry the costs of another cell with the same unique string; the others are exact.

    The other cell has one convolution more or less, so this is no rounding: row 327 has three 1x1 convolutions in
    its string, and the parameters of two. The independent count above gives all 150 the parameters of their strings.
    FLOPs are kept there in single precision.
    """

    def costs(cell: Architecture) -> tuple:
        counts = (parameters(cell, classes=classes) for classes in (10, 100, 120))
        return (*counts, np.float32(flops(cell) / 1e6))

    rows = rows_of(shared_data / "nb201" / "table.csv")
    cells = [SPACE.parse(row["arch"]) for row in rows]
    assert len(set(cells)) == 15625
    isomorphic: dict[str, set[tuple]] = {}
    for cell in cells:
        isomorphic.setdefault(unique_string(cell), set()).add(costs(cell))
    strays = 0
    for row, cell in zip(rows, cells, strict=True):
        params = (round(float(row[f"{name}_params_M"]) * 1e6) for name in ("cifar10", "cifar100", "imagenet16"))
        recorded = (*params, np.float32(row["cifar10_flops_M"]))
        assert recorded in isomorphic[unique_string(cell)], cell.text
        strays += recorded != costs(cell)
    assert strays == 150


def _layers(arch: Architecture, channels: int, cells: int, classes: int, in_channels: int, size: int) -> list:
    """The convolutions of the network one by one: (kernel, inputs, outputs, output size, batch normed)."""
    layers = [(3, in_channels, channels, size, True)]
    kernels = [{"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(OPERATIONS[k]) for k in arch.choices]
    c, s = channels, size
    for stage in range(3):
        if stage:
            s //= 2
            layers += [(3, c, 2 * c, s, True), (3, 2 * c, 2 * c, s, True), (1, c, 2 * c, s, False)]
            c *= 2
        layers += [(kernel, c, c, s, True) for _ in range(cells) for kernel in kernels if kernel]
    return layers


@given(
    st.integers(0, 15624),
    st.integers(1, 40),
    st.integers(1, 7),
    st.integers(1, 150),
    st.integers(1, 5),
    st.integers(1, 16).map(lambda n: 4 * n),
)
def test_counts_of_any_network_equal_the_sum_over_its_layers(number, channels, cells, classes, in_channels, size):
    arch = SPACE.parse(ALL[number])
    layers = _layers(arch, channels, cells, classes, in_channels, size)
    weights = sum(k * k * i * o + 2 * o * normed for k, i, o, _, normed in layers)
    macs = sum(k * k * i * o * s * s for k, i, o, s, _ in layers)
    width = 4 * channels
    assert parameters(arch, channels, cells, classes, in_channels) == weights + 2 * width + width * classes + classes
    assert flops(arch, channels, cells, classes, in_channels, size) == macs + width * classes + classes


@pytest.mark.parametrize("name", ["channels", "cells", "classes", "in_channels"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_network_of_no_positive_size_is_refused_by_name(name, value):
    for count in (parameters, flops):
        with pytest.raises(BenchbedError, match=rf"\b{name}={value}, expected a positive integer"):
            count(SPACE.parse(ALL[0]), **{name: value})


@pytest.mark.parametrize(("size", "says"), [(30, "multiple of 4"), (0, "size=0"), (-4, "size=-4")])
def test_an_image_that_cannot_be_halved_twice_is_refused(size, says):
    with pytest.raises(BenchbedError, match=says):
        flops(SPACE.parse(ALL[0]), size=size)
