"""Single trainings in a table: exactly the official records, a cell at a time, covered by fingerprint and checksums."""

import bz2
import copy
import os
import pickle
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.tables import Table, store, trials
from benchbed.tables.importing import import_table

TRAIN = ("train_acc1es", "train_acc5es", "train_losses", "train_times")
EVAL = ("eval_acc1es", "eval_losses", "eval_times")


def exact(theirs: Any, ours: Any) -> bool:
    """Equal, and of the same types: a float and numpy's float64 are told apart."""
    if isinstance(theirs, dict):
        return theirs.keys() == ours.keys() and all(exact(theirs[k], ours[k]) for k in theirs)
    if isinstance(theirs, list):
        return len(theirs) == len(ours) and all(map(exact, theirs, ours))
    return type(theirs) is type(ours) and (theirs == ours or (theirs != theirs and ours != ours))


def compare(table: Table, index: int, cell: dict[str, Any]) -> None:
    """Every number of a cell's records against the table's."""
    assert table.trials is not None
    architecture = table.arch(index)
    found = table.trials.cell(table.place(architecture), index, architecture.text)
    assert list(found) == list(cell)
    for hp, record in cell.items():
        own = found[hp]
        assert (own.arch_index, own.text) == (record["arch_index"], record["arch_str"])
        assert (own.cleared, own.seeds) == (record["clear_net_done"], record["dataset_seed"])
        assert list(own.trials) == list(record["all_results"])
        for key, state in record["all_results"].items():
            trial = own.trials[key]
            for field in TRAIN:
                assert exact(state[field], trial.by_epoch(field)), field
            for field in EVAL:
                assert exact(state[field], trial.by_set(field)), field
            assert exact(state["latency"], trial.latency())
            assert exact(state["params"], trial.scalar("params"))
            assert exact(state["flop"], trial.scalar("flop"))
            assert trial.config() == state["arch_config"]
            for name in ("name", "seed", "epochs", "eval_names"):
                assert getattr(trial.layout, name) == state[name]
            number_by_number(trial, state)


def number_by_number(trial: trials.Trial, state: dict[str, Any]) -> None:
    for epoch, value in state["train_losses"].items():
        assert exact(value, trial.number("train_losses", None, epoch))
    for key, value in state["eval_losses"].items():
        name, _, epoch = key.partition("@")
        assert exact(value, trial.number("eval_losses", name, int(epoch)))
    for field, name, epoch in (("train_losses", None, state["epochs"]), ("train_losses", None, -1),
                               ("eval_losses", "nothing", 0)):  # fmt: skip
        with pytest.raises(KeyError):
            trial.number(field, name, epoch)


def save(folder: Path, strings: list[str], cells: dict[int, Any], name: str = "own.pickle.pbz2") -> Path:
    content = {"meta_archs": strings, "total_archs": 15625, "arch2infos": cells, "evaluated_indexes": set(cells)}
    (folder / name).write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))
    return folder / name


@pytest.fixture
def odd(nats_cells: dict[int, Any]) -> dict[int, Any]:
    """The three real cells with what no real record has, but a file may: see each line."""
    cells = {n: copy.deepcopy(cell) for n, cell in nats_cells.items()}
    states = cells[11]["200"]["all_results"]
    one, two, three = states["cifar100", 777], states["cifar10", 888], states["cifar10-valid", 999]
    one["train_times"] = {i: 1.0 + i / 7 for i in range(200)}  # seconds that vary
    one["eval_times"]["x-test@3"] += 1e-9
    one["latency"] = [0.1, np.float64(0.2), 0.3]  # measured three times
    one["train_acc1es"][7] = 50  # a whole number
    one["train_losses"][8] = float("nan")
    del one["eval_acc1es"]["ori-test@5"], one["eval_times"]["ori-test@100"]  # gaps
    two["train_times"] = two["latency"] = None
    two["eval_times"] = {}
    two["params"] = 1
    two["train_acc5es"] = {}
    three["arch_config"]["arch_str"] = "another"
    three["train_losses"] = dict(reversed(three["train_losses"].items()))
    three["train_times"] = dict.fromkeys(range(200), 0.0)
    cells[11]["200"]["arch_index"] = 12
    cells[11]["200"]["clear_net_done"] = False
    cells[0]["12"]["dataset_seed"]["cifar10-valid"] = [777, 111]
    return cells


def test_every_number_of_the_real_cells_is_kept(sample: Table, nats_cells: dict[int, Any]) -> None:
    for index, cell in nats_cells.items():
        compare(sample, index, cell)


def test_every_number_of_odd_records_is_kept(odd: dict[int, Any], meta_archs: list[str], tmp_path: Path) -> None:
    table = import_table([save(tmp_path, meta_archs, odd)], "odd")
    for index, cell in odd.items():
        compare(table, index, cell)


def test_a_pth_file_gives_the_same_numbers(odd: dict[int, Any], meta_archs: list[str], tmp_path: Path) -> None:
    state = odd[0]["200"]["all_results"]["cifar10", 777]  # numpy's other numbers, which the restricted reading admits
    state["flop"], state["train_acc1es"][3] = np.float32(1.5), np.int64(7)
    state["arch_config"]["channel"], state["eval_losses"]["ori-test@9"] = np.int64(16), np.int32(2)
    infos = {n: {"less": cell["12"], "full": cell["200"]} for n, cell in odd.items()}
    content = {"meta_archs": meta_archs, "arch2infos": infos, "evaluated_indexes": sorted(odd)}
    torch.save(content, tmp_path / "own.pth")
    table = import_table([tmp_path / "own.pth"], "odd")
    for index, cell in odd.items():
        compare(table, index, cell)


def test_cells_that_the_source_lacks_have_nothing(sample: Table) -> None:
    assert sample.trials is not None
    assert sorted(sample.index(sample.strings[place]) for place in sample.trials.places) == [0, 11, 284]
    assert sample.trials.cell(sample.place(sample.arch(1)), 1, "") == {}


def test_tables_without_single_trainings_say_so(full: Table, upstream: Table) -> None:
    assert full.trials is None
    assert upstream.trials is None


def test_a_table_imported_before_there_were_trainings_still_opens(sample: Table, tmp_path: Path) -> None:
    arrays = {name: sample._array(name) for name in sample.arrays if not name.startswith("trials/")}
    store.write(tmp_path / "old.npz", sample.meta, arrays)
    old = Table.open(tmp_path / "old.npz")
    assert old.trials is None
    assert old.query(old.arch(11), "cifar10", "test", 200) == sample.query(sample.arch(11), "cifar10", "test", 200)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_reading_a_cell_touches_its_own_bytes_alone(
    sample: Table, nats_cells: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = sample._arrays
    assert isinstance(arrays, store.Arrays)
    table = Table.open(arrays.path)
    assert table.trials is not None
    numbers = table.trials.index[:, 2].clip(0).sum()
    with zipfile.ZipFile(arrays.path) as archive:
        member = archive.getinfo("trials/values.npy")
    read: list[tuple[int, int]] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append((n, at)) or pread(fd, n, at))
    whole: list[str] = []
    get = store.Arrays.__getitem__
    monkeypatch.setattr(store.Arrays, "__getitem__", lambda self, name: whole.append(name) or get(self, name))
    for index in (11, 0):
        table.trials.cell(table.place(table.arch(index)), index, "")
    large = [entry for entry in read if entry[0] > 30]
    assert len(large) == 2
    assert all(member.header_offset < at < member.header_offset + member.file_size for _, at in large)
    assert sum(n for n, _ in large) < 8 * numbers
    assert "trials/values" not in whole


def test_members_are_stored_without_pickle_and_numpy_reads_them(sample: Table, nats_cells: dict[int, Any]) -> None:
    arrays = sample._arrays
    assert isinstance(arrays, store.Arrays)
    with zipfile.ZipFile(arrays.path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    with np.load(arrays.path, allow_pickle=False) as file:
        values = file["trials/values"]
    assert values.dtype == np.float64
    assert np.array_equal(arrays.part("trials/values", 100, 50), values[100:150])
    assert np.array_equal(arrays.part("trials/values", 0, len(values)), values)
    for first, count in ((-1, 2), (len(values) - 1, 2)):
        with pytest.raises(BenchbedError, match=r"cut off or damaged \(trials/values ends at"):
            arrays.part("trials/values", first, count)
    with pytest.raises(KeyError):
        arrays.part("nothing", 0, 1)


def test_seconds_that_are_always_the_same_stand_once(sample: Table, nats_cells: dict[int, Any]) -> None:
    """Numbers a trial of 200 epochs on cifar10 has: losses and accuracies of training and test, and five more."""
    assert sample.trials is not None
    cell = sample.trials.cell(sample.place(sample.arch(11)), 11, "")
    assert cell["200"].trials["cifar10", 777].layout.size == 4 * 200 + len(
        ("params", "flop", "latency", "train seconds", "test seconds")
    )


def test_the_fingerprint_sees_every_number(
    sample: Table, nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path
) -> None:
    same = import_table([save(tmp_path, meta_archs, nats_cells)], "same")
    assert same.fingerprint == sample.fingerprint
    changes: list[Any] = [
        lambda state: state["train_losses"].update({57: state["train_losses"][57] + 1e-12}),
        lambda state: state["eval_times"].update({"x-valid@8": 1.0}),
        lambda state: state.update(train_times=None),
        lambda state: state.update(flop=np.float64(state["flop"])),  # another type of the same number
        lambda state: state["arch_config"].update(channel=17),
    ]
    for i, change in enumerate(changes):
        cells = {n: copy.deepcopy(cell) for n, cell in nats_cells.items()}
        change(cells[11]["200"]["all_results"]["cifar100", 777])
        table = import_table([save(tmp_path, meta_archs, cells)], f"changed{i}")
        assert table.fingerprint != sample.fingerprint, i


@pytest.mark.parametrize("at", [0, 5000, -1])
def test_a_flipped_byte_among_the_numbers_is_found_when_its_cell_is_read(
    sample: Table, tmp_path: Path, at: int
) -> None:
    arrays = sample._arrays
    assert isinstance(arrays, store.Arrays)
    assert sample.trials is not None
    place = sample.place(sample.arch(11))
    first, count = sample.trials.index[place, 1:3].tolist()
    data = bytearray(arrays.path.read_bytes())
    begin = data.index(arrays.part("trials/values", first, count).tobytes())
    data[begin + (at if at >= 0 else 8 * count - 1)] ^= 1
    (tmp_path / "bad.npz").write_bytes(data)
    bad = Table.open(tmp_path / "bad.npz")
    assert bad.trials is not None
    with pytest.raises(BenchbedError, match=r"bad.npz is cut off or damaged \(a cell's checksum") as refused:
        bad.trials.cell(place, 11, "")
    assert "\n" not in str(refused.value)
    assert bad.trials.cell(sample.place(sample.arch(284)), 284, "")["12"].seeds["cifar10"] == [111]  # another cell


def test_a_file_that_shrinks_while_it_is_open_is_refused(sample: Table, tmp_path: Path) -> None:
    arrays = sample._arrays
    assert isinstance(arrays, store.Arrays)
    shutil.copy(arrays.path, tmp_path / "t.npz")
    table = Table.open(tmp_path / "t.npz")
    assert table.trials is not None
    with zipfile.ZipFile(arrays.path) as archive:
        os.truncate(tmp_path / "t.npz", archive.getinfo("trials/values.npy").header_offset + 3000)
    with pytest.raises(BenchbedError, match=r"t.npz is cut off or damaged"):
        table.trials.cell(table.place(table.arch(284)), 284, "")


# -- the import --------------------------------------------------------------------------------------------------------


def test_an_import_keeps_its_numbers_in_a_file_beyond_a_size(
    shared_data: Path, sample: Table, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    spooled = tempfile.SpooledTemporaryFile

    def watched(*arguments: Any, **named: Any) -> Any:
        made.append(spooled(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", watched)
    monkeypatch.setattr(trials, "_IN_MEMORY", 50_000)
    monkeypatch.setattr(trials, "_BLOCK", 1000)
    table = import_table([shared_data / "nats-tss-sample"], "t")
    assert made[0]._rolled
    assert made[0].closed
    assert table.fingerprint == sample.fingerprint
    assert sorted(p.name for p in home.iterdir()) == ["t.npz"]


def test_a_disk_that_fills_up_during_an_import_leaves_nothing(
    shared_data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(tempfile.SpooledTemporaryFile):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(BenchbedError, match=r"cannot keep an import's numbers in .*: No space left on device"):
        import_table([shared_data / "nats-tss-sample"], "t")
    assert not home.exists()


def test_two_sources_of_single_trainings_do_not_mix(shared_data: Path, meta_archs: list[str], tmp_path: Path,
                                                    nats_cells: dict[int, Any], home: Path) -> None:  # fmt: skip
    file = save(tmp_path, meta_archs, {284: nats_cells[284]})
    with pytest.raises(BenchbedError, match=r"both nats-tss-sample and own.pickle.pbz2 hold single trainings"):
        import_table([shared_data / "nats-tss-sample", file], "t")
    assert not home.exists()


@pytest.mark.usefixtures("unchecked")  # which number the check of types looks at is chance
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["train_losses"].update({3: "low"}), "TypeError: a number of type str"),
        (lambda s: s["train_losses"].update({3: 1 << 60}), "TypeError: a whole number beyond"),
        (lambda s: s["train_losses"].update({"3": 1.0}), "TypeError: train_losses has an epoch"),
        (lambda s: s["eval_losses"].update({"x-valid@07": 1.0}), "ValueError: epoch '07'"),
        (lambda s: s["eval_losses"].update({"x-valid": 1.0}), "ValueError"),
        (lambda s: s.pop("latency"), "KeyError: 'latency'"),
        (lambda s: s["arch_config"].update(x={1, 2}), "TypeError"),
    ],
)
def test_numbers_that_a_table_cannot_hold_are_refused(
    nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path, home: Path, change: Any, said: str
) -> None:
    cell = copy.deepcopy(nats_cells[11])
    change(cell["200"]["all_results"]["cifar100", 777])
    with pytest.raises(BenchbedError, match=f"cell 11 holds a record of unexpected form .{said}"):
        import_table([save(tmp_path, meta_archs, {11: cell})], "t")
    assert not home.exists()


def test_what_is_not_kept_is_noted(nats_cells: dict[int, Any], meta_archs: list[str], tmp_path: Path) -> None:
    cell = copy.deepcopy(nats_cells[11])
    cell["200"]["all_results"]["cifar100", 777].update(net_state_dict={"w": 1.0}, hue="blue")
    table = import_table([save(tmp_path, meta_archs, {11: cell})], "t")
    assert "not kept of single trainings: hue, net_state_dict" in table.meta["notes"]
