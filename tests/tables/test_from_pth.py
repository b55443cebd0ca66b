"""Importing NAS-Bench-201's .pth: files written as darts-pt.md 2.4 says, read also by the package's own reader."""

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.tables import Table
from benchbed.tables.importing import import_table


def official(strings: list[str], cells: dict[int, Any]) -> dict[str, Any]:
    """The content of the file. NATS-Bench keeps the same records under '12' and '200'."""
    infos = {n: {"less": cell["12"], "full": cell["200"]} for n, cell in cells.items()}
    return {"meta_archs": strings, "total_archs": 15625, "arch2infos": infos, "evaluated_indexes": sorted(cells)}


@pytest.fixture
def content(meta_archs: list[str], nats_cells: dict[int, Any]) -> dict[str, Any]:
    return official(meta_archs, nats_cells)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_of_the_same_records_gives_the_same_table_as_nats(
    content: dict[str, Any], sample: Table, tmp_path: Path, zipped: bool
) -> None:
    file = tmp_path / "own.pth"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    table = import_table([file], "t")
    assert table.meta["sources"][0]["kind"] == "NAS-Bench-201 file"
    for figure in sample.figures:
        assert np.array_equal(table.seeds(*figure), sample.seeds(*figure), equal_nan=True)
        assert np.array_equal(table.values(*figure), sample.values(*figure), equal_nan=True)
        assert np.allclose(table.train_seconds(*figure), sample.train_seconds(*figure), rtol=1e-12, equal_nan=True)
    assert np.array_equal(table.order, sample.order)


def test_the_packages_own_reader_gives_the_same_means(content: dict[str, Any], tmp_path: Path) -> None:
    from nas_201_api import NASBench201API

    file = tmp_path / "own.pth"
    torch.save(content, file)
    table = import_table([file], "t")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = NASBench201API(content, verbose=False)
    for index in (0, 11, 284):
        cell = table.arch(index)
        for epochs in (12, 200):
            for dataset, theirs_name in (("cifar10", "cifar10-valid"), ("cifar100", "cifar100")):
                info = theirs.get_more_info(index, theirs_name, hp=str(epochs), is_random=False)
                assert table.query(cell, dataset, "valid", epochs) == info["valid-accuracy"]
                assert table.train_seconds(dataset, "valid", epochs)[cell.choices] == pytest.approx(
                    info["train-all-time"], rel=1e-12
                )
            for dataset, theirs_name in (("cifar10", "cifar10"), ("imagenet16-120", "ImageNet16-120")):
                info = theirs.get_more_info(index, theirs_name, hp=str(epochs), is_random=False)
                assert table.query(cell, dataset, "test", epochs) == info["test-accuracy"]
                assert table.cost("latency", dataset)[cell.choices] == pytest.approx(
                    theirs.get_latency(index, theirs_name, hp="200"), rel=1e-12
                )


def test_a_name_with_the_right_digits_passes_and_a_wrong_one_is_refused(
    content: dict[str, Any], tmp_path: Path, home: Path
) -> None:
    file = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(content, file)
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    with pytest.raises(BenchbedError, match=f"its MD5 ends in 096897, but it is {md5}: .* --no-verify"):
        import_table([file], "t")
    assert not home.exists()
    import_table([file], "t", verify=False)
    import_table([file.rename(tmp_path / f"NAS-Bench-201-v1_1-{md5[-6:]}.pth")], "right")


# -- hostile, damaged and foreign files --------------------------------------------------------------------------------


class Evil:
    """A pickle that makes a file when it is read without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_that_would_run_code_is_named_and_not_run(
    content: dict[str, Any], tmp_path: Path, home: Path, zipped: bool
) -> None:
    marker, file = tmp_path / "ran", tmp_path / "evil.pth"
    content["arch2infos"][284]["full"] = Evil(marker)
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    torch.load(file, weights_only=False)
    assert marker.exists()  # so it would run
    marker.unlink()
    with pytest.raises(BenchbedError, match=r"evil.pth holds [\w.]+, which no NAS-Bench-201 file does") as refused:
        import_table([file], "t")
    assert "\n" not in str(refused.value)
    assert not marker.exists()
    assert not home.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_file_cut_off_is_refused(
    content: dict[str, Any], tmp_path: Path, home: Path, share: float, zipped: bool
) -> None:
    file = tmp_path / "own.pth"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BenchbedError, match=r"own.pth is (cut off or )?damaged"):
        import_table([file], "t")
    assert not home.exists()


def test_a_flipped_byte_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save(content, file)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(BenchbedError, match=r"own.pth is cut off or damaged"):
        import_table([file], "t")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("meta_archs"), "it holds no 'meta_archs'"),
        (lambda c: c.pop("evaluated_indexes"), "it holds no 'evaluated_indexes'"),
        (lambda c: c.update(meta_archs=c["meta_archs"][:5]), "expected 15,625 cells"),
        (lambda c: c.update(arch2infos={}), "expected 15,625 cells and their records"),
        (lambda c: c.update(arch2infos={15625: 1}), "cell index 15625"),
        (lambda c: c["arch2infos"][11].pop("full"), "own.pth cell 11 holds a record of unexpected form"),
        (lambda c: c["arch2infos"].update({11: c["arch2infos"][0]}), "cell 11 holds .* it is of |avg_pool"),
        (lambda c: c.update(meta_archs=[*c["meta_archs"][:-1], c["meta_archs"][0]]), "each of the 15,625 cells once"),
        (lambda c: c.update(meta_archs=[*c["meta_archs"][:-1], "|x~0|"]), "own.pth cell 15624: nb201 architecture"),
    ],
)
def test_content_of_another_form_is_refused(content: dict[str, Any], tmp_path: Path, change: Any, said: str) -> None:
    change(content)
    torch.save(content, tmp_path / "own.pth")
    with pytest.raises(BenchbedError, match=said):
        import_table([tmp_path / "own.pth"], "t")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(BenchbedError, match=r"net.pth is not a NAS-Bench-201 file: it holds no 'meta_archs'"):
        import_table([tmp_path / "net.pth"], "t")
