"""Importing NATS-Bench's size space: its own sample, and files of the same form written here.

The form is that of D-X-Y/NATS-Bench at 1d4a304, `fake_torch_dir/NATS-sss-v1_0-50262-simple`, and of
`exps/NATS-Bench/sss-collect.py` in AutoDL-Projects at f46486e. The sample itself is read where BENCHBED_ORIGINALS names
a folder that holds a clone of it.
"""

import bz2
import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.nats_sss.space import CELL, NatsSss, all_strings, flops, parameters
from benchbed.tables import Table
from benchbed.tables.importing import import_table
from benchbed.tables.show import to_csv

FIGURES = {
    ("cifar10-valid", "x-valid"): ("cifar10", "valid"),
    ("cifar10", "ori-test"): ("cifar10", "test"),
    ("cifar100", "x-valid"): ("cifar100", "valid"),
    ("cifar100", "x-test"): ("cifar100", "test"),
    ("cifar100", "ori-test"): ("cifar100", "valid+test"),
    ("ImageNet16-120", "x-test"): ("imagenet16-120", "test"),
}
SETS = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)}
INDEXES = (0, 284)


def trial(draw: random.Random, dataset: str, text: str, seed: int, epochs: int) -> dict[str, Any]:
    sets = SETS.get(dataset, ("x-valid", "x-test", "ori-test"))
    keys = [f"{name}@{i}" for name in sets for i in range(epochs)]
    each = {i: draw.uniform(0, 100) for i in range(epochs)}
    classes, size = {"cifar100": (100, 32), "ImageNet16-120": (120, 16)}.get(dataset, (10, 32))
    arch = NatsSss().parse(text)
    return {
        "name": dataset, "net_state_dict": None, "train_acc1es": each, "train_acc5es": each, "train_losses": each,
        "train_times": OrderedDict.fromkeys(range(epochs), draw.uniform(1, 9)),
        "arch_config": {"name": "infer.shape.tiny", "channels": text, "arch_str": text, "genotype": CELL,
                        "class_num": classes},
        "params": np.float64(parameters(arch, classes=classes) / 1e6),
        "flop": flops(arch, classes=classes, size=size) / 1e6,
        "seed": f"{seed:04d}", "epochs": epochs,
        "latency": [np.float64(draw.uniform(0.01, 0.02))], "eval_names": list(sets),
        "eval_acc1es": {key: draw.uniform(0, 100) for key in keys},
        "eval_losses": {key: draw.uniform(0, 5) for key in keys},
        "eval_times": dict.fromkeys(keys, draw.uniform(0.1, 1)),
    }  # fmt: skip


def written(folder: Path) -> dict[int, Any]:
    """Writes a folder of two networks; what is in it."""
    draw, strings, cells = random.Random(3), all_strings(), {}
    for index in INDEXES:
        text, cells[index] = strings[index], OrderedDict()
        for hp, seeds in (("01", [777]), ("12", [777, 888, 999]), ("90", [777])):
            datasets = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
            trials = {(d, s): trial(draw, d, text, s, int(hp)) for s in seeds for d in datasets}
            cells[index][hp] = {"arch_index": index, "arch_str": text, "all_results": trials,
                                "dataset_seed": dict.fromkeys(datasets, seeds), "clear_net_done": True}  # fmt: skip
        save(folder / f"{index:06d}.pickle.pbz2", cells[index])
    meta = {"meta_archs": strings, "total_archs": 32768, "arch2infos": None, "evaluated_indexes": set()}
    save(folder / "meta.pickle.pbz2", meta)
    return cells


def save(path: Path, value: Any) -> None:
    path.write_bytes(bz2.compress(pickle.dumps(value, protocol=4)))


@pytest.fixture(scope="module", params=["written here", "official sample"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Any]]:
    """A folder, and its records as Python's own unpickler reads them."""
    if request.param == "written here":
        folder = tmp_path_factory.mktemp("sss") / "NATS-sss-v1_0-50262-simple"
        folder.mkdir()
        return folder, written(folder)
    clone = os.environ.get("BENCHBED_ORIGINALS")
    if clone is None:
        pytest.skip("needs BENCHBED_ORIGINALS, a folder with a clone of D-X-Y/NATS-Bench")
    folder = Path(clone) / "NATS-Bench" / "fake_torch_dir" / "NATS-sss-v1_0-50262-simple"
    read = {n: pickle.loads(bz2.decompress((folder / f"{n:06d}.pickle.pbz2").read_bytes())) for n in (0, 11, 284)}
    return folder, read


@pytest.fixture(scope="module")
def table(source: Any, imported: Any) -> Table:
    return imported("nats-sss", source[0])


def test_every_seed_mean_and_cost_is_the_record_s(source: Any, table: Table) -> None:
    for index, cell in source[1].items():
        arch = table.arch(index)
        assert arch.text == cell["12"]["arch_str"]
        for (theirs, evaluated), (dataset, split) in FIGURES.items():
            for hp in ("01", "12", "90"):
                epochs, trials = int(hp), {s: t for (d, s), t in cell[hp]["all_results"].items() if d == theirs}
                wanted = {s: t["eval_acc1es"][f"{evaluated}@{epochs - 1}"] for s, t in sorted(trials.items())}
                answer = table.answer(arch, dataset, split, epochs)
                assert {int(seed): value for seed, value in answer.seeds.items()} == wanted
                assert answer.mean == sum(wanted.values()) / len(wanted)
                seconds = [sum(t["train_times"].values()) for t in trials.values()]
                found = table.train_seconds(dataset, split, epochs)[arch.choices]
                assert found == pytest.approx(np.mean(seconds), rel=1e-12)
        one = cell["90"]["all_results"]["cifar10", 777]
        assert table.cost("params", "cifar10")[arch.choices] == round(one["params"] * 1e6)
        assert table.cost("flops", "cifar10")[arch.choices] == round(one["flop"] * 1e6)
        assert table.cost("latency", "cifar10")[arch.choices] == one["latency"][0]


def test_the_table_says_what_it_is(source: Any, table: Table) -> None:
    assert (table.meta["space"], table.full_epochs, table.shape) == ("nats-sss", 90, (8,) * 5)
    assert table.order is not None
    assert table.order.tolist() == list(range(32768))
    assert table.meta["notes"][0] == f"NATS-sss-v1_0-50262-simple: {len(source[1])} of the 32,768 cells"
    assert table.epochs("cifar100", "valid+test") == (1, 12, 90)


def test_single_trainings_are_the_records_to_the_last_bit(source: Any, table: Table) -> None:
    for index, cell in source[1].items():
        text = cell["12"]["arch_str"]
        for hp, record in table.trials.cell(index, index, text).items():
            assert list(record.trials) == list(cell[hp]["all_results"])
            for key, state in cell[hp]["all_results"].items():
                one = record.trials[key]
                assert one.config() == state["arch_config"]
                for field in ("eval_acc1es", "eval_losses", "eval_times"):
                    assert one.by_set(field) == state[field]
                for field in ("train_acc1es", "train_acc5es", "train_losses", "train_times"):
                    assert one.by_epoch(field) == state[field]


def test_the_forms_of_trainings_do_not_grow_with_the_networks(source: Any, table: Table) -> None:
    """4 data sets, of one seed under 01 and 90 and three under 12: the architecture's string is not in a form."""
    assert len(table.trials._layouts) == 4 * (1 + 3 + 1)


def test_a_csv_export_imports_again_to_the_last_digit(table: Table, tmp_path: Path, home: Path) -> None:
    count = to_csv(table, tmp_path / "sss.csv")
    again = import_table([tmp_path / "sss.csv"], "again", space="nats-sss", partial=True)
    assert again.order is not None
    assert (again.order == table.order).all()
    assert again.figures == table.figures
    for figure in table.figures:
        there = np.isfinite(table.values(*figure))
        assert there.sum() == count
        np.testing.assert_array_equal(again.values(*figure), table.values(*figure))
        np.testing.assert_array_equal(again.seeds(*figure), table.seeds(*figure))
        np.testing.assert_array_equal(again.train_seconds(*figure), table.train_seconds(*figure))
        np.testing.assert_array_equal(
            again.cost("flops", figure.dataset)[there], table.cost("flops", figure.dataset)[there]
        )


def test_the_single_file_gives_the_same_table(source: Any, table: Table, tmp_path: Path, home: Path) -> None:
    meta = {"meta_archs": all_strings(), "total_archs": 32768, "arch2infos": source[1], "evaluated_indexes": set()}
    save(tmp_path / "NATS-sss-v1_0-50262.pickle.pbz2", meta)
    assert import_table([tmp_path / "NATS-sss-v1_0-50262.pickle.pbz2"], "one").fingerprint == table.fingerprint


def test_what_does_not_fit_is_one_line(source: Any, shared_data: Path, tmp_path: Path, home: Path) -> None:
    folder = source[0]
    with pytest.raises(BenchbedError, match="is a NATS-Bench folder, of space 'nats-sss' and not of 'nb201'"):
        import_table([folder], "t", space="nb201")
    with pytest.raises(BenchbedError, match=r"is a per-seed arrays, of space 'nb201' and not of 'nats-sss'"):
        import_table([shared_data / "nb201" / "per_seed_200.npz", folder], "t")
    (tmp_path / "sss.csv").write_text("arch,cifar10_test_90\n64:64:64:64:63,90\n")
    with pytest.raises(BenchbedError, match=r"sss.csv line 2: nats-sss architecture .* width '63' of cell 3"):
        import_table([tmp_path / "sss.csv"], "t", space="nats-sss", partial=True)
    save(tmp_path / "meta.pickle.pbz2", {"meta_archs": ["8:8:8:8:8"]})
    with pytest.raises(BenchbedError, match="15,625 architectures of NAS-Bench-201 or 32,768 architectures of NATS-"):
        import_table([tmp_path], "t")
    assert not home.exists()


def test_every_count_by_array_is_the_network_s(table: Table) -> None:
    rng = np.random.default_rng(0)
    for arch in (NatsSss().random(rng) for _ in range(20)):
        facts = NatsSss().facts(arch)
        assert table.cost("params", "cifar10")[arch.choices] == facts["params"]
        assert table.cost("flops", "cifar10")[arch.choices] == facts["flops"]
