"""NAS-Bench-Macro's file as a table: trials 1 and 2 for the search, trial 3 for the score."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.objectives.table import TableObjective
from benchbed.spaces.macro.space import Macro
from benchbed.tables import Table
from benchbed.tables.importing import import_table, recognise
from benchbed.tables.score import score
from benchbed.tables.show import cell_text, facts, text, to_csv

NAME = "nas-bench-macro_cifar10.json"


@pytest.fixture(scope="module")
def file(shared_data):
    return shared_data / "macro" / NAME


@pytest.fixture(scope="module")
def published(file):
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def table(file, imported):
    return imported("macro", file)


def test_every_network_has_its_trials(table, published):
    valid, test = (table.values("cifar10", split, 50) for split in ("valid", "test"))
    assert valid.shape == test.shape == (3,) * 8
    for name, entry in published.items():
        at = tuple(map(int, name))
        assert test[at] == entry["test_acc"][2]
        assert valid[at] == pytest.approx(sum(entry["test_acc"][:2]) / 2, abs=1e-12)
        assert (2 * valid[at] + test[at]) / 3 == pytest.approx(entry["mean_acc"], abs=1e-9)
        assert table.cost("params", "cifar10")[at] == entry["params"]
        assert table.cost("flops", "cifar10")[at] == entry["flops"]
    assert table.full_epochs == 50
    assert table.is_whole()


def test_it_says_which_trials_serve_what(table):
    known = facts(table)
    assert "trials 1 and 2" in known["splits"]["valid"]
    assert "trial 3" in known["splits"]["test"]
    assert any("highest test accuracy of any of the 50 epochs" in note for note in known["notes"])
    assert not any("differ from the formula" in note for note in known["notes"])
    assert "test      test accuracy of trial 3 alone" in text(table)


def test_a_score_is_of_the_third_trial_and_its_ranks(table, published):
    third = np.array([entry["test_acc"][2] for entry in published.values()])
    for name in ("22212220", "00000000", "11111221"):
        found, own = score(table, "cifar10", Macro().parse(name)), published[name]["test_acc"]
        assert found.test_accuracy == own[2]
        assert found.valid_accuracy == pytest.approx((own[0] + own[1]) / 2)
        assert found.regret == pytest.approx(third.max() - own[2])
        assert found.rank == 1 + (third > own[2]).sum()
        assert found.percentile == pytest.approx(100 * (third <= own[2]).mean())
        assert (found.cells, found.n_seeds, found.noise_floor) == (6561, 1, None)


def test_the_objective_never_sees_the_third_trial(file, imported, published, tmp_path):
    changed = {k: {**v, "test_acc": [*v["test_acc"][:2], 1.0]} for k, v in published.items()}
    other = tmp_path / NAME
    other.write_text(json.dumps(changed))
    one, two = (TableObjective.of(imported("macro", f), "cifar10") for f in (file, other))
    assert (one.accuracy.values == two.accuracy.values).all()


def test_a_cell_and_an_export_print(table, published, tmp_path):
    assert "rank 1 of 6,561" in cell_text(table, table.best("cifar10", "valid", 50).architecture)
    out = tmp_path / "macro.csv"
    assert to_csv(table, out) == 6561
    rows = dict(line.split(",", 1) for line in out.read_text().splitlines()[1:])
    for name in ("02012100", "22222222"):
        assert float(rows[name].split(",")[1]) == published[name]["test_acc"][2]


def test_other_words_are_refused_without_naming_another_benchmark(table):
    for call in (
        lambda: table.query("00000000", "cifar10", "test", 200),
        lambda: table.cost("latency", "cifar10"),
        lambda: table.train_seconds("cifar10", "test", 50),
    ):
        with pytest.raises(BenchbedError) as error:
            call()
        assert "NAS-Bench-201" not in str(error.value)


BROKEN = [
    (lambda d: d.pop("00000001"), "has 6,560 of the 6,561 networks, 00000001 is not among them"),
    (lambda d: d.update({"0000000x": {}}), "'x' at s3b3"),
    (lambda d: d["00000002"].update(test_acc=[1.0, 2.0]), "network 00000002 has test_acc .1.0, 2.0., expected 3"),
    (lambda d: d["00000002"].update(test_acc=[1.0, 2.0, None]), "network 00000002 has test_acc"),
    (lambda d: d["00000002"].update(test_acc=[1.0, 2.0, 101.0]), "101, which is not a percentage"),
    (lambda d: d.update({"00000003": {}}), "'3' at s3b3"),
]


@pytest.mark.parametrize(("edit", "words"), BROKEN)
def test_a_bad_file_is_refused_and_nothing_is_written(published, tmp_path, home, edit, words):
    changed = json.loads(json.dumps(published))
    edit(changed)
    file = tmp_path / NAME
    file.write_text(json.dumps(changed))
    with pytest.raises(BenchbedError, match=words) as error:
        import_table([file], "macro")
    assert NAME in str(error.value)
    assert not home.exists()


def test_a_cut_off_file_and_a_second_source_are_refused(file, tmp_path, home):
    cut = tmp_path / NAME
    cut.write_bytes(file.read_bytes()[:1000])
    assert recognise(cut) == "macro"
    with pytest.raises(BenchbedError, match="is cut off or damaged"):
        import_table([cut], "macro")
    other = tmp_path / "other.csv"
    other.write_text("arch\n")
    with pytest.raises(BenchbedError, match="give it alone"):
        import_table([file, other], "macro")


def test_costs_that_differ_are_noted(published, tmp_path):
    changed = json.loads(json.dumps(published))
    changed["00000000"]["flops"] += 1
    file = tmp_path / NAME
    file.write_text(json.dumps(changed))
    notes = import_table([file], "macro").meta["notes"]
    assert "flops: 1 of 6,561 networks differ from the formula, which the table holds" in notes


def test_a_search_on_it_is_scored_by_it(file, tmp_path):
    import_table([file], "macro")
    command = ["run", "--objective", "table", "--space", "macro", "--table", "macro", "--dataset", "cifar10"]
    command += ["--searcher", "proxyless", "--selector", "magnitude", "--epochs", "2", "--out", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-m", "benchbed", *command], check=True, capture_output=True)
    (path,) = (tmp_path / "out").glob("proxyless-*/record.json")
    record, table = json.loads(path.read_text()), Table.open("macro")
    chosen = Macro().parse(record["architecture"])
    assert record["test_accuracy"] == table.query(chosen, "cifar10", "test", 50)
    assert record["table"]["splits"]["test"] == "test accuracy of trial 3 alone"
    assert record["table"]["epochs"] == 50
    assert record["regret"] == pytest.approx(table.best("cifar10", "test", 50).value - record["test_accuracy"])
