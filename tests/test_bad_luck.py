"""Bad places and bad luck: folders that cannot be written or are held, damaged files, a full disk, a loss of NaN.

Each gets one line and exit status 2, and nothing that was whole before is lost.
"""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.pipeline import search as search_module
from benchbed.pipeline.history import history
from benchbed.runtime.folder import Folder

GOOD = ("--searcher", "random", "--selector", "magnitude")

Refused = Callable[..., str]


# -- the output folder ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/benchbed"])
def test_an_output_folder_that_cannot_be_written(
    refused: Refused, tmp_path: Path, tiny_flags: list[str], out: str
) -> None:
    (tmp_path / "file").write_text("mine")
    line = refused("run", *GOOD, *tiny_flags, "--out", tmp_path / out)
    assert f"cannot write to {tmp_path / out}/" in line


HOLD = """
import sys, time
from pathlib import Path
from benchbed.runtime.folder import Folder
with Folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("held", ["run", "search"])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_another_process_holds(
    refused: Refused,
    command: Callable[..., Any],
    child_env: dict[str, str],
    tmp_path: Path,
    tiny_flags: list[str],
    held: str,
    force: bool,
) -> None:
    """Nothing of an earlier run is lost either, with --force as well."""
    out = tmp_path / "out"
    arguments = ("run", *GOOD, *tiny_flags, "--out", out, "--quiet")
    assert command(*arguments).status == 0
    folder = next((out / "searches").iterdir()) if held == "search" else next(out.glob("random-magnitude-*"))
    if not force:  # unfinished, or it would be found done
        for record in out.rglob("record.json"):
            record.unlink()
    child = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True, env=child_env)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        line = refused(*arguments, *(["--force"] if force else []))
        assert f"{folder} is held by process {child.pid} on {socket.gethostname()} since 20" in line
        assert line.endswith(" UTC: wait for it, or use another --out\n")
    finally:
        child.kill()
        child.communicate()


# -- a finished or unfinished run that was damaged -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        *(
            (stage, name)
            for stage in ("searches/*", "random-*", "scores/*")
            for name in ("checkpoint.pt", "record.json")
        ),
    ],
)
def test_damaged_files(
    finished: Path, refused: Refused, tmp_path: Path, finished_run: list[str], stage: str, name: str
) -> None:
    """Each stage unfinished, so that its checkpoint and history are read, or finished with a broken record."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (run,) = out.glob("random-*")
    (file,) = out.glob(f"{stage}/{name}")
    if stage != "random-*":
        (run / "record.json").unlink()
    if stage == "searches/*":
        (run / "checkpoint.pt").unlink()
    if name != "record.json":
        (file.parent / "record.json").unlink()
    file.write_bytes(file.read_bytes()[:-20])
    line = refused(*finished_run, "--out", out)
    assert str(file) in line
    assert "--force" in line


@pytest.mark.parametrize("left", [None, b"", bytes(200), b'{"epoch": 1, "acc'])
@pytest.mark.parametrize("stage", ["searches/*", "scores/*"])
def test_a_damaged_history_is_made_again(
    finished: Path, command: Any, tmp_path: Path, finished_run: list[str], stage: str, left: bytes | None
) -> None:
    """The checkpoint holds it: the stage goes on, and a report of a finished search draws its curve."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = out.glob(f"{stage}/history.jsonl")
    whole = file.read_bytes()
    for is_finished in (True, False):
        if left is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(left)
        if is_finished:
            assert history(file) if stage == "searches/*" else True
            continue
        (file.parent / "record.json").unlink()
        (run,) = out.glob("random-*")
        (run / "record.json").unlink()
        assert command(*finished_run, "--out", out).status == 0
        assert file.read_bytes() == whole


def test_what_a_damaged_checkpoint_says_can_be_done(
    finished: Path, refused: Refused, command: Any, tmp_path: Path, finished_run: list[str]
) -> None:
    """Of a finished search: `select` cannot make it again, removing its folder and the run can."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = out.glob("searches/*/checkpoint.pt")
    whole = torch.load(file, weights_only=True)
    for tree in ({"alpha": 1}, {"parts": 3}, {"parts": {**whole["tree"]["parts"], "objective": []}}):
        torch.save({"history": whole["history"], "tree": tree}, file)
        assert f"{file} is damaged" in refused("select", file.parent, "--selector", "constant")
    file.unlink()
    line = refused("select", file.parent, "--selector", "constant")
    assert f"{file} is missing: remove {file.parent}, and the command that made it makes it again" in line
    shutil.rmtree(file.parent)
    (run,) = out.glob("random-*")
    shutil.rmtree(run)
    assert command(*finished_run, "--out", out).status == 0
    assert command("select", file.parent, "--selector", "constant").status == 0


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("searches/*", {"seconds": "a"}),
        ("searches/*", {"peak_memory_bytes": None}),
        ("random-*", {"test_accuracy": "90"}),
        ("random-*", {"seconds": {"search": "a"}}),
        ("random-*", {"facts": None}),
    ],
)
def test_a_record_whose_figures_are_none(
    finished: Path, refused: Refused, tmp_path: Path, finished_run: list[str], stage: str, change: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = out.glob(f"{stage}/record.json")
    if stage == "searches/*":
        shutil.rmtree(next(out.glob("random-*")))
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    line = refused(*finished_run, "--out", out)
    assert f"{file} is damaged ({next(iter(change))}" in line
    assert "--force" in line


def test_a_checkpoint_of_another_size_is_named(
    finished: Path, refused: Refused, tmp_path: Path, finished_run: list[str], command: Callable[..., Any]
) -> None:
    """As where two searches' checkpoints were mixed up: the file, and the first weight that does not fit."""
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(finished, out)
    wider = [a.replace("supernet.channels=2", "supernet.channels=4") for a in finished_run]
    assert command(*wider, "--out", other).status == 0
    (search,), (foreign,) = out.glob("searches/*"), other.glob("searches/*")
    shutil.copy(foreign / "checkpoint.pt", search / "checkpoint.pt")
    line = refused("select", search, "--selector", "random")
    assert f"{search / 'checkpoint.pt'}: the saved supernet does not fit this one" in line
    assert "where (2, " in line


def test_a_record_of_something_else(finished: Path, refused: Refused, tmp_path: Path, finished_run: list[str]) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = out.glob("random-*/record.json")
    file.write_text("{}")
    assert "record.json is damaged (no 'id' in it)" in refused(*finished_run, "--out", out)


# -- a full disk ---------------------------------------------------------------------------------------------------


def fill_after(monkeypatch: pytest.MonkeyPatch, folder_part: str, writes: int) -> None:
    """From the given write on, every checkpoint below `folder_part` finds the disk full."""
    count, fsync = [0], os.fsync

    def full(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if folder_part in name and "checkpoint" in name:
            count[0] += 1
            if count[0] >= writes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)


def test_a_full_disk_keeps_the_earlier_checkpoint(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_flags: list[str]
) -> None:
    arguments = ("run", *GOOD, *tiny_flags, "--out", tmp_path, "--quiet")
    with monkeypatch.context() as patch:
        fill_after(patch, "/searches/", 2)
        outcome = command(*arguments)
    assert outcome.status == 2
    (search,) = (tmp_path / "searches").iterdir()
    assert outcome.err == f"benchbed: cannot write {search}/checkpoint.pt: No space left on device\n"
    assert {p.name for p in search.iterdir()} == {".lock", "config.json", "checkpoint.pt", "history.jsonl"}
    with Folder(search) as folder:
        tree = folder.load()
    assert tree is not None
    assert tree["epochs"] == 1
    assert command(*arguments).status == 0  # room was made: it goes on
    assert len((search / "history.jsonl").read_text().splitlines()) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 128 KiB, room for some checkpoints of a tiny search but not for all of a run's."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, command: Callable[..., Any], tiny_flags: list[str]) -> None:
    arguments = ("run", *GOOD, *tiny_flags, "--set", "supernet.channels=4", "--out", small_disk / "out", "--quiet")
    outcome = command(*arguments)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"benchbed: cannot write {small_disk}/out/")
    assert outcome.err.endswith(": No space left on device\n")
    assert [p for p in small_disk.rglob("*") if p.name.endswith(".new")] == []


def test_a_full_disk_ends_a_sweep(
    small_disk: Path, tmp_path: Path, command: Callable[..., Any], tiny_file: Path
) -> None:
    """Each of its runs would fail by it: the rest are not tried."""
    (tmp_path / "study.toml").write_text(
        f'task = "npz:{tiny_file}"\nepochs = 2\n[supernet]\nchannels = 4\nvalid_batch = 40\n[scoring]\nepochs = 1\n'
        '[grid]\nsearcher = ["darts", "proxyless"]\nselector = ["magnitude"]\nseeds = "0:4"\n'
    )
    out = small_disk / "out"
    outcome = command("sweep", tmp_path / "study.toml", "--out", out, "--quiet")
    assert outcome.status == 2
    line = outcome.err.splitlines()[-1]
    assert line.startswith(f"benchbed: cannot write {out}/")
    assert "No space left on device: everything stops" in line
    assert len(list(out.glob("searches/*"))) < 8


# -- a loss that turns NaN -----------------------------------------------------------------------------------------


def test_a_search_that_diverges_at_once_leaves_nothing(refused: Refused, tiny_flags: list[str]) -> None:
    wild = ("--set", "supernet.lr=1e30", "--set", "supernet.clip=none")
    line = refused("run", "--searcher", "darts", "--selector", "magnitude", *tiny_flags, *wild, "--quiet")
    for word in ("nan", "epoch 1, step ", "supernet.lr=1e+30", "supernet.clip=None", "seed 0", "no epoch was finished"):
        assert word in line


def test_a_search_that_diverges_later_keeps_its_last_good_checkpoint(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_flags: list[str]
) -> None:
    from benchbed.objectives.supernet import SupernetObjective

    weight_step = SupernetObjective.weight_step

    def poisoned(self: SupernetObjective, gates: Any, batch: Any) -> Any:
        loss = weight_step(self, gates, batch)
        if self.steps == self.steps_per_epoch + 2:
            self.weights()["classifier.bias"].data.fill_(float("nan"))
        return loss

    monkeypatch.setattr(SupernetObjective, "weight_step", poisoned)
    arguments = ("run", *GOOD, *tiny_flags, "--out", tmp_path, "--quiet")
    outcome = command(*arguments)
    assert outcome.status == 2
    (search,) = (tmp_path / "searches").iterdir()
    assert outcome.err.count("\n") == 1
    assert "the loss is nan at epoch 2, step 3 (weight step): searcher random, supernet.lr=0.1" in outcome.err
    assert f"the last good checkpoint is {search}/checkpoint.pt" in outcome.err
    with Folder(search) as folder:
        tree = folder.load()
    assert tree is not None
    assert tree["epochs"] == 1
    assert list(tmp_path.glob("random-*")) == []


def test_tuning_that_diverges_names_its_own_rate_and_keeps_the_search(
    command: Callable[..., Any], tmp_path: Path, tiny_flags: list[str]
) -> None:
    wild = ("--set", "selector.tune_lr_factor=1e30", "--set", "supernet.clip=none")
    given = ("run", "--searcher", "darts", "--selector", "perturb", *tiny_flags, *wild, "--out", tmp_path, "--quiet")
    outcome = command(*given)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    for word in ("selector perturb, selector.tune_lr_factor=1e+30", "try a smaller selector.tune_lr_factor"):
        assert word in outcome.err
    (search,) = (tmp_path / "searches").iterdir()
    assert (search / "record.json").exists() or (search / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("searcher", "words", "advice"),
    [
        ("gdas", "the probabilities are not finite after epoch 1", "try a smaller searcher.alpha_lr"),
        ("darts", "the loss is nan at epoch 1", "try a smaller searcher.alpha_lr or supernet.lr"),
    ],
)
def test_a_search_whose_alpha_diverges_names_its_rate(
    command: Callable[..., Any], tmp_path: Path, tiny_flags: list[str], searcher: str, words: str, advice: str
) -> None:
    wild = ("--searcher", searcher, "--selector", "magnitude", "--set", "searcher.alpha_lr=1e30")
    outcome = command("run", *wild, *tiny_flags, "--out", tmp_path, "--quiet")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert words in outcome.err
    assert "searcher.alpha_lr=1e+30" in outcome.err
    assert outcome.err.strip().endswith(advice)


@pytest.mark.parametrize("what", ["weights", "probabilities"])
def test_values_that_turn_nan_in_the_last_step_are_no_good_checkpoint(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_flags: list[str], what: str
) -> None:
    """The loss of the last step is from before that step, and a draw from NaN probabilities looks like any other."""
    train_epoch = search_module.train_epoch

    def poisoned(problem: Any, searcher: Any, *rest: Any, **more: Any) -> Any:
        means = train_epoch(problem, searcher, *rest, **more)
        target = searcher.alpha if what == "probabilities" else next(iter(problem.objective.weights().values()))
        target.data.view(-1)[0] = float("nan")
        return means

    monkeypatch.setattr(search_module, "train_epoch", poisoned)
    names = ("--searcher", "reinforce", "--selector", "magnitude")
    outcome = command("run", *names, *tiny_flags, "--out", tmp_path / "out", "--quiet")
    assert outcome.status == 2
    assert f"the {what} are not finite after epoch 1: searcher reinforce" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_scoring_that_diverges(command: Callable[..., Any], tmp_path: Path, tiny_flags: list[str]) -> None:
    wild = ("--set", "scoring.lr=1e30", "--set", "scoring.epochs=2", "--quiet")
    outcome = command("run", *GOOD[:2], "--selector", "constant", *tiny_flags, "--out", tmp_path, *wild)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    for word in ("nan", "epoch 1 of 2", "step ", "lr ", "batch 40"):
        assert word in outcome.err
    assert list(tmp_path.rglob("scores/*")) == []
    assert len(list(tmp_path.glob("searches/*/record.json"))) == 1
