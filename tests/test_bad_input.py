"""Bad input: one line on stderr that names the thing and what would do, exit status 2, nothing left behind."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed import stages
from benchbed.folder import Folder

GOOD = ("--searcher", "random", "--selector", "magnitude")
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], unchecked: None) -> Refused:
    """`refused(*arguments)`: runs the command in an empty folder, checks how it is refused, and gives the line."""
    place = tmp_path / "cwd"
    place.mkdir()
    monkeypatch.chdir(place)

    def run(*arguments: object) -> str:
        before = snapshot(tmp_path)
        outcome = command(*arguments)
        assert outcome.status == 2
        assert outcome.err.startswith("benchbed: ")
        assert outcome.err.count("\n") == 1, outcome.err
        assert outcome.out == ""
        assert snapshot(tmp_path) == before
        return outcome.err

    return run


def snapshot(place: Path) -> dict[Path, bytes | None]:
    """Every path below the place and what the files hold; a lock says only who held it last."""
    return {p: p.read_bytes() if p.is_file() and p.name != ".lock" else None for p in place.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--searcher", "darst", "--selector", "perturb"), ("unknown searcher 'darst'", "'darts'")),
        (("run", "--searcher", "darts", "--selector", "pertub"), ("unknown selector 'pertub'", "'perturb'")),
        (("run", "--searcher", "darts,proxles", "--selector", "perturb"), ("'proxles'", "'proxyless'")),
        (("run", "--searcher", "darts,", "--selector", "perturb"), ("unknown searcher ''", "known: darts")),
        (("run", "--selector", "perturb"), ("no searcher given", "known: darts")),
        (("run", "--searcher", "darts"), ("no selector given", "perturb")),
        (("run", *GOOD, "--space", "nb202"), ("unknown space 'nb202'", "'nb201'")),
        (("run", *GOOD, "--task", "digit"), ("unknown task 'digit'", "'digits'")),
        (("run", *GOOD, "--task", "digits:x"), ("unknown task 'digits:x'", "'digits'")),
        (("run", *GOOD, "--task", "npz"), ("names no file", "npz:FILE")),
        (("run", *GOOD, "--preset", "smal"), ("unknown preset 'smal'", "'small'")),
        (("run", *GOOD, "--serchar", "x"), ("--serchar", "--searcher")),
        (("run", *GOOD, "stray"), ("stray",)),
        (("rum", *GOOD), ("'rum'", "'run'")),
        (("run", *GOOD, "--seed", "x"), ("'--seed'", "integer")),
        (("run", *GOOD, "--seed", "-1"), ("seed = -1", "at least 0")),
        (("run", *GOOD, "--seeds", "3:3"), ("seeds = '3:3'", "0:10")),
        (("run", *GOOD, "--seeds", "3"), ("seeds = '3'", "0:10")),
        (("run", *GOOD, "--epochs", "0"), ("epochs = 0", "at least 1")),
        (("run", *GOOD, "--device", "quantum"), ("device 'quantum'",)),
        (("run", *GOOD, "--device", "meta"), ("device 'meta' cannot be used",)),
        (("list", "nonsense"), ("unknown kind of plug-in 'nonsense'", "searcher, selector, space, task")),
        (("list", "searcher", "proxyles"), ("unknown searcher 'proxyles'", "'proxyless'")),
        (("describe", "--arch", CELL, "--space", "nb2001"), ("unknown space 'nb2001'", "'nb201'")),
        (("describe", "--arch", "|nor_conv_3x3~0|"), ("nor_conv_3x3~0",)),
        (("describe", "--arch", ""), ("empty nb201 architecture", "|op~0|")),
        (("describe", "--arch", CELL.replace("skip_connect", "skip_conect")), ("skip_conect", "skip_connect")),
        (("describe", "--arch", CELL.replace("none~2", "none~3")), ("none~3",)),
        (("describe", "--arch", "Genotype(normal=[('sep_conv_3x3', 1)])"), ("Genotype",)),
        (("describe", "--arch", CELL, "--plugin", "none.py"), ("none.py", "No such file")),
        (("select", "runs/searches/none", "--selector", "magnitude"), ("runs/searches/none", "no finished search")),
    ],
)
def test_names_and_values(refused: Refused, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    line = refused(*arguments)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("searcher.alpha_lrr=1", ("unknown option of searcher 'darts' 'alpha_lrr'", "'alpha_lr'")),
        ("selector.intervall=1", ("unknown option of selector 'perturb' 'intervall'", "'interval'")),
        ("supernet.chanels=1", ("unknown option of supernet 'chanels'", "'channels'")),
        ("scoring.epoch=1", ("unknown option of scoring 'epoch'", "'epochs'")),
        ("serarcher.alpha_lr=1", ("unknown section in --set 'serarcher'", "'searcher'")),
        ("searcher.alpha_lr", ("--set 'searcher.alpha_lr'", "SECTION.KEY=VALUE")),
        ("alpha_lr=1", ("--set 'alpha_lr=1'", "SECTION.KEY=VALUE")),
        ("searcher.=1", ("--set 'searcher.=1'", "SECTION.KEY=VALUE")),
        ("searcher.alpha_lr=fast", ("searcher 'darts': alpha_lr = 'fast'", "number")),
        ("searcher.alpha_lr=-1", ("alpha_lr = -1", "greater than 0")),
        ("searcher.alpha_lr=nan", ("alpha_lr = nan", "finite")),
        ("searcher.order=3", ("order = 3", "1 or 2")),
        ("supernet.channels=0", ("channels = 0", "greater than or equal to 1")),
        ("supernet.channels=2.5", ("channels = 2.5", "integer")),
        ("supernet.lr=inf", ("lr = inf", "finite")),
        ("supernet.lr=none", ("lr = 'none'", "number")),
        ("scoring.lr_min=5", ("scoring: lr_min 5 is above lr 0.1",)),
        ("selector.gates=mixtur", ("gates = 'mixtur'", "'mixture'")),
        ("selector.preset=oficial", ("unknown preset of selector 'perturb' 'oficial'", "'official'")),
    ],
)
def test_settings(refused: Refused, setting: str, words: tuple[str, ...]) -> None:
    line = refused("run", "--searcher", "darts", "--selector", "perturb", "--set", setting)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize("operation", ["nor_conv_5x5", "NONE"])
def test_a_constant_operation_that_does_not_exist_is_refused_before_the_search(
    refused: Refused, operation: str
) -> None:
    line = refused("run", *GOOD[:2], "--selector", "constant", "--set", f"selector.operation={operation}")
    assert f"unknown operation at position '0->1' '{operation}'" in line
    assert "nor_conv_3x3" in line


def test_an_option_that_none_of_several_has(refused: Refused) -> None:
    names = ("--searcher", "darts, proxyless", "--selector", "magnitude")
    assert "unknown option of searchers darts,proxyless: 'ordr': did you mean 'order'?" in refused(
        "run", *names, "--set", "searcher.ordr=2"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = ", ("my.toml is no TOML",)),
        ("\xff", ("no TOML",)),
        ("serch = 1", ("unknown configuration key 'serch'", "'searcher'")),
        ("[searchers]\nname = 'darts'", ("unknown configuration key 'searchers'", "'searcher'")),
        ("task = 3", ("'task' is 3", "a string")),
        ("seed = '3'", ("'seed' is '3'", "an integer")),
        ("epochs = true", ("'epochs' is True", "an integer")),
        ("device = 0", ("'device' is 0", "a string")),
        ("supernet = 5", ("'supernet' is 5", "a table")),
        ("[searcher]\nname = 3", ("'searcher.name' is 3", "a string")),
        ("objective = 'table'", ("unknown objective 'table'", "supernet")),
        ("[searcher]\nalpha_lrr = 3", ("'alpha_lrr'", "'alpha_lr'")),
    ],
)
def test_configuration_files(refused: Refused, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(text.encode("latin-1"))
    names = () if "[searcher]\nname" in text else ("--searcher", "darts", "--selector", "magnitude")
    line = refused("run", *names, "--config", file)
    assert [word for word in words if word not in line] == [], line


def test_a_configuration_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert "cannot read configuration none.toml: No such file" in refused("run", *GOOD, "--config", "none.toml")
    assert "Is a directory" in refused("run", *GOOD, "--config", tmp_path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (None, ("does not exist",)),
        ({"images": np.zeros((9, 2, 2))}, ("no array 'labels'",)),
        ({"images": np.zeros((9, 8)), "labels": np.arange(9)}, ("(9, 8)", "(n, h, w)")),
        ({"images": np.zeros((9, 8, 8, 4)), "labels": np.arange(9)}, ("(9, 8, 8, 4)", "channels")),
        ({"images": np.zeros((9, 2, 2)), "labels": np.arange(9)}, ("2x2", "4x4")),
        ({"images": np.zeros((9, 8, 8)), "labels": np.arange(8)}, ("8 for 9 images",)),
        ({"images": np.zeros((9, 8, 8)), "labels": np.zeros(9)}, ("float64", "integer")),
    ],
)
def test_task_files(refused: Refused, tmp_path: Path, arrays: dict[str, Any] | None, words: tuple[str, ...]) -> None:
    if arrays is not None:
        np.savez(tmp_path / "x.npz", **arrays)
    line = refused("run", *GOOD, "--task", f"npz:{tmp_path / 'x.npz'}")
    assert [word for word in ("x.npz", *words) if word not in line] == [], line


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
from benchbed.folder import Folder
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
        assert f"{folder} is held by process {child.pid}: wait for it, or use another --out" in line
    finally:
        child.kill()
        child.communicate()


# -- plug-ins that cannot be used ----------------------------------------------------------------------------------

NEEDY = '''"""Wants a network that nobody gives."""
from benchbed.selector import Selector
class Needy(Selector):
    needs = frozenset({"fidelities"})
    def step(self, context):
        raise AssertionError("never reached")
'''


def test_a_need_that_the_objective_does_not_meet(refused: Refused, tmp_path: Path, tiny_flags: list[str]) -> None:
    (tmp_path / "needy.py").write_text(NEEDY)
    selectors = ("--searcher", "random", "--selector", "magnitude,needy", "--plugin", tmp_path / "needy.py")
    line = refused("run", *selectors, *tiny_flags)  # refused before the first of the two runs
    assert "selector 'needy' needs fidelities, which objective 'supernet' does not provide" in line


# -- a finished or unfinished run that was damaged -----------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path, child_env: dict[str, str]) -> Path:
    """An output folder with one finished run of `GOOD` at the flags of `flags_of`."""
    out = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "benchbed", "run", *GOOD, "--out", str(out), "--quiet", *flags_of(tiny_file)]
    subprocess.run(command, check=True, capture_output=True, env=child_env)
    return out


def flags_of(file: Path) -> list[str]:
    sizes = {"supernet.channels": 2, "supernet.batch": 40, "supernet.eval_batch": 40, "scoring.channels": 2}
    settings = [f"--set={key}={value}" for key, value in {**sizes, "scoring.epochs": 1}.items()]
    return ["--task", f"npz:{file}", "--epochs", "2", *settings]


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        *(
            (stage, name)
            for stage in ("searches/*", "random-*", "scores/*")
            for name in ("checkpoint.pt", "record.json")
        ),
        *((stage, "history.jsonl") for stage in ("searches/*", "scores/*")),  # magnitude logs no decision
    ],
)
def test_damaged_files(
    finished: Path, refused: Refused, tmp_path: Path, tiny_file: Path, stage: str, name: str
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
    line = refused("run", *GOOD, "--out", out, "--quiet", *flags_of(tiny_file))
    assert str(file) in line
    assert "--force" in line


def test_a_record_of_something_else(finished: Path, refused: Refused, tmp_path: Path, tiny_file: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = out.glob("random-*/record.json")
    file.write_text("{}")
    assert "record.json is damaged (no 'id' in it)" in refused("run", *GOOD, "--out", out, *flags_of(tiny_file))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--set", "searcher.alpha_lr=1"), ("'searcher' was fixed by the search", "selector, scoring and device")),
        (("--set", "selector.operatio=none"), ("'operatio'", "'operation'")),
        (("--set", "selector.operation=conv"), ("unknown operation", "'conv'")),
    ],
)
def test_select_refuses_what_a_search_has_fixed(
    finished: Path, refused: Refused, changes: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (search,) = (finished / "searches").iterdir()
    line = refused("select", search, "--selector", "constant", *changes)
    assert [word for word in words if word not in line] == [], line


def test_select_on_what_is_no_search(finished: Path, refused: Refused) -> None:
    (run,) = finished.glob("random-*")
    assert "holds no finished search" in refused("select", run, "--selector", "magnitude")


def test_select_on_a_search_whose_data_has_changed(
    finished: Path, refused: Refused, tmp_path: Path, tiny_file: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (search,) = (out / "searches").iterdir()
    arrays = dict(np.load(tiny_file))
    np.savez(tmp_path / tiny_file.name, images=arrays["images"] + 1, labels=arrays["labels"])
    config = json.loads((search / "config.json").read_text())
    config["task"] = f"npz:{tmp_path / tiny_file.name}"
    (search / "config.json").write_text(json.dumps(config))
    assert "(the task's data changed): search again" in refused("select", search, "--selector", "magnitude")


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


@pytest.mark.parametrize("what", ["weights", "probabilities"])
def test_values_that_turn_nan_in_the_last_step_are_no_good_checkpoint(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_flags: list[str], what: str
) -> None:
    """The loss of the last step is from before that step, and a draw from NaN probabilities looks like any other."""
    train_epoch = stages.train_epoch

    def poisoned(problem: Any, searcher: Any, *rest: Any, **more: Any) -> Any:
        means = train_epoch(problem, searcher, *rest, **more)
        target = searcher.alpha if what == "probabilities" else next(iter(problem.objective.weights().values()))
        target.data.view(-1)[0] = float("nan")
        return means

    monkeypatch.setattr(stages, "train_epoch", poisoned)
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
