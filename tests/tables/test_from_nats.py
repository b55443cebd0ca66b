"""Importing NATS-Bench: the three real sample cells against Python's own unpickler, a monolith, and hostile files."""

import bz2
import copy
import hashlib
import pickle
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.tables import Table
from benchbed.tables.importing import import_table

SETS = [
    ("cifar10-valid", "x-valid", "cifar10", "valid"),
    ("cifar10", "ori-test", "cifar10", "test"),
    ("cifar100", "x-valid", "cifar100", "valid"),
    ("cifar100", "x-test", "cifar100", "test"),
    ("cifar100", "ori-test", "cifar100", "valid+test"),
    ("ImageNet16-120", "x-valid", "imagenet16-120", "valid"),
    ("ImageNet16-120", "x-test", "imagenet16-120", "test"),
    ("ImageNet16-120", "ori-test", "imagenet16-120", "valid+test"),
]


def save(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(bz2.compress(pickle.dumps(value, protocol=protocol)))
    return path


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of the sample folder, to be changed."""
    copied = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    copied.mkdir()
    for file in (shared_data / "nats-tss-sample").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    return copied


@pytest.mark.parametrize("epochs", [12, 200])
@pytest.mark.parametrize("names", SETS, ids=lambda n: f"{n[2]}-{n[3]}")
def test_every_seed_and_mean_is_the_records(
    sample: Table, nats_cells: dict[int, Any], names: tuple[str, ...], epochs: int
) -> None:
    theirs, evaluated, dataset, split = names
    seeds = sample.seed_names(dataset, split, epochs)
    for index, cell in nats_cells.items():
        trials = {s: t for (d, s), t in cell[str(epochs)]["all_results"].items() if d == theirs}
        wanted = {s: t["eval_acc1es"][f"{evaluated}@{epochs - 1}"] for s, t in sorted(trials.items())}
        at = sample.arch(index).choices
        row = sample.seeds(dataset, split, epochs)[at]
        assert {int(n): v for n, v in zip(seeds, row, strict=True) if np.isfinite(v)} == wanted
        assert sample.query(sample.arch(index), dataset, split, epochs) == np.mean(list(wanted.values()))
        times = [sum(t["train_times"].values()) for t in trials.values()]
        assert sample.train_seconds(dataset, split, epochs)[at] == pytest.approx(np.mean(times), rel=1e-12)
        latency = next(iter(trials.values()))["latency"]
        if theirs != "cifar10-valid":
            assert sample.cost("latency", dataset)[at] == pytest.approx(np.mean(latency), rel=1e-12)
        assert sample.cost("params", dataset)[at] == round(next(iter(trials.values()))["params"] * 1e6)
        assert sample.cost("flops", dataset)[at] == round(next(iter(trials.values()))["flop"] * 1e6)


def test_the_index_is_the_meta_files(sample: Table, meta_archs: list[str]) -> None:
    assert [sample.arch(i).text for i in range(15625)] == meta_archs


def test_a_partial_table_says_so(sample: Table) -> None:
    assert sample.meta["notes"] == ["nats-tss-sample: 3 of the 15,625 cells"]


def test_the_single_file_gives_the_same_table(
    sample: Table, nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path
) -> None:
    file = save(tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2", monolith(meta_archs, nats_cells))
    assert import_table([file], "one").fingerprint == sample.fingerprint


@pytest.mark.parametrize("protocol", [3, 5])
def test_pickles_of_other_protocols_are_read_too(
    sample: Table, nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path, protocol: int
) -> None:
    file = save(tmp_path / "own.pickle.pbz2", monolith(meta_archs, nats_cells), protocol)
    assert import_table([file], "one").fingerprint == sample.fingerprint


def test_a_file_name_without_leading_zeros_is_accepted_but_not_twice(sample: Table, folder: Path) -> None:
    (folder / "000011.pickle.pbz2").rename(folder / "11.pickle.pbz2")
    assert import_table([folder], "t").fingerprint == sample.fingerprint
    shutil.copy(folder / "11.pickle.pbz2", folder / "000011.pickle.pbz2")
    with pytest.raises(BenchbedError, match=r"holds cell 11 twice: 000011.pickle.pbz2, 11.pickle.pbz2"):
        import_table([folder], "two")


def test_seeds_that_were_not_run_stay_missing(
    nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path
) -> None:
    cells = {n: copy.deepcopy(cell) for n, cell in nats_cells.items()}
    del cells[11]["200"]["all_results"]["cifar10", 888]
    table = import_table([save(tmp_path / "own.pickle.pbz2", monolith(meta_archs, cells))], "t")
    answer = table.answer(meta_archs[11], "cifar10", "test", 200)
    assert answer.seeds == {"777": 91.79, "999": 91.2}
    assert answer.n_seeds == 2
    assert answer.mean == pytest.approx((91.79 + 91.2) / 2)


def monolith(strings: list[str], cells: dict[int, Any]) -> dict[str, Any]:
    """Section 2.4 of darts-pt.md."""
    return {"meta_archs": strings, "total_archs": 15625, "arch2infos": cells, "evaluated_indexes": set(cells)}


# -- hostile, damaged and foreign files --------------------------------------------------------------------------------


class Evil:
    """A pickle that makes a file when it is read without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_would_run_code_is_named_and_not_run(
    folder: Path, home: Path, tmp_path: Path, protocol: int
) -> None:
    marker = tmp_path / "ran"
    save(folder / "000284.pickle.pbz2", {"12": Evil(marker)}, protocol)
    pickle.loads(pickle.dumps(Evil(marker), protocol))
    assert marker.exists()  # so it would run
    marker.unlink()
    with pytest.raises(
        BenchbedError, match=r"000284.pickle.pbz2 holds (pathlib|__builtin__|builtins)[.\w]+, which no NATS-"
    ):
        import_table([folder], "t")
    assert not marker.exists()
    assert not home.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.",
        b"\x80\x04\x8c\x0bcollections\x8c\x19OrderedDict.__init__.attr\x93.",
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x04K\x01Q.",  # a persistent id
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x01O\x85R.",
    ],
)  # fmt: skip
def test_other_names_and_tricks_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "000284.pickle.pbz2").write_bytes(bz2.compress(content))
    with pytest.raises(BenchbedError, match=r"000284.pickle.pbz2 (holds|is cut off or damaged)"):
        import_table([folder], "t")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [10, 1000, 80000])
def test_a_file_cut_off_is_refused(folder: Path, home: Path, keep: int) -> None:
    file = folder / "000011.pickle.pbz2"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BenchbedError, match=r"000011.pickle.pbz2 is cut off or damaged"):
        import_table([folder], "t")
    assert not home.exists()


@pytest.mark.parametrize("at", [4, 500, 40000])
def test_a_flipped_byte_is_refused(folder: Path, at: int) -> None:
    file = folder / "000011.pickle.pbz2"
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(BenchbedError, match=r"000011.pickle.pbz2 is cut off or damaged"):
        import_table([folder], "t")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("200"), "KeyError: '200'"),
        (lambda c: c["200"].update(arch_str="|none~0|"), "it is of |none~0|"),
        (lambda c: c["200"]["all_results"]["cifar10", 777].pop("eval_acc1es"), "KeyError: 'eval_acc1es'"),
        (lambda c: c["200"]["all_results"]["cifar10", 777].update(epochs=90), "90 epochs under 200"),
        (lambda c: c["200"]["all_results"].update({("svhn", 1): c["200"]["all_results"]["cifar10", 777]}), "'svhn'"),
        (lambda c: c["200"].update(all_results=[1]), "AttributeError"),
        (
            lambda c: c["200"]["all_results"]["cifar10", 777]["eval_acc1es"].update({"ori-test@199": float("nan")}),
            "NaN accuracy of cifar10, ori-test, seed 777",
        ),
        (lambda c: c["200"]["all_results"]["cifar10", 777]["eval_acc1es"].update({"ori-test@199": 120.0}), "holds 120"),
    ],
)
def test_a_record_of_another_form_is_refused_by_name(
    folder: Path, nats_cells: dict[int, Any], change: Any, said: str
) -> None:
    cell = OrderedDict(copy.deepcopy(nats_cells[11]))
    change(cell)
    save(folder / "000011.pickle.pbz2", cell)
    with pytest.raises(BenchbedError) as refused:
        import_table([folder], "t")
    assert said in str(refused.value)
    assert str(folder.name) in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"meta_archs": ["|none~0|"]}, "is not a NATS-Bench file: it holds no list of the 15,625"),
        ([1, 2], "is not a NATS-Bench file: it holds no list of the 15,625"),
        (None, "holds no cells: expected them under arch2infos"),
    ],
)
def test_a_foreign_single_file_is_refused(tmp_path: Path, meta_archs: list[str], content: Any, said: str) -> None:
    file = save(tmp_path / "own.pickle.pbz2", content or monolith(meta_archs, {}))
    with pytest.raises(BenchbedError, match=said):
        import_table([file], "t")


def test_foreign_folders_are_refused(shared_data: Path, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BenchbedError, match=r"is not a NATS-Bench folder \(it holds no meta.pickle.pbz2\)"):
        import_table([shared_data / "nb201"], "t")
    for file in folder.glob("0*"):
        file.unlink()
    with pytest.raises(BenchbedError, match=r"holds no cells: expected files such as 000284.pickle.pbz2"):
        import_table([folder], "t")


def test_six_digits_in_the_name_are_the_last_of_the_md5(
    nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path, home: Path
) -> None:
    file = save(tmp_path / "NATS-tss-v1_0-000000.pickle.pbz2", monolith(meta_archs, nats_cells))
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    with pytest.raises(BenchbedError, match=f"its MD5 ends in 000000, but it is {md5}: .* --no-verify"):
        import_table([file], "t")
    assert not home.exists()
    table = import_table([file], "t", verify=False)
    right = file.rename(tmp_path / f"NATS-tss-v1_0-{md5[-6:]}.pickle.pbz2")
    assert import_table([right], "right").fingerprint == table.fingerprint
