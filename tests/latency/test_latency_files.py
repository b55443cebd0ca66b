"""Latency files: the authors' table at its published sums (reference, 3.6), our own, whole networks; and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.latency.files import read_entries, read_whole
from benchbed.latency.layout import layout_of
from benchbed.latency.load import load_cost, split_source, tabulated
from benchbed.searcher import masked_softmax
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.space import NB201
from benchbed.testing.toys import ToySpace

CHAIN = MBConv()
KEYS = layout_of(CHAIN, "mbconv").distinct_keys()


@pytest.fixture(scope="module")
def pixel1(shared_data) -> Path:
    return shared_data / "latency" / "pixel1_mobile_trim.yaml"


@pytest.fixture(scope="module")
def devices(shared_data) -> Path:
    return shared_data / "hw" / "nb201_latency_ms.csv"


def authors(folder: Path, **changed: object) -> Path:
    """A whole table of the authors' form, every mean 2 ms; `changed` replaces a key's mean, None leaves it out."""
    lines = []
    for number, key in enumerate(KEYS):
        mean = changed.get(f"k{number}", 2.0)
        if mean is not None:
            lines += [f"{key}:", "  count: 3", f"  mean: {mean}", "  var: 0.1"]
    file = folder / "table.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def ours(folder: Path, **changed: object) -> Path:
    tree = {
        "format": "benchbed-latency", "unit": "ms", "space": "mbconv", "device": "cpu", "device_name": "chip",
        "entries": {key: {"median": 2.0, "q1": 1.9, "q3": 2.1} for key in KEYS}, **changed,
    }  # fmt: skip
    file = folder / "table.json"
    file.write_text(json.dumps(tree))
    return file


# -- the published table -------------------------------------------------------------------------------------------


def test_the_published_sums(pixel1):
    """The reference lists the table's means rounded to 3 decimals, and sums of those."""
    times = {key: round(ms, 3) for key, ms in read_entries(pixel1, "mbconv").times.items()}
    assert len(times) == 72
    fixed, entries = tabulated(CHAIN, layout_of(CHAIN, "mbconv"), times)
    mask = CHAIN.mask
    assert fixed == pytest.approx(11.365, abs=1e-9)
    assert fixed + sum(row[m].mean() for row, m in zip(entries, mask, strict=True)) == pytest.approx(113.990714, 5e-9)
    assert fixed + sum(row[m].min() for row, m in zip(entries, mask, strict=True)) == pytest.approx(29.610, abs=1e-9)
    assert fixed + entries.max(1).sum() == pytest.approx(191.033, abs=1e-9)
    for k, total in ((0, 76.050), (1, 136.466), (3, 158.956)):
        assert fixed + entries[:, k].sum() == pytest.approx(total, abs=1e-9)
    alpha = 0.1 * torch.arange(7.0, dtype=torch.float64).expand(21, 7)
    p = masked_softmax(alpha, torch.from_numpy(mask)).numpy()
    assert fixed + (p * entries).sum() == pytest.approx(114.174585, abs=5e-7)


def test_the_cost_by_the_published_table(pixel1):
    """The unrounded means are within the 63 roundings of the sums above."""
    cost = load_cost(str(pixel1), CHAIN, "mbconv")
    found = (cost.fixed, cost.uniform(), cost.least().value, cost.greatest().value)
    assert found == pytest.approx((11.365, 113.990714, 29.610, 191.033), abs=21 * 5e-4)
    assert str(cost.least().architecture).count("zero") == 15
    zero = CHAIN.positions[1].operations.index("zero")
    assert float(cost.entries[1, zero]) == 0


def test_the_released_mobile_network_needs_three_keys_that_the_table_lacks(pixel1):
    space, network = CHAIN.resolve("proxyless-mobile")
    times, layout = read_entries(pixel1, "mbconv").times, layout_of(space, "mbconv")
    parts = [row[k] for row, k in zip(layout.operations, network.choices, strict=True)]
    missing = [key for part in parts for key, _ in part if key not in times]
    assert len(missing) == 3
    with pytest.raises(
        BenchbedError, match=r"lacks \d+ of the \d+ keys of space 'mbconv': expanded_conv-input:112x112x16"
    ):
        load_cost(str(pixel1), space, "mbconv")


# -- our forms, and refusals -----------------------------------------------------------------------------------------


def test_both_forms_give_the_same_cost(tmp_path):
    a, b = load_cost(str(authors(tmp_path)), CHAIN, "mbconv"), load_cost(str(ours(tmp_path)), CHAIN, "mbconv")
    assert a.fingerprint == b.fingerprint
    assert (a.name, b.name) == ("table", "chip")
    assert a.greatest().value == 2.0 * (4 + 21)  # stem, first block, head, classifier
    assert a.least().value == 2.0 * (4 + 6)


@pytest.mark.parametrize(("mean", "text"), [(0, "0.0"), (-1, "-1.0"), ("nan", "'nan'"), ("fast", "'fast'")])
def test_a_time_that_is_not_positive_names_its_key(tmp_path, mean, text):
    file = authors(tmp_path, k7=mean)
    with pytest.raises(BenchbedError, match=f"{KEYS[7]} takes {text} ms, expected a positive number"):
        load_cost(str(file), CHAIN, "mbconv")


def test_a_missing_key_is_an_error_and_never_zero(tmp_path):
    with pytest.raises(BenchbedError, match=f"lacks 1 of the {len(KEYS)} keys of space 'mbconv': {KEYS[9]}$"):
        load_cost(str(authors(tmp_path, k9=None)), CHAIN, "mbconv")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"unit": "s"}, r"is in 's': expected unit 'ms'"),
        ({"space": "nb201"}, r"is of space 'nb201', not of 'mbconv'"),
        ({"format": "other"}, r"is not a file of 'latency measure'"),
        ({"entries": {KEYS[0]: {"median": -2}}}, r"takes -2 ms"),
    ],
)
def test_another_unit_space_or_format_is_refused(tmp_path, changed, text):
    with pytest.raises(BenchbedError, match=text) as refused:
        load_cost(str(ours(tmp_path, **changed)), CHAIN, "mbconv")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a: 3\n", "line 1: expected 'KEY:'"),
        ("  mean: 3\n", "line 1: expected 'KEY:' and under it count, mean, var, got '3'"),
        ("a: &a {mean: *a}\n", "a takes None"),
        ("? [a, b]\n: {mean: 3}\n", "line 1: expected one of KEY"),
        ("- a\n", "line 1: expected 'KEY:' and its times"),
        ("a: {mean: 3\n", "is neither YAML nor JSON: .* line 2"),
        ("[" * 100_000, "is neither YAML nor JSON"),
        ("a:\n  mean_s: 3\n", "line 2: expected one of count, mean, var"),
        ("a:\n  mean: 3\na:\n  mean: 3\n", "line 3: a appears twice"),
        ("a:\n  count: 3\n", "a takes None"),
        ('{"a": 3', "is not JSON"),
    ],
)
def test_a_file_that_is_neither_form_is_refused(tmp_path, text, message):
    file = tmp_path / "table.yaml"
    file.write_text(text)
    with pytest.raises(BenchbedError, match=message):
        load_cost(str(file), CHAIN, "mbconv")


def test_any_yaml_of_that_form_is_read(tmp_path):
    """As other writers of YAML print the same mapping."""
    plain, other = authors(tmp_path), tmp_path / "other.yaml"
    lines = [f"'{key}': {{count: 1, mean: {mean}}}  # ms" for key, mean in read_entries(plain, "mbconv").times.items()]
    other.write_text("---\n" + "\n".join(lines) + "\n")
    assert read_entries(other, "mbconv").times == read_entries(plain, "mbconv").times


def test_a_table_of_another_space_is_refused(tmp_path):
    with pytest.raises(BenchbedError, match="is of another space than 'nb201': it has none of its keys, such as stem"):
        load_cost(str(authors(tmp_path)), NB201(), "nb201")
    with pytest.raises(BenchbedError, match="space 'toy' has no look-up tables"):
        layout_of(ToySpace(), "toy")
    with pytest.raises(BenchbedError, match="is of one device"):
        load_cost(f"{authors(tmp_path)}:pixel", CHAIN, "mbconv")


def test_what_cannot_be_read_says_what_is_accepted(tmp_path):
    with pytest.raises(
        BenchbedError, match=r"cannot read .*mac: No such file .*expected FILE, FILE:COLUMN, table:NAME:FIGURE, macs"
    ):
        load_cost("mac", CHAIN, "mbconv")
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchbedError, match="it is not UTF-8 text"):
        load_cost(str(file), CHAIN, "mbconv")


def test_a_source_is_split_at_its_last_colon(tmp_path):
    odd = tmp_path / "a:b.csv"
    odd.touch()
    assert split_source(str(odd)) == (odd, None)
    assert split_source(f"{odd}:pixel3") == (odd, "pixel3")
    assert split_source("plain.csv") == (Path("plain.csv"), None)


# -- tables of whole networks ----------------------------------------------------------------------------------------


def sheet(folder: Path, *rows: str, header: str = "index,arch_str,one,two") -> Path:
    file = folder / "whole.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_a_device_of_the_measured_cells(devices):
    space = NB201()
    cost = load_cost(f"{devices}:pixel3", space, "nb201")
    assert (cost.name, cost.unit, cost.fixed) == ("pixel3", "ms", None)
    line = devices.read_text().splitlines()[2].split(",")  # cell 1 of the official index
    column = devices.read_text().splitlines()[0].split(",").index("pixel3")
    assert cost.of(space.parse(line[1])) == float(line[column]) == 17.2381
    assert cost.uniform() == pytest.approx(float(np.mean(cost.values)), rel=1e-12)
    assert load_cost(f"{devices}:pixel3", NB201(), "nb201") is cost  # read once
    with pytest.raises(BenchbedError, match="did you mean 'pixel3'"):
        load_cost(f"{devices}:pixel33", space, "nb201")
    with pytest.raises(BenchbedError, match=r"has 27 devices: give one as nb201_latency_ms.csv:DEVICE"):
        load_cost(str(devices), space, "nb201")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("0,a-c-b,1,0", "whole.csv line 2: two is 0 ms, expected a positive number"),
        ("0,a-c-b,1,-3", "whole.csv line 2: two is -3 ms"),
        ("0,a-c-b,1,x", "line 2: two holds 'x', which is not a number"),
        ("0,a-c,1,2", "whole.csv line 2: 'a-c'"),
        ("0,a-c-b,1,2\n1,a-c-b,1,2", "line 3: a-c-b appears twice"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path, row, text):
    with pytest.raises(BenchbedError, match=text):
        read_whole(sheet(tmp_path, row), "two", ToySpace())


def test_a_csv_without_architectures_or_with_gaps_is_refused(tmp_path):
    with pytest.raises(BenchbedError, match="has no column of architectures: expected arch"):
        read_whole(sheet(tmp_path, "0,1", header="index,one"), "one", ToySpace())
    with pytest.raises(BenchbedError, match="cost two needs every architecture: 23 of 24 are missing"):
        load_cost(f"{sheet(tmp_path, '0,a-c-b,1,2')}:two", ToySpace(), "toy")
