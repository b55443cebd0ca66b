"""Tables of any space: in and out to the last digit, whatever notation names an architecture, and what is refused."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.space import Space
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201.space import all_strings
from benchbed.stats.agreement import spearman
from benchbed.tables import Table
from benchbed.tables.importing import import_table
from benchbed.tables.places import Grid, Listed, is_grid
from benchbed.tables.show import to_csv

OWN = '''"""Three layers of a user's own."""

from benchbed.testing.toys import ToySpace


class Mine(ToySpace):
    pass
'''


def some(space: Space, count: int) -> list[str]:
    """Random architectures, no two of which compute the same function."""
    rng, found = np.random.default_rng(0), {}
    while len(found) < count:
        one = space.random(rng)
        found.setdefault(space.canonical(one), one.text)
    return list(found.values())


def write(file: Path, texts: list[str], header: str = "arch,svhn_valid_600,svhn_test_600,svhn_params,watts") -> Path:
    rng = np.random.default_rng(1)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header.split(","))
        for text in texts:
            accuracies = rng.uniform(10, 99, 2).tolist()
            writer.writerow([text, *accuracies, int(rng.integers(1, 10**7)), rng.uniform(0.1, 9)])
    return file


@pytest.mark.parametrize("name", ["darts", "darts-s2", "mbconv", "proxyless-cifar", "nb201-untied"])
def test_some_architectures_of_a_large_space(name: str, tmp_path: Path) -> None:
    space = load_space(name)
    texts = some(space, 40)
    file = write(tmp_path / "some.csv", texts)
    with pytest.raises(BenchbedError, match=r"some.csv has 40 of the [\d.e+]+ architectures: --partial imports"):
        import_table([file], "some", space=name)
    table = import_table([file], "some", space=name, partial=True)
    assert not is_grid(space)
    assert isinstance(table.places, Listed)
    assert sorted(texts) == table.strings
    with file.open() as rows:
        for row in csv.DictReader(rows):
            assert table.query(row["arch"], "svhn", "test", 600) == float(row["svhn_test_600"])
            place = table.place(row["arch"])
            assert table.further("watts")[place] == float(row["watts"])
            assert table.cost("params", "svhn")[place] == int(row["svhn_params"])
    out = tmp_path / "out.csv"
    assert to_csv(table, out) == 40
    again = import_table([out], "again", space=name, partial=True)
    assert again.fingerprint == table.fingerprint
    choices = np.array([space.parse(text).choices for text in texts])
    assert np.array_equal(table.query(choices, "svhn", "valid", 600), table.query(texts, "svhn", "valid", 600))
    assert np.array_equal(table.places.choices()[table.place(texts[3])], choices[3])
    (foreign,) = set(some(space, 41)) - set(texts)
    with pytest.raises(BenchbedError, match=r"table some has no figure of .*: its source holds 40 of the"):
        table.query(foreign, "svhn", "test", 600)
    assert table.gaps("svhn", "test", 600) is not None
    assert table.full_epochs == 600


def test_the_fingerprint_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    file = write(tmp_path / "some.csv", some(load_space("darts"), 20))
    head, *rows = file.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([head, *reversed(rows)]) + "\n")
    both = [import_table([f], f.stem, space="darts", partial=True) for f in (file, other)]
    assert both[0].fingerprint == both[1].fingerprint


def genotype(text: str, swap: bool, nested: bool) -> str:
    """A DARTS genotype with the inputs of its nodes in another order, or with a list a node."""
    scope: dict[str, Any] = {}
    cells = eval(text.replace("Genotype", "dict"), scope)
    for group in ("normal", "reduce"):
        nodes = [cells[group][i : i + 2][:: -1 if swap else 1] for i in range(0, 8, 2)]
        cells[group] = nodes if nested else [pair for node in nodes for pair in node]
    return f"Genotype({', '.join(f'{key}={value!r}' for key, value in cells.items())})"


def test_a_darts_cell_is_found_however_it_is_written(tmp_path: Path) -> None:
    texts = some(load_space("darts"), 5)
    table = import_table([write(tmp_path / "some.csv", texts)], "some", space="darts", partial=True)
    for swap, nested in ((True, False), (False, True), (True, True)):
        for text in texts:
            written = genotype(text, swap, nested)
            assert written != text
            assert table.query(written, "svhn", "test", 600) == table.query(text, "svhn", "test", 600)


def test_a_node_of_a_nested_genotype_has_two_inputs() -> None:
    space = load_space("darts")
    text = genotype(some(space, 1)[0], False, True)
    uneven = text.replace("[[(", "[[('none', 0), (", 1)
    with pytest.raises(BenchbedError, match="darts normal cell, node 2: 3 inputs where each node has two"):
        space.parse(uneven)


def test_the_same_architecture_twice(tmp_path: Path) -> None:
    texts = some(load_space("darts"), 5)
    file = write(tmp_path / "some.csv", texts)
    lines = file.read_text().splitlines()
    twice = tmp_path / "twice.csv"
    twice.write_text("\n".join([*lines, lines[1]]) + "\n")
    table = import_table([twice], "twice", space="darts", partial=True)
    assert "twice.csv: 1 rows repeat another one and count once" in table.meta["notes"]
    assert table.fingerprint == import_table([file], "once", space="darts", partial=True).fingerprint
    swapped = next(csv.reader([lines[1]]))
    with twice.open("w", newline="") as out:
        csv.writer(out).writerows([*csv.reader(lines), [genotype(swapped[0], True, False), "1", "2", "3", "4"]])
    with pytest.raises(BenchbedError, match=r"line 7: Genotype\(.* computes what the one does that is on line 2 "):
        import_table([twice], "no", space="darts", partial=True)


def test_sources_bring_architectures_of_their_own(tmp_path: Path) -> None:
    texts = some(load_space("darts"), 30)
    first = write(tmp_path / "a.csv", texts[:20])
    later = write(tmp_path / "b.csv", texts[10:], "arch,svhn_test_100,svhn_valid_100,cifar10_params,grams")
    table = import_table([first, later], "both", space="darts", partial=True)
    assert len(table.places) == 30
    assert [int(np.isfinite(table.values("svhn", "test", e)).sum()) for e in (600, 100)] == [20, 20]
    with pytest.raises(BenchbedError, match=r"no svhn test accuracy after 600 epochs of Genotype.*holds 20 of the"):
        table.query(texts[25], "svhn", "test", 600)
    assert table.further_names == ("grams", "watts")


def test_a_plugin_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_USER_FILES", {})
    plugin = tmp_path / "mine.py"
    plugin.write_text(OWN)
    registry.add_file(plugin)
    space = load_space("mine")
    texts = Grid(space).strings
    table = import_table([write(tmp_path / "whole.csv", texts)], "whole", space="mine")
    assert table.shape == tuple(len(p.operations) for p in space.positions)
    assert table.gaps("svhn", "test", 600) is None
    to_csv(table, tmp_path / "out.csv")
    assert import_table([tmp_path / "out.csv"], "again", space="mine").fingerprint == table.fingerprint
    meta = {**table.meta, "operations": [["a", "b"]]}
    changed = Table("whole", meta, table._arrays)
    with pytest.raises(BenchbedError, match="table whole is of space 'mine' with other operations than the plug-in"):
        changed.query(texts[0], "svhn", "test", 600)


def test_a_space_that_there_is_not_and_a_file_of_another_space(tmp_path: Path, shared_data: Path) -> None:
    file = write(tmp_path / "some.csv", some(load_space("darts"), 5))
    with pytest.raises(BenchbedError, match=r"unknown space 'dart'.*did you mean 'darts'"):
        import_table([file], "x", space="dart")
    with pytest.raises(BenchbedError, match=r"some.csv line 2: nb201"):
        import_table([file], "x")
    with pytest.raises(BenchbedError, match=r"line 2: darts genotype '\|"):
        import_table([shared_data / "nb201" / "table.csv"], "x", space="darts")
    with pytest.raises(BenchbedError, match=r"is a NATS-Bench folder, of space 'nb201' and not of 'macro'"):
        import_table([shared_data / "nats-tss-sample"], "x", space="macro")


# -- further figures of NAS-Bench-201 ----------------------------------------------------------------------------------


def test_exports_of_other_tools_join_by_cell(shared_data: Path, full: Table) -> None:
    """NASLib's numbers and lists of nodes lead to the cells that strings do: two files share HW-NAS-Bench's figures."""
    places = ("nb201/table.csv", "hw/hw_nas_bench_cifar10.csv", "hw/nb201_latency_ms.csv", "nb201/robustness.csv",
              "supernets/one-shot-nb201.json", "zero-cost/nb201_zc_proxies.csv")  # fmt: skip
    table = import_table([shared_data / place for place in places], "joined")
    assert {"pixel3_latency", "pixel3", "pgd@Linf_eps-1.0", "one-shot-nb201", "synflow"} <= set(table.further_names)
    for ours, theirs in (("pixel3", "pixel3_latency"), ("eyeriss", "eyeriss_latency"), ("fpga", "fpga_latency")):
        assert np.abs(table.further(ours) / table.further(theirs) - 1).max() < 1e-5
    supernet, truth = table.further("one-shot-nb201").reshape(-1), table.values("cifar10", "test", 200).reshape(-1)
    assert spearman(supernet, truth) == pytest.approx(0.676, abs=5e-4)  # shared/reference/methods.md, section 0
    assert int(np.isfinite(table.further("synflow")).sum()) == 9445
    params = table.further("params").reshape(-1)
    known = np.isfinite(params)
    assert np.allclose(params[known] * 1e6, table.cost("params", "cifar10").reshape(-1)[known])
    assert table.fingerprint != full.fingerprint


@pytest.fixture
def cells(tmp_path: Path) -> Callable[[list[str]], Path]:
    def run(texts: list[str]) -> Path:
        rows = [[text, i] for i, text in enumerate(texts)]
        with (tmp_path / "cells.csv").open("w", newline="") as out:
            csv.writer(out).writerows([["net", "watts"], *rows])
        return tmp_path / "cells.csv"

    return run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(4, 3, 3, 0, 0, 5)", r"line 2: nb201 cell \(4, 3, 3, 0, 0, 5\): NASLib's operations are numbered 0 to 4"),
        ("(4, 3, 3)", r"line 2: nb201 cell '\(4, 3, 3\)': expected"),
        ("[(('none', 0),)]", r"line 2: nb201 cell .*expected an operation on each of the edges"),
        ("[(('non', 0),), (('none', 0), ('none', 1)), (('none', 0), ('none', 1), ('none', 2))]", r"line 2: unknown nb"),
    ],
)
def test_what_is_no_cell(text: str, said: str, cells: Callable[[list[str]], Path], tmp_path: Path) -> None:
    accuracies = tmp_path / "a.csv"
    accuracies.write_text(f"arch,cifar10_test_200\n{all_strings()[0]},50\n")
    with pytest.raises(BenchbedError, match=said) as refused:
        import_table([accuracies, cells([text])], "x", partial=True)
    assert "\n" not in str(refused.value)


def test_a_file_without_accuracies_is_no_table(cells: Callable[[list[str]], Path]) -> None:
    with pytest.raises(BenchbedError, match="the sources hold no accuracy column: expected names such as"):
        import_table([cells(["(4, 3, 3, 0, 0, 0)"])], "x")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"(4, 3, 3, 0, 0, 0)": 1, "(4, 3, 3, 0, 0, 1)": "x"}', "has x, expected a number"),
        ('{"(4, 3, 3, 0, 0, 0)": 1, "(4, 3, 3, 0,', "is cut off or damaged"),
        ('{"(4, 3, 3, 0, 0, 0)": 1, "(4,3,3,0,0,0)": 2}', "a cell is there twice, under two notations"),
        ('{"(4, 3, 3, 0, 0, 0)": 1, "(4, 3, 3, 0, 0)": 2}', "entry 2: nb201 cell"),
    ],
)
def test_a_bad_json_file(content: str, said: str, tmp_path: Path) -> None:
    accuracies = tmp_path / "a.csv"
    accuracies.write_text(f"arch,cifar10_test_200\n{all_strings()[0]},50\n")
    (tmp_path / "net.json").write_text(content)
    with pytest.raises(BenchbedError, match=said) as refused:
        import_table([accuracies, tmp_path / "net.json"], "x", partial=True)
    assert "\n" not in str(refused.value)


# -- what a stranger met -----------------------------------------------------------------------------------------------


def _own(tmp_path: Path, text: str) -> Path:
    (tmp_path / "own.csv").write_text(text)
    return tmp_path / "own.csv"


def test_an_empty_column_of_accuracies_leaves_no_table(tmp_path: Path, home: Path) -> None:
    with pytest.raises(BenchbedError, match=r"own.csv: cifar10_test_200 holds no number"):
        import_table([_own(tmp_path, f"arch,cifar10_test_200\n{all_strings()[0]},\n")], "own", partial=True)
    assert not home.exists()


def test_the_same_numbers_written_otherwise_are_the_same(tmp_path: Path) -> None:
    a = all_strings()[0]
    table = import_table([_own(tmp_path, f"arch,cifar10_test_200\n{a},90\n{a},90.00\n")], "own", partial=True)
    assert table.query(a, "cifar10", "test", 200) == 90
    with pytest.raises(BenchbedError, match=r"with other figures \(cifar10_test_200: 90 and 91\)"):
        import_table([_own(tmp_path, f"arch,cifar10_test_200\n{a},90\n{a},91\n")], "no", partial=True)


def test_two_columns_that_name_different_architectures(tmp_path: Path) -> None:
    a, b = all_strings()[:2]
    with pytest.raises(BenchbedError, match=r"own.csv line 2: columns arch and arch_str name different architectures"):
        import_table([_own(tmp_path, f"arch,arch_str,cifar10_test_200\n{a},{b},90\n")], "no", partial=True)


def test_what_is_not_imported_is_said(tmp_path: Path) -> None:
    text = f",arch,cifar10_test_200,cifar10_train_seconds_200,a/b,who\n0,{all_strings()[0]},90,5,1,me\n"
    notes = import_table([_own(tmp_path, text)], "own", partial=True).meta["notes"]
    assert any("cifar10_train_seconds_200 is not imported: the file has no figure" in note for note in notes)
    assert any("columns that are not imported" in note and "'', 'a/b', 'who'" in note for note in notes)


def test_a_table_of_a_plugin_that_is_not_given_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_USER_FILES", {})
    plugin = tmp_path / "mine.py"
    plugin.write_text(OWN)
    registry.add_file(plugin)
    import_table([write(tmp_path / "whole.csv", Grid(load_space("mine")).strings)], "whole", space="mine")
    monkeypatch.setattr(registry, "_USER_FILES", {})
    with pytest.raises(BenchbedError, match="of space 'mine', a plug-in that is not known here: add --pl"):
        Table.open("whole").best("svhn", "test", 600)
