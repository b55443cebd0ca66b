"""What the queue of long computations keeps in the repository while a job is not finished, and begins from."""

from pathlib import Path
from types import ModuleType

import pytest

from .conftest import RESULTS, script

JOBS = """
[[job]]
name = "grid"
hours = 1
keep = ["grid/*/record.json"]
command = "sweep grid.toml"

[[job]]
name = "other"
hours = 1
command = "run"
"""


@pytest.fixture(scope="module")
def background() -> ModuleType:
    return script("background")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A queue's place with two finished runs and one that is not; the jobs' file beside it."""
    (tmp_path / "jobs.toml").write_text(JOBS)
    for name, files in {"b": ("record.json", "checkpoint.pt"), "a": ("record.json",), "c": ("checkpoint.pt",)}.items():
        folder = tmp_path / "place" / "grid" / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).write_text(f"{file} of {name}")
    return tmp_path / "place"


def held(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_lost_machine_begins_from_what_was_kept(background: ModuleType, place: Path, tmp_path: Path) -> None:
    kept, new = tmp_path / "kept", tmp_path / "new"
    background.keep(place, tmp_path / "jobs.toml", kept)
    assert [path.name for path in kept.iterdir()] == ["grid.tar.xz"]
    background.restore(new, tmp_path / "jobs.toml", kept)
    assert held(new) == {f"grid/{name}/record.json": f"record.json of {name}" for name in "ab"}


def test_what_a_place_has_is_not_overwritten(background: ModuleType, place: Path, tmp_path: Path) -> None:
    background.keep(place, tmp_path / "jobs.toml", tmp_path / "kept")
    (place / "grid/a/record.json").write_text("newer")
    before = held(place)
    background.restore(place, tmp_path / "jobs.toml", tmp_path / "kept")
    assert held(place) == before


def test_the_same_files_give_the_same_archive(background: ModuleType, place: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        background.keep(place, tmp_path / "jobs.toml", tmp_path / name)
        (place / "grid/a/record.json").touch()
    one, two = ((tmp_path / name / "grid.tar.xz").read_bytes() for name in ("one", "two"))
    assert one == two


def test_each_archive_is_of_a_job_of_the_queue(background: ModuleType) -> None:
    """One that no job restores any more is to be removed."""
    import tomllib

    jobs = {job["name"]: job for job in tomllib.loads((RESULTS / "queue.toml").read_text())["job"]}
    for archive in background.KEPT.glob("*.tar.xz"):
        assert jobs[archive.name.removesuffix(".tar.xz")]["keep"]
