"""What `benchmarks/first_gpu` carries to a lent machine comes out as it went in, and what does not fit is refused."""

import gzip
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "first_gpu"


@pytest.fixture
def parcel(first_gpu: SimpleNamespace) -> ModuleType:
    found: ModuleType = first_gpu.parcel
    return found


# -- images --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(shared_data: Path) -> bytes:
    """The first 200 images of the published first batch, in the published pickle's own words."""
    rest = gzip.decompress((shared_data / "cifar10" / "data_batch_1.rest.gz").read_bytes())
    cut = 4 + int.from_bytes(rest[:4], "big")
    mosaic = np.asarray(Image.open(shared_data / "cifar10" / "data_batch_1.webp").convert("RGB"))[:64]
    pixels = mosaic.reshape(2, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3).tobytes()
    assert rest[4:cut][-5:] == b"T" + (10_000 * 3072).to_bytes(4, "little")
    return rest[4:cut][:-4] + len(pixels).to_bytes(4, "little") + pixels + rest[cut:]


def test_real_images_come_out_bit_for_bit_at_the_other_end(
    first_gpu: SimpleNamespace, parcel: ModuleType, sample: bytes, tmp_path: Path
) -> None:
    """Packed, cut into calls, received one after the other, restored."""
    files = {}
    for kind, data in first_gpu.images.packed(sample, quality=20).items():
        files[f"images/data_batch_1.{kind}"] = tmp_path / kind
        (tmp_path / kind).write_bytes(data)
    assert sum(path.stat().st_size for path in files.values()) < 0.7 * len(sample)
    parts = parcel.cut(files, tmp_path / "parts", 200_000, 5)
    assert len(parts) > 1
    assert all(sum(p.stat().st_size for p in part.iterdir()) <= 200_000 for part in parts)
    with pytest.raises(SystemExit, match="did not come: carry the next part"):
        first_gpu.images.place(tmp_path / "store", stand_in=True)
    come = [len(parcel.receive(part, tmp_path / "store")) for part in parts]
    assert (come[0], come[-1]) == (0, 2)
    said = first_gpu.images.place(tmp_path / "store", stand_in=True)
    assert said.endswith("1 of 5 batches have come")
    for name in first_gpu.images.NAMES:
        assert (tmp_path / "store" / "stand-in" / first_gpu.images.FOLDER / name).read_bytes() == sample
    with pytest.raises(SystemExit, match="data_batch_2, data_batch_3, data_batch_4, data_batch_5 did not come"):
        first_gpu.images.place(tmp_path / "store", stand_in=False)


@pytest.mark.parametrize("count", [1, 3, 7, 16])
def test_any_number_of_images_is_packed(first_gpu: SimpleNamespace, count: int) -> None:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3072), dtype=np.uint8).tobytes()
    for batch in (b"before" + b"B" + len(pixels).to_bytes(4, "little") + pixels + b"after",):
        assert first_gpu.images.restored(**first_gpu.images.packed(batch, quality=0)) == batch


def test_a_file_without_images_is_refused(first_gpu: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"^no images of 3x32x32 bytes"):
        first_gpu.images.packed(b"T" * 9999)


def test_a_batch_that_is_not_the_published_one_is_not_packed(first_gpu: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"another")
    with pytest.raises(first_gpu.parcel.Refused, match=r"data_batch_1 is not the published file: its MD5 is not c99c"):
        first_gpu.collect.mosaics(tmp_path, tmp_path / "images", {"data_batch_1": "c99c"})


# -- parts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    found = {}
    for name, length in (("a", 5000), ("deep/b", 1), ("c", 20_000), ("empty", 0)):
        found[name] = tmp_path / name.replace("/", "-")
        found[name].write_bytes(rng.bytes(length))
    return found


def test_what_does_not_fit_is_refused_with_nothing_written(
    parcel: ModuleType, files: dict[str, Path], tmp_path: Path
) -> None:
    for room, said in ((10_000, r"8,\d{3}"), (100, "0")):
        line = rf"^25,001 bytes in 4 files do not fit into 2 call\(s\) with room for {said} bytes$"
        with pytest.raises(parcel.Refused, match=line):
            parcel.cut(files, tmp_path / "parts", room, 2)
    assert not (tmp_path / "parts").exists()


def test_parts_come_once_and_in_their_order_or_are_refused(
    parcel: ModuleType, files: dict[str, Path], tmp_path: Path
) -> None:
    parts = parcel.cut(files, tmp_path / "parts", 10_000, 5)
    assert len(parts) > 2
    store = tmp_path / "store"
    with pytest.raises(parcel.Refused, match=r"is part 2, and the 1 before have not all come to"):
        parcel.receive(parts[1], store)
    assert parcel.receive(parts[0], store) == ["a", "deep/b"]
    assert parcel.receive(parts[0], store) == ["a", "deep/b"]
    damaged = bytearray((parts[1] / "chunk").read_bytes())
    damaged[7] ^= 1
    (parts[1] / "chunk").write_bytes(damaged)
    with pytest.raises(parcel.Refused, match=r"2 is damaged: the SHA-256 of its chunk is not that of its manifest"):
        parcel.receive(parts[1], store)
    damaged[7] ^= 1
    (parts[1] / "chunk").write_bytes(damaged)
    with open(store / "stream", "ab") as file:
        file.write(damaged[:100])  # of a call that was killed
    for part in parts[1:]:
        come = parcel.receive(part, store)
    assert come == list(files)
    assert {name: (store / name).read_bytes() for name in files} == {n: p.read_bytes() for n, p in files.items()}


# -- the archive ---------------------------------------------------------------------------------------------------


def test_an_archive_over_the_limit_is_refused_and_the_one_before_stays(
    parcel: ModuleType, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "state.zip"
    assert parcel.archive(out, {"a": files["a"]}, limit=10_000) == []
    before = out.read_bytes()
    with pytest.raises(parcel.Refused, match=r"^state\.zip would have 25,\d{3} bytes: 10,000 bytes come back$"):
        parcel.archive(out, files, limit=10_000)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_what_only_saves_time_is_left_out_where_there_is_no_room(
    parcel: ModuleType, files: dict[str, Path], tmp_path: Path
) -> None:
    assert parcel.archive(tmp_path / "state.zip", files, ["a", "c"], limit=10_000) == ["c"]
    with zipfile.ZipFile(tmp_path / "state.zip") as packed:
        assert packed.namelist() == ["a", "deep/b", "empty"]
    assert parcel.BACK == 16 * 2**20


# -- wheels --------------------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, needs: list[str]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        said = "".join(f"Requires-Dist: {need}\n" for need in needs)
        file.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{said}")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=2.11", "lacking", "scipy>=1.13", "optuna"]\n'
        '[project.optional-dependencies]\ntest = ["beartype", "ruff"]\n'
    )
    (tmp_path / "constraints.txt").write_text("# versions\nlacking==1.0\n")
    return tmp_path


def test_what_the_machine_lacks_is_carried_and_what_that_lacks(first_gpu: SimpleNamespace, project: Path) -> None:
    needs = {"lacking": ["numpy>=2", "inner; python_version < '3.13'", "old; python_version < '3.11'"],
             "inner": ["pandas", "only-windows; sys_platform == 'win32'", "more; extra == 'more'"],
             "optuna": ["sqlalchemy"], "sqlalchemy": [], "beartype": []}  # fmt: skip
    (project / "wheels").mkdir()
    (project / "wheels" / "left-0.9-py3-none-any.whl").touch()

    def get(need: Requirement, folder: Path, pinned: dict[str, str]) -> Path:
        assert pinned == {"lacking": "1.0"}
        return wheel(folder, need.name, needs[need.name])

    carried, trusted = first_gpu.wheels.collect(project / "wheels", root=project, get=get)
    assert [path.name.split("-")[0] for path in carried] == ["beartype", "inner", "lacking", "optuna", "sqlalchemy"]
    assert trusted == ["pandas", "scipy>=1.13"]
    assert sorted((project / "wheels").iterdir()) == carried
    lean, _ = first_gpu.wheels.collect(project / "wheels", lean=True, root=project, get=get)
    assert [path.name.split("-")[0] for path in lean] == ["inner", "lacking"]


@pytest.mark.parametrize(
    ("asks", "line"), [("numpy<2.5", r"^numpy<2\.5: the lent machine has numpy 2\.5\.2$"), ("torch>=2.12", "2.11.0$")]
)
def test_a_need_that_the_machine_s_versions_exclude_is_refused(
    asks: str, line: str, first_gpu: SimpleNamespace, project: Path
) -> None:
    with pytest.raises(first_gpu.parcel.Refused, match=line):
        first_gpu.wheels.collect(
            project / "w", root=project, get=lambda need, folder, _: wheel(folder, need.name, [asks])
        )


def test_a_search_imports_none_of_what_a_lean_parcel_leaves_out(first_gpu: SimpleNamespace) -> None:
    code = "import sys, runpy; runpy.run_path('results/headline.py'); from benchbed import registry\n"
    code += "for kind, name in (('searcher', 'darts'), ('searcher', 'proxyless'), ('selector', 'perturb')):\n"
    code += "    registry.load(kind, name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "pydantic" in loaded
    assert not loaded & {"optuna", "sqlalchemy", "nas_201_api", "beartype"}
    left_out = first_gpu.wheels.NOT_OF_A_SEARCH
    assert left_out == {"optuna", "sqlalchemy", "nas-bench-201", "beartype"}


def test_what_is_missing_or_too_old_there_is_named(first_gpu: SimpleNamespace, tmp_path: Path) -> None:
    needs = ["numpy>=2.0", "no-such-package>=1", "torch>=99.1", "pyyaml"]
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = {json.dumps(needs)}\n")
    here = importlib.metadata.version("torch")
    found = first_gpu.arrival.unmet(tmp_path)
    assert found == ["no-such-package>=1: missing", f"torch>=99.1: {here} is here"]


# -- the page ------------------------------------------------------------------------------------------------------


def test_each_call_of_the_page_is_short_enough_and_is_one_that_call_py_takes(
    first_gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = re.findall(r"^    (python3 benchmarks/first_gpu/call\.py .*)$", (FOLDER / "README.md").read_text(), re.M)
    assert {line.split()[2] for line in calls} == set(first_gpu.call.NAMES)
    for line in calls:
        assert len(line) <= first_gpu.parcel.MACHINE["limits"]["command"]
        asked = first_gpu.call.parse(line.split()[2:])
        assert asked.seconds <= first_gpu.parcel.MACHINE["limits"]["seconds"] - 20
        assert asked.part is None or re.fullmatch(r"\.first_gpu/\d", str(asked.part))


def test_prices_are_taken_between_the_first_epoch_and_the_last(first_gpu: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "searches" / "darts-nb201-cifar10-s0-1"
    folder.mkdir(parents=True)
    lines = [json.dumps({"seconds": seconds}) for seconds in (20.0, 26.0, 32.0)]
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    assert first_gpu.call.prices(tmp_path) == ["darts: 6.00 s an epoch, 100 of them 10.0 min; the first 20.0 s"]
