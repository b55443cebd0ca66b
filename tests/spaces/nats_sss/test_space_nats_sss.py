"""NATS-Bench's size space against the official code's counts and the archive's strings."""

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.nats_sss.space import (
    CANDIDATES,
    CELL,
    NatsSss,
    all_architectures,
    all_strings,
    count_flops,
    count_parameters,
    flops,
    parameters,
    widths_of,
)

# Of D-X-Y/AutoDL-Projects at f46486e, run with torch 2.13: (widths, parameters, FLOPs) by `get_model_infos` of
# `get_cell_based_tiny_net` ("infer.shape.tiny"), ten classes, one image of 3x32x32.
OFFICIAL = [
    ("8:8:8:8:8", 11714, 4481114),
    ("64:64:64:64:64", 713674, 274399882),
    ("8:64:8:64:8", 110882, 20271194),
    ("64:8:64:8:64", 441226, 230838922),
    ("8:16:24:32:40", 115490, 15339930),
    ("64:56:48:40:32", 451466, 241389898),
    ("8:8:8:8:64", 130514, 11997834),
    ("64:8:8:8:8", 199818, 192970842),
    ("56:48:40:24:24", 312610, 181248250),
    ("48:64:40:40:64", 457050, 160445066),
    ("24:56:48:8:32", 220338, 69235018),
]
# Of the published archive's sample, NATS-sss-v1_0-50262-simple in D-X-Y/NATS-Bench at 1d4a304, files 000000 and 000284:
# (index, widths, {(classes, size): (parameters, FLOPs)}), in millions there
ARCHIVE = [
    (0, "8:8:8:8:8", {(10, 32): (11714, 4481114), (100, 32): (12524, 4481924), (120, 16): (12704, 1121336)}),
    (284, "8:8:40:32:40", {(10, 32): (144834, 21827994), (100, 32): (148524, 21831684), (120, 16): (149344, 5461816)}),
]


def test_the_space_is_the_published_one() -> None:
    assert NatsSss().size() == 8**5 == 32768
    assert tuple(range(8, 65, 8)) == CANDIDATES
    assert CELL == "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def test_the_order_of_the_strings_is_the_archive_s() -> None:
    strings = all_strings()
    assert strings == [a.text for a in all_architectures()]
    for index, text, _ in ARCHIVE:
        assert strings[index] == text
    assert strings[:2] + strings[-1:] == ["8:8:8:8:8", "8:8:8:8:16", "64:64:64:64:64"]
    assert len(set(strings)) == 32768


@pytest.mark.parametrize(("text", "params", "macs"), OFFICIAL)
def test_counts_are_those_of_the_official_network(text: str, params: int, macs: int) -> None:
    found = NatsSss().facts(NatsSss().parse(text))
    assert (found["params"], found["flops"]) == (params, macs)


@pytest.mark.parametrize(("index", "text", "counts"), ARCHIVE)
def test_counts_are_those_of_the_archive_on_every_data_set(index: int, text: str, counts: dict) -> None:
    arch = NatsSss().parse(text)
    for (classes, size), wanted in counts.items():
        assert (parameters(arch, classes=classes), flops(arch, classes=classes, size=size)) == wanted


def test_counts_of_arrays_are_those_of_each_network() -> None:
    rng = np.random.default_rng(0)
    drawn = [NatsSss().random(rng) for _ in range(200)]
    widths = np.array([widths_of(a) for a in drawn]).T
    assert count_parameters(widths, 120, 3).tolist() == [parameters(a, classes=120) for a in drawn]
    assert count_flops(widths, 120, 3, 16).tolist() == [flops(a, classes=120, size=16) for a in drawn]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("64:64:64:64", "'64:64:64:64': 4 widths where five are expected, such as 64:64:64:64:64"),
        ("64", "'64': 1 width where five"),
        ("64:64:64:64:65", "width '65' of cell 3 is not one of 8, 16, 24, 32, 40, 48, 56, 64"),
        ("64:064:64:64:64", "width '064' of reduction 1"),
        ("64:64: 8:64:64", "width ' 8' of cell 2"),
        ("64:64:64:64:64:", "6 widths"),
        ("x" * 100, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'...: 1 width"),
    ],
)
def test_what_is_no_network_is_named(text: str, words: str) -> None:
    with pytest.raises(BenchbedError) as refused:
        NatsSss().parse(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_choices_and_sizes_are_refused() -> None:
    arch = NatsSss().parse("8:8:8:8:8")
    with pytest.raises(BenchbedError, match="width of cell 2: candidate number 8 is not one of 0 to 7"):
        NatsSss().architecture_of((0, 0, 8, 0, 0))
    with pytest.raises(BenchbedError, match="6 numbers where the network has 5 widths"):
        NatsSss().architecture_of((0,) * 6)
    with pytest.raises(BenchbedError, match="image size 30 is not a multiple of 4"):
        flops(arch, size=30)
    with pytest.raises(BenchbedError, match="channels=0, expected a positive integer"):
        parameters(arch, channels=0)
    with pytest.raises(BenchbedError, match="classes=0, expected a positive integer"):
        parameters(arch, classes=0)


def test_costs_do_not_add_up_and_say_so() -> None:
    with pytest.raises(BenchbedError, match="cost 'flops' of nats-sss: it does not add up over widths"):
        NatsSss().unit_costs("flops")


def test_the_layers_are_a_chain_of_five() -> None:
    layers = NatsSss().layers(NatsSss().parse("8:16:24:32:40"))
    assert [(layer.group, layer.width, layer.size) for layer in layers] == [
        ("cell 1", 8, 32), ("reduction 1", 16, 16), ("cell 2", 24, 16), ("reduction 2", 32, 8), ("cell 3", 40, 8)
    ]  # fmt: skip
