"""Both packages and the drop-in over the same records: the three real sample cells, and synthetic ones of odd forms."""

import bz2
import copy
import pickle
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from benchbed.dropin import NASBench201API, NATSsize, NATStopology, refusals
from benchbed.spaces.nats_sss.space import CELL, all_strings
from benchbed.tables import Table
from benchbed.tables.importing import import_table

from ..originals.clones import clone

Records = dict[int, dict[str, Any]]  # by official index: {'12': record, '200': record}


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """What a call gives, or what it raises; Python's `random` begins anew."""
    random.seed(3)
    try:
        return "value", call()
    except Exception as error:
        return "raised", error


def same(theirs: Any, ours: Any, ordered: bool = True) -> bool:
    """Equal to the last bit, and of the same type all the way down."""
    if isinstance(theirs, dict):
        keys = list(theirs) == list(ours) if ordered else theirs.keys() == ours.keys()
        return keys and all(same(v, ours[k], ordered) for k, v in theirs.items())
    if isinstance(theirs, list | tuple):
        return len(theirs) == len(ours) and all(same(a, b, ordered) for a, b in zip(theirs, ours, strict=True))
    if isinstance(theirs, np.ndarray):
        return theirs.dtype == ours.dtype and np.array_equal(theirs, ours)
    return type(theirs) is type(ours) and theirs == ours


class Pair(NamedTuple):
    """One of the packages' interfaces, and ours over a table of the same records."""

    theirs: Any
    ours: Any


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What has been warned of, empty for each test."""
    kinds: set[str] = set()
    monkeypatch.setattr(refusals, "_warned", kinds)
    return kinds


@pytest.fixture(scope="session")
def strings(shared_data: Path) -> list[str]:
    """`meta_archs`, read by Python's own unpickler: our own data beside the checkout."""
    meta = pickle.loads(bz2.decompress((shared_data / "nats-tss-sample" / "meta.pickle.pbz2").read_bytes()))
    return list(meta["meta_archs"])


@pytest.fixture(scope="session")
def real(shared_data: Path) -> Records:
    folder = shared_data / "nats-tss-sample"
    return {n: pickle.loads(bz2.decompress((folder / f"{n:06d}.pickle.pbz2").read_bytes())) for n in (0, 11, 284)}


@pytest.fixture(scope="session")
def synthetic(strings: list[str]) -> Records:
    """Cells written after darts-pt.md 2.4, each odd in another way (see `_odd`)."""
    draw = random.Random(5)
    cells: Records = {}
    for odd, index in enumerate((3, 7, 500, 1462, 9930, 15624)):
        seeds = {"12": [111], "200": [777, 888, 999][: 1 + odd % 3]}
        cells[index] = OrderedDict((hp, _record(draw, index, strings[index], hp, seeds[hp])) for hp in ("12", "200"))
        _odd(odd, cells[index], draw)
    return cells


def _record(
    draw: random.Random, index: int, text: str, hp: str, seeds: list[int], sized: bool = False
) -> dict[str, Any]:
    sets = {"cifar10-valid": ["x-valid", "ori-test"], "cifar10": ["ori-test"]}
    sets.update({name: ["ori-test", "x-valid", "x-test"] for name in ("cifar100", "ImageNet16-120")})
    trials = {}
    for name in sets:
        for seed in reversed(seeds):  # not in order, as in the real files
            trials[name, seed] = _trial(draw, name, sets[name], text, seed, int(hp), sized)
    return {"arch_index": index, "arch_str": text, "all_results": trials,
            "dataset_seed": {name: sorted(seeds) for name in sets}, "clear_net_done": True}  # fmt: skip


def _trial(
    draw: random.Random, name: str, sets: list[str], text: str, seed: int, epochs: int, sized: bool = False
) -> dict[str, Any]:
    def each() -> dict[int, float]:
        return {i: draw.uniform(0, 100) for i in range(epochs)}

    dense = "x-valid" if name == "cifar10-valid" else "ori-test"
    keys = [f"{s}@{i}" for s in sets for i in range(epochs) if sized or epochs == 12 or s == dense or i == epochs - 1]
    pace = {s: draw.uniform(0.1, 9) for s in sets}
    classes = {"cifar100": 100, "ImageNet16-120": 120}.get(name, 10)
    return {
        "name": name,
        "net_state_dict": None,
        "train_acc1es": each(),
        "train_acc5es": each() if epochs == 12 else None,
        "train_losses": each(),
        "train_times": OrderedDict.fromkeys(range(epochs), draw.uniform(1, 50)),
        "arch_config": {"name": "infer.shape.tiny", "channels": text, "arch_str": text, "genotype": CELL}
        | {"class_num": classes}
        if sized
        else {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": classes},
        "params": draw.uniform(0.1, 1.5),
        "flop": draw.uniform(5, 200),
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [draw.uniform(0.01, 0.03)],
        "eval_names": sets,
        "eval_acc1es": {key: draw.uniform(0, 100) for key in keys},
        "eval_losses": {key: draw.uniform(0, 5) for key in keys},
        "eval_times": {f"{s}@{i}": pace[s] for s in sets for i in range(epochs)},
    }


def _odd(kind: int, cell: dict[str, Any], draw: random.Random) -> None:
    """Makes a cell odd: 1 times that vary, 2 no times and no latency, 3 fewer data sets and no costs that seeds agree
    on, 4 whole numbers and several latencies, 5 evaluation times missing for a set, scores missing in the middle."""
    for record in cell.values():
        for (name, _), trial in record["all_results"].items():
            if kind == 1:
                trial["train_times"] = OrderedDict((i, draw.uniform(1, 50)) for i in range(trial["epochs"]))
                trial["eval_times"] = {key: draw.uniform(0, 1) for key in trial["eval_times"]}
            elif kind == 2:
                trial["train_times"], trial["latency"], trial["eval_times"] = None, None, {}
            elif kind == 4:
                trial["train_acc1es"] = {i: int(v) for i, v in trial["train_acc1es"].items()}
                trial["latency"] = [draw.uniform(0.01, 0.03) for _ in range(3)]
                trial["params"] = 0.1 + 0.2  # the same for all seeds, as costs should be
            elif kind == 5 and name in ("cifar100", "ImageNet16-120"):
                trial["eval_times"] = {k: v for k, v in trial["eval_times"].items() if not k.startswith("x-test")}
                for field in ("eval_acc1es", "eval_losses"):
                    trial[field].pop("ori-test@5")
    if kind == 3:
        less = cell["12"]
        less["all_results"] = {k: v for k, v in less["all_results"].items() if k[0] == "cifar10-valid"}
        less["dataset_seed"] = {"cifar10-valid": less["dataset_seed"]["cifar10-valid"]}


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Table]]:
    """`imported(name, *paths)`: a table imported into a home of its own."""
    with pytest.MonkeyPatch.context() as patch:

        def run(name: str, *paths: Path) -> Table:
            patch.setenv("BENCHBED_HOME", str(tmp_path_factory.mktemp("home")))
            return import_table(paths, name)

        yield run


def monolith(strings: list[str], cells: Records) -> dict[str, Any]:
    """NATS-Bench's single file."""
    return {"meta_archs": strings, "total_archs": len(strings), "arch2infos": cells, "evaluated_indexes": set(cells)}


def official(strings: list[str], cells: Records) -> dict[str, Any]:
    """NAS-Bench-201's file."""
    infos = {n: {"less": cell["12"], "full": cell["200"]} for n, cell in cells.items()}
    return {**monolith(strings, cells), "arch2infos": infos, "evaluated_indexes": sorted(cells)}


@pytest.fixture(scope="session")
def nats_table(imported: Any, shared_data: Path) -> Table:
    """Of the three real cells, from their folder."""
    return imported("nats", shared_data / "nats-tss-sample")


@pytest.fixture(scope="session")
def pth_table(
    imported: Any, strings: list[str], synthetic: Records, real: Records, tmp_path_factory: pytest.TempPathFactory
) -> Table:
    """Of the real and the synthetic cells, from a .pth file."""
    file = tmp_path_factory.mktemp("pth") / "own.pth"
    torch.save(official(strings, {**synthetic, **real}), file)
    return imported("pth", file)


@pytest.fixture(scope="session")
def mono_table(
    imported: Any, strings: list[str], synthetic: Records, real: Records, tmp_path_factory: pytest.TempPathFactory
) -> Table:
    """Of the real and the synthetic cells, from NATS-Bench's single file."""
    file = tmp_path_factory.mktemp("mono") / "own.pickle.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(monolith(strings, {**synthetic, **real}), protocol=4)))
    return imported("mono", file)


@pytest.fixture(scope="session")
def csv_table(imported: Any, shared_data: Path) -> Table:
    """All cells, means over seeds alone: the merged public export."""
    return imported("csv", shared_data / "nb201" / "table.csv", shared_data / "nb201" / "per_seed_200.npz")


@pytest.fixture(scope="session")
def nas201(pth_table: Table, strings: list[str], synthetic: Records, real: Records) -> Pair:
    from nas_201_api import NASBench201API as Theirs

    theirs = Theirs(copy.deepcopy(official(strings, {**synthetic, **real})), verbose=False)
    return Pair(theirs, NASBench201API(pth_table, verbose=False))


@pytest.fixture(scope="session")
def nats(mono_table: Table, strings: list[str], synthetic: Records, real: Records) -> Pair:
    from nats_bench import create

    theirs = create(monolith(strings, {**synthetic, **real}), "tss", fast_mode=False, verbose=False)
    return Pair(theirs, NATStopology(mono_table, verbose=False))


@pytest.fixture(scope="session")
def nats_fast(nats_table: Table, shared_data: Path) -> Pair:
    from nats_bench import create

    with warnings.catch_warnings():
        theirs = create(str(shared_data / "nats-tss-sample"), "tss", fast_mode=True, verbose=False)
    return Pair(theirs, NATStopology(nats_table, fast_mode=True, verbose=False))


@pytest.fixture(scope="session")
def regular(
    imported: Any, strings: list[str], synthetic: Records, real: Records, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Records, Table]:
    """The cells whose records lack nothing, and a table of them."""
    cells = {**{n: cell for n, cell in synthetic.items() if n not in (1462, 15624)}, **real}
    file = tmp_path_factory.mktemp("regular") / "own.pickle.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(monolith(strings, cells), protocol=4)))
    return cells, imported("regular", file)


@pytest.fixture(scope="session")
def regular_nas201(regular: tuple[Records, Table], strings: list[str]) -> Pair:
    from nas_201_api import NASBench201API as Theirs

    theirs = Theirs(copy.deepcopy(official(strings, regular[0])), verbose=False)
    return Pair(theirs, NASBench201API(regular[1], verbose=False))


@pytest.fixture(scope="session")
def regular_nats(regular: tuple[Records, Table], strings: list[str]) -> Pair:
    from nats_bench import create

    theirs = create(monolith(strings, regular[0]), "tss", fast_mode=False, verbose=False)
    return Pair(theirs, NATStopology(regular[1], verbose=False))


# -- NATS-Bench's size space -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def size_records() -> Records:
    """Networks in the form of NATS-sss-v1_0-50262-simple: one seed of 1 and 90 epochs, three of 12."""
    draw, strings = random.Random(7), all_strings()
    seeds = {"01": [777], "12": [777, 888, 999], "90": [777]}
    return {
        n: OrderedDict((hp, _record(draw, n, strings[n], hp, seeds[hp], sized=True)) for hp in seeds)
        for n in (0, 284, 32767)
    }


@pytest.fixture(scope="session")
def size_table(imported: Any, size_records: Records, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Of those networks, from the single file."""
    file = tmp_path_factory.mktemp("sizes") / "NATS-sss-own.pickle.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(monolith(all_strings(), size_records), protocol=4)))
    return imported("sizes", file)


@pytest.fixture(scope="session")
def nats_size(size_table: Table, size_records: Records) -> Pair:
    from nats_bench import create

    theirs = create(monolith(all_strings(), size_records), "sss", fast_mode=False, verbose=False)
    return Pair(theirs, NATSsize(size_table, verbose=False))


@pytest.fixture(scope="session")
def nats_size_sample(imported: Any) -> Pair:
    """Over the official sample of the size space, in fast mode."""
    from nats_bench import create

    folder = clone("NATS-Bench") / "fake_torch_dir" / "NATS-sss-v1_0-50262-simple"
    theirs = create(str(folder), "sss", fast_mode=True, verbose=False)
    return Pair(theirs, NATSsize(imported("nats-sss", folder), fast_mode=True, verbose=False))


