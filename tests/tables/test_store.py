"""The file: names and places, atomic writing, damage, and a table of another space than NAS-Bench-201."""

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.runtime.files import write_atomic
from benchbed.spaces.nb201.space import all_architectures
from benchbed.tables import Table, store
from benchbed.tables.importing import import_table, recognise
from benchbed.tables.show import facts
from benchbed.tables.show import text as shown

LINE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A CSV file of one cell."""
    file = tmp_path / "own.csv"
    file.write_text(f"arch,cifar10_test_200\n{LINE},10\n")
    return file


def test_tables_live_in_benchbed_home_or_where_the_platform_keeps_user_data(
    home: Path, tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_table([own], "a.b-c_1", partial=True)
    assert [p.name for p in home.iterdir()] == ["a.b-c_1.npz"]
    assert store.names() == ["a.b-c_1"]
    monkeypatch.delenv("BENCHBED_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "xdg"))
    assert store.names() == []
    assert tmp_path / "xdg" in store.home().parents
    with pytest.raises(BenchbedError, match="unknown table 'a': none is imported; 'table fetch nb201' downloads one"):
        Table.open("a")


def test_a_table_is_opened_by_name_or_by_path(home: Path, own: Path) -> None:
    first = import_table([own], "mine", partial=True)
    for text in (home / "mine.npz", str(home / "mine.npz"), "mine"):
        table = Table.open(text)
        assert (table.name, table.fingerprint) == ("mine", first.fingerprint)
    with pytest.raises(BenchbedError, match="unknown table 'mien': did you mean 'mine'"):
        Table.open("mien")
    with pytest.raises(BenchbedError, match=r"cannot read nowhere.npz: No such file"):
        Table.open("nowhere.npz")
    with pytest.raises(BenchbedError, match=r"cannot read .*: Is a directory"):
        Table.open(home)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x.npz", "-x", "é"])
def test_a_name_that_is_no_files_is_refused(own: Path, home: Path, name: str) -> None:
    with pytest.raises(BenchbedError, match=r"table name .*: expected letters, digits"):
        import_table([own], name, partial=True)
    assert not home.exists()


def test_a_taken_name_needs_force(own: Path, home: Path) -> None:
    import_table([own], "t", partial=True)
    before = (home / "t.npz").read_bytes()
    own.write_text(f"arch,cifar10_test_200\n{LINE},11\n")
    with pytest.raises(BenchbedError, match=r"a table named 't' is there already: .* --force"):
        import_table([own], "t", partial=True)
    assert (home / "t.npz").read_bytes() == before
    earlier = Table.open("t")
    assert import_table([own], "t", partial=True, force=True).query(LINE, "cifar10", "test", 200) == 11
    assert earlier.query(LINE, "cifar10", "test", 200) == 10  # one that is open keeps its file


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_disk_that_fills_up_leaves_the_old_table_and_nothing_else(
    own: Path, home: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    import_table([own], "t", partial=True)
    before = (home / "t.npz").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, full)
    with pytest.raises(BenchbedError, match=r"cannot write .*t.npz: No space left on device"):
        import_table([own], "t", partial=True, force=True)
    assert [p.name for p in home.iterdir()] == ["t.npz"]
    assert (home / "t.npz").read_bytes() == before


def test_a_home_that_cannot_be_made_is_named(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "file"))
    with pytest.raises(BenchbedError, match=r"cannot make .*/file/tables: Not a directory"):
        import_table([own], "t", partial=True)


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_a_table_cut_off_is_refused(own: Path, home: Path, share: float) -> None:
    import_table([own], "t", partial=True)
    data = (home / "t.npz").read_bytes()
    (home / "t.npz").write_bytes(data[: int(share * len(data))])
    with pytest.raises(BenchbedError, match=r"t.npz is cut off or damaged .*: import its source again"):
        Table.open("t")


def test_a_flipped_byte_is_found_when_its_column_is_read(own: Path, home: Path) -> None:
    import_table([own], "t", partial=True)
    data = bytearray((home / "t.npz").read_bytes())
    with zipfile.ZipFile(home / "t.npz") as archive:
        member = archive.getinfo("accuracy/cifar10_test_200.npy")
    data[member.header_offset + 5000] ^= 1
    (home / "t.npz").write_bytes(data)
    with pytest.raises(BenchbedError, match=r"t.npz is cut off or damaged \(Bad CRC-32"):
        Table.open("t").query(LINE, "cifar10", "test", 200)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 3)), r"accuracy/cifar10_test_200 holds float64 \(3, 3\), expected numbers \(5, 5, 5, 5, 5, 5\)"),
        (np.full((5,) * 6, "x"), r"holds <U1"),
        (np.full((5,) * 6, np.nan), "holds no value"),
        (np.full((5,) * 6, 100.5), "holds 100.5, expected percentages from 0 to 100"),
        (np.full((5,) * 6, -1e-3), "holds -0.001, expected percentages"),
        (np.full((5,) * 6, np.inf), "holds an infinite value, expected finite ones"),
        (None, "it lacks accuracy/cifar10_test_200"),
    ],
)
def test_an_array_that_cannot_be_is_named(own: Path, home: Path, array: np.ndarray | None, said: str) -> None:
    import_table([own], "t", partial=True)
    there = store.Arrays(home / "t.npz")
    arrays = {name: there[name] for name in there if name != "accuracy/cifar10_test_200"}
    if array is not None:
        arrays["accuracy/cifar10_test_200"] = array
    store.write(home / "t.npz", there.meta(), arrays)
    for ask in (lambda t: t.query(LINE, "cifar10", "test", 200), facts):
        with pytest.raises(BenchbedError, match=f"table .*t(.npz)? is (cut off or )?damaged .*{said}"):
            ask(Table.open("t"))


def test_a_changed_value_under_an_old_fingerprint_is_told(own: Path, home: Path, sample: Table, tmp_path: Path) -> None:
    import_table([own], "t", partial=True)
    assert facts(Table.open("t"))["whole"]
    assert "warning" not in shown(Table.open("t"))
    there = store.Arrays(home / "t.npz")
    arrays = {name: there[name] for name in there}
    arrays["accuracy/cifar10_test_200"] = arrays["accuracy/cifar10_test_200"] + 5
    store.write(home / "t.npz", there.meta(), arrays)
    assert not facts(Table.open("t"))["whole"]
    assert "warning   the content does not have this fingerprint" in shown(Table.open("t"))
    assert sample.is_whole()  # with single trainings, which are read block by block


def test_a_name_of_three_hundred_letters_is_refused(own: Path, home: Path) -> None:
    with pytest.raises(BenchbedError, match="at most 100 letters"):
        import_table([own], "x" * 300, partial=True)
    with pytest.raises(BenchbedError, match="at most 100 letters"):
        Table.open("x" * 300)


def test_a_folder_among_the_tables_is_none_of_them(own: Path, home: Path) -> None:
    import_table([own], "t", partial=True)
    (home / "dir.npz").mkdir()
    assert store.names() == ["t"]


def test_words_that_can_name_nothing_are_refused(own: Path, home: Path, unchecked: None) -> None:
    import_table([own], "t", partial=True)
    table: Any = Table.open("t")
    for words in (("cifar10", "test", "200"), (None, "test", 200), (["cifar10"], "test", 200), ("cifar10", 1, 200)):
        with pytest.raises(BenchbedError, match="expected a"):
            table.query(LINE, *words)
    for cells in (5, None, 1.5):
        with pytest.raises(BenchbedError, match="expected an architecture"):
            table.query(cells, "cifar10", "test", 200)
    assert table.query(np.array([LINE, LINE]), "cifar10", "test", 200).shape == (2,)


def test_what_is_written_follows_a_link_and_spares_a_device(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_atomic(tmp_path / "link.csv", b"new")
    assert (tmp_path / "real.csv").read_bytes() == b"new"
    assert (tmp_path / "link.csv").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BenchbedError, match="pipe: something that is not a regular file is there"):
        write_atomic(tmp_path / "pipe", b"new")
    with pytest.raises(BenchbedError, match="pipe: it is a named pipe, expected a regular file"):
        recognise(tmp_path / "pipe")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["link.csv", "pipe", "real.csv"]


def test_foreign_arrays_are_no_table(home: Path, own: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(BenchbedError, match=r"other.npz is not a table of benchbed's"):
        Table.open(tmp_path / "other.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(BenchbedError, match=r"one.npy is cut off or damaged \(File is not a zip file\)"):
        Table.open(tmp_path / "one.npy")
    np.savez(tmp_path / "new.npz", meta=np.frombuffer(b'{"format": 2}', dtype=np.uint8))
    with pytest.raises(BenchbedError, match=r"new.npz is not of table format 1"):
        Table.open(tmp_path / "new.npz")
    np.savez(tmp_path / "bare.npz", meta=np.frombuffer(b'{"format": 1, "space": "nb201"}', dtype=np.uint8))
    with pytest.raises(BenchbedError, match=r"bare.npz is damaged \(its metadata has no 'fingerprint'\)"):
        Table.open(tmp_path / "bare.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(BenchbedError, match=r"text.npz is cut off or damaged"):
        Table.open(tmp_path / "text.npz")
    import_table([own], "t", partial=True)
    with pytest.raises(BenchbedError, match=r"is a table of benchbed's own: copy it to"):
        import_table([home / "t.npz"], "again")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a source of a table"),
        (b"hello", "is not a source of a table"),
        (bytes(range(256)), "is not a source of a table"),
        (b"PK\x03\x04 and no more", "is cut off or damaged"),
        (b"\x93NUMPY", "is not a source of a table"),
    ],
)
def test_foreign_files_are_no_source(tmp_path: Path, home: Path, content: bytes, said: str) -> None:
    (tmp_path / "thing").write_bytes(content)
    with pytest.raises(BenchbedError, match=f"thing {said}"):
        import_table([tmp_path / "thing"], "t")
    assert not home.exists()


def test_an_archive_of_other_things_and_a_missing_file_are_no_source(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat.png", b"")
    with pytest.raises(BenchbedError, match=r"photos.zip is a zip file that holds neither torch's nor numpy's data"):
        import_table([tmp_path / "photos.zip"], "t")
    with pytest.raises(BenchbedError, match=r"cannot read .*nothing.csv: No such file or directory"):
        import_table([tmp_path / "nothing.csv"], "t")


# -- fingerprints, strings, other spaces -------------------------------------------------------------------------------


def test_a_fingerprint_sees_names_types_shapes_and_every_bit() -> None:
    base = {"a": np.zeros(4), "b": np.ones(4)}
    others: list[dict[str, np.ndarray]] = [
        {"a": np.ones(4), "b": np.zeros(4)},
        {"a": np.zeros(4), "c": np.ones(4)},
        {"a": np.zeros((2, 2)), "b": np.ones(4)},
        {"a": np.zeros(4, np.int64), "b": np.ones(4)},
        {"a": np.array([0, 0, 0, -0.0]), "b": np.ones(4)},
    ]
    own = store.fingerprint("nb201", base)
    assert len(own) == 64
    assert store.fingerprint("nb201", dict(reversed(base.items()))) == own
    assert own not in {store.fingerprint("nb201", other) for other in others}
    assert store.fingerprint("other", base) != own


def test_strings_are_by_place(own: Path) -> None:
    table = import_table([own], "t", partial=True)
    assert table.strings == [cell.text for cell in all_architectures()]


def test_a_table_has_one_axis_a_position_of_whatever_space(tmp_path: Path) -> None:
    from benchbed import registry

    source = Path(__file__).resolve().parents[2] / "examples" / "chain.py"
    registry.add_file(source)
    try:
        space = registry.load("space", "chain")()
        shape = tuple(len(p.operations) for p in space.positions)
        values = np.arange(np.prod(shape), dtype=float).reshape(shape)
        meta = {"format": 1, "space": "chain", "fingerprint": "0" * 64, "seeds": {},
                "figures": [["cifar10", "test", 200]]}  # fmt: skip
        store.write(tmp_path / "chain.npz", meta, {"accuracy/cifar10_test_200": values})
        table = Table.open(tmp_path / "chain.npz")
        for seed in range(20):
            cell = space.random(np.random.default_rng(seed))
            assert table.query(cell.text, "cifar10", "test", 200) == values[cell.choices]
        assert table.query(
            np.stack(np.unravel_index(range(values.size), shape), -1), "cifar10", "test", 200
        ).tolist() == (list(range(values.size)))
        assert table.best("cifar10", "test", 200).architecture.text == table.strings[-1]
        with pytest.raises(BenchbedError, match="operation number"):
            table.query(np.array(shape), "cifar10", "test", 200)
    finally:
        registry._USER_FILES.pop("chain", None)
