"""benchbed from Python: the same runs as the command line's, objects in place of names, refusals, an interrupt."""

import inspect
import os
from collections.abc import Callable
from importlib import import_module, reload
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import benchbed
from benchbed import BenchbedError, Results, registry
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import file_sha256

TINY = {f"supernet.{key}": 40 for key in ("batch", "valid_batch", "eval_batch")}
TINY |= {"supernet.channels": 2, "scoring.channels": 2, "scoring.epochs": 1, "scoring.batch": 40}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins of a test are forgotten after it."""
    monkeypatch.setattr(registry, "_USER_FILES", {})
    monkeypatch.setattr(registry, "_USER_CLASSES", {})


def arrays(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy 8x8 images of four classes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = rng.normal(size=(n, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 1.5
    return images, labels


def tiny(out: Path, task: Any = None, **options: Any) -> Results:
    given = {"task": arrays() if task is None else task, "epochs": 1, "set": TINY, "quiet": True, **options}
    return benchbed.run(options.pop("searcher", "random"), given.pop("selector", "magnitude"), out=out, **given)


# -- the same as the command line ------------------------------------------------------------------------------------


def test_a_run_is_the_command_lines(command: Callable[..., Any], tmp_path: Path) -> None:
    flags = ["--objective", "table", "--table", "nb201-digits", "--epochs", "2", "--set", "searcher.alpha_lr=0.1"]
    names = ["--searcher", "darts,random", "--selector", "magnitude", "--seeds", "1:3"]
    assert command("run", *names, *flags, "--out", str(tmp_path / "shell"), "--quiet").status == 0
    found = benchbed.run(
        ["darts", "random"], "magnitude", seeds=[1, 2], objective="table", table="nb201-digits", epochs=2,
        set={"searcher.alpha_lr": 0.1}, out=tmp_path / "python", quiet=True,
    )  # fmt: skip
    assert len(found) == 4
    for record in found:
        shell = Record.read(tmp_path / "shell" / record.id / "record.json")
        assert shell.architecture == record.architecture
        assert shell.config == record.config


def test_every_option_of_the_command_is_a_keyword_under_its_name() -> None:
    from benchbed import api
    from benchbed.cli import main

    python = {"plugin": "plugin", "settings": "set"}
    for shell, function, options in (
        (main.run, api.run, api.RunKeywords),
        (main.select, api.select, api.SelectOptions),
        (main.train, api.train, api.TrainOptions),
    ):
        here = {*inspect.signature(function).parameters, *options.__annotations__}
        flags = {python.get(name, name) for name in inspect.signature(shell).parameters}
        assert flags - here <= {"full_cost", "explain", "as_json"}, function  # what these print is not for a program


def test_results_are_read_back_and_a_second_call_makes_nothing_anew(tmp_path: Path) -> None:
    first = tiny(tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    again, loaded = tiny(tmp_path), benchbed.load(tmp_path)
    assert [r.id for r in first] == [r.id for r in again] == [r.id for r in loaded]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")} == stamps
    assert benchbed.load(tmp_path / first[0].id / "record.json")[0] == benchbed.load(tmp_path / first[0].id)[0]


def test_quiet_prints_nothing_and_otherwise_progress_is_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    tiny(tmp_path / "loud", quiet=False)
    said = capfd.readouterr()
    assert said.out == ""
    assert "epoch" in said.err


def test_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    found = tiny(tmp_path / "out", dry_run=True)
    assert len(found) == 1
    assert found.place is None
    assert list(tmp_path.iterdir()) == []


def test_select_takes_every_search_of_results(tmp_path: Path) -> None:
    made = benchbed.run("darts", "magnitude", seeds=range(3), objective="table", table="nb201-digits", epochs=2,
                        out=tmp_path, quiet=True)  # fmt: skip
    again = benchbed.select(made, ["constant", "random"], quiet=True)
    assert [(r.seed, r.selector) for r in again] == [(s, t) for s in range(3) for t in ("constant", "random")]
    assert {r.search for r in again} == {r.search for r in made}
    (one,) = benchbed.select(made.searches[0], "constant", quiet=True)
    assert one == again[0]


def test_train_gives_the_record_and_its_folder(tmp_path: Path) -> None:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    small = {"scoring.channels": 2, "scoring.batch": 40, "scoring.warmup_epochs": 0}
    made = benchbed.train(cell, task=arrays(), epochs=1, set=small, out=tmp_path, quiet=True)
    assert made.folder is not None
    assert (made.folder / "record.json").is_file()
    assert made.record["architecture"] == cell
    assert benchbed.train(cell, task=arrays(), epochs=1, set=small, out=tmp_path, quiet=True) == made


def test_torchs_settings_are_afterwards_what_they_were(tmp_path: Path) -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        tiny(tmp_path)
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


# -- many at a time ---------------------------------------------------------------------------------------------------

TABLE: dict[str, Any] = {"objective": "table", "table": "nb201-digits", "epochs": 2}


@pytest.mark.slow
def test_workers_are_as_deterministic_as_the_call(tmp_path: Path) -> None:
    for given in (True, False):
        made = benchbed.run("darts", "constant", seeds=range(2), workers=2, deterministic=given,
                            out=tmp_path / str(given), quiet=True, **TABLE)  # fmt: skip
        found = {one.deterministic for record in made for one in record.segments if one.stage != "scoring"}
        assert found == ({True} if given else {None})
    assert not torch.are_deterministic_algorithms_enabled()


def test_workers_and_shards_make_the_runs_of_one_process(tmp_path: Path) -> None:
    names = ["darts", "random"], ["magnitude", "constant"]
    wanted = benchbed.run(*names, seeds=[0, 1], **TABLE, out=tmp_path / "one", quiet=True)
    found = benchbed.run(*names, seeds=[0, 1], **TABLE, out=tmp_path / "two", workers=2, quiet=True)
    assert [(r.id, r.architecture) for r in found] == [(r.id, r.architecture) for r in wanted]
    part = benchbed.run(*names, seeds=[0, 1], **TABLE, out=tmp_path / "part", shard=(1, 2), quiet=True)
    rest = benchbed.run(*names, seeds=[0, 1], **TABLE, out=tmp_path / "part", shard="2/2", quiet=True)
    assert sorted(r.id for r in [*part, *rest]) == sorted(r.id for r in wanted)


def test_a_class_is_known_to_this_process_alone(tmp_path: Path) -> None:
    from benchbed.searchers.darts import DARTS

    class Alone(DARTS):
        """DARTS under another name."""

    with pytest.raises(BenchbedError, match=r"workers = 2: class .*Alone is known to this process alone: save it"):
        benchbed.run(Alone, "magnitude", **TABLE, out=tmp_path / "out", workers=2, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_is_the_commands(command: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(
        'objective = "table"\ntable = "nb201-digits"\nepochs = 2\n'
        '[grid]\nsearcher = ["darts"]\nselector = ["magnitude", "constant"]\nseeds = "0:2"\n'
    )
    found = benchbed.sweep(file, out=tmp_path / "swept", quiet=True)
    assert len(found) == 4
    said = command("sweep", str(file), "--out", str(tmp_path / "swept"), "--status")
    assert "done 4, " in said.out
    grid = {"searcher": ["darts"], "selector": ["magnitude", "constant"], "seeds": "0:2"}
    assert list(benchbed.sweep({**TABLE, "grid": grid}, out=tmp_path / "swept", quiet=True)) == list(found)
    with pytest.raises(BenchbedError, match="unknown option of sweep 'worker': did you mean 'workers'"):
        benchbed.sweep(file, worker=2)
    with pytest.raises(BenchbedError, match="needs"):
        benchbed.sweep({**TABLE, "grid": {**grid, "needs": {"memory_gb": 1e6}}}, workers=2, out=tmp_path / "not")
    assert not (tmp_path / "not").exists()


def test_a_sweep_goes_on_after_a_run_that_fails(tmp_path: Path) -> None:
    """With one worker too, as the command does; `plugins` of a mapping are files of the working folder."""
    (tmp_path / "refuses.py").write_text(
        '"""Refuses."""\nfrom benchbed import BenchbedError\nfrom benchbed.selectors.magnitude import Magnitude\n'
        'class Refuses(Magnitude):\n    """Refuses."""\n    def step(self, context):\n'
        '        raise BenchbedError("it refuses")\n'
    )
    plugin = os.path.relpath(tmp_path / "refuses.py")
    grid = {"searcher": ["random"], "selector": ["refuses", "constant"], "seeds": "0:1"}
    with pytest.raises(BenchbedError, match=r"^failed: .*: it refuses; the others are kept"):
        benchbed.sweep({**TABLE, "plugins": [plugin], "grid": grid}, out=tmp_path / "swept", quiet=True)
    (made,) = benchbed.load(tmp_path / "swept")
    assert made.selector == "constant"
    with pytest.raises(BenchbedError, match=r"^config: plugins = 'x.py': expected a list of files$"):
        benchbed.run("random", "constant", config={**TABLE, "plugins": "x.py"}, out=tmp_path / "not")


def test_tune_gives_its_trials_and_the_best_configuration(tmp_path: Path) -> None:
    space = {"searcher.alpha_lr": [0.01, 0.1, 0.5]}
    study = {**TABLE, "searcher": "darts", "selector": "magnitude", "tune": {"trials": 3, "space": space}}
    made = benchbed.tune(study, out=tmp_path, quiet=True)
    frame = made.frame()
    assert len(frame) == 3
    assert made.unfinished == ""
    assert made.best is not None
    best = frame.loc[frame["accuracy"].idxmax()]
    assert made.best["searcher"]["alpha_lr"] == best["searcher.alpha_lr"]
    (record,) = benchbed.run(config=made.best, out=tmp_path, quiet=True)
    assert record.valid_accuracy == pytest.approx(best["accuracy"])
    with pytest.raises(BenchbedError, match="--workers 2 share no storage 'memory'"):
        benchbed.tune(study, workers=2, out=tmp_path)


# -- objects in place of names ---------------------------------------------------------------------------------------


class Pairs(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The images one by one, as torchvision's data sets have them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = torch.from_numpy(images), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], int(self.labels[index])


def test_images_as_arrays_and_as_a_dataset_are_the_same_task(tmp_path: Path) -> None:
    images, labels = arrays()
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    by_file = tiny(tmp_path / "a", f"npz:{tmp_path / 'mine.npz'}")[0]
    by_dataset = tiny(tmp_path / "b", Pairs(images, labels))[0]
    by_arrays = tiny(tmp_path / "b", (images[:, None], labels))[0]
    assert by_arrays == by_dataset
    assert len(list((tmp_path / "b" / "data").iterdir())) == 1  # equal content is kept once
    assert by_file.architecture == by_arrays.architecture
    assert by_file.test_accuracy == by_arrays.test_accuracy


def test_splits_of_ones_own(tmp_path: Path) -> None:
    parts = {"train": arrays(120, 0), "valid": Pairs(*arrays(40, 1)), "test": arrays(40, 2)}
    (record,) = tiny(tmp_path, parts)
    assert record.task_facts["split"] == {"valid": "given", "test": "given"}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (3, "task's train is of type int: expected a name, npz:FILE, (images, labels), a Dataset"),
        ({"train": arrays(), "vlid": arrays()}, "unknown split of a task 'vlid': did you mean 'valid'?"),
        ({"test": arrays()}, "a task of test has no 'train' images"),
        (
            torch.utils.data.TensorDataset(torch.zeros(4, 8, 8)),
            "train[0] is a tuple: a pair of image and label is needed",
        ),
        ((arrays()[0], arrays()[1][:50]), "the task given labels are 50 for 200 images"),
        ((arrays()[0], 2 * arrays()[1]), "the task given labels"),
        ((np.zeros((4, 8, 8), object), np.arange(4)), "holds objects where images and labels of numbers are needed"),
    ],
)
def test_images_that_are_none_are_refused_and_leave_nothing(task: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match=r"^[^\n]*$") as refused:
        tiny(tmp_path / "out", task)
    assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    class Mixed(Pairs):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.zeros(8, 8 + index), 0

    with pytest.raises(BenchbedError, match=r"train\[1\] has shape \(1, 8, 9\), those before \(1, 8, 8\)"):
        tiny(tmp_path, Mixed(*arrays()))


def test_a_class_in_place_of_a_searchers_name(tmp_path: Path) -> None:
    from benchbed.searchers.darts import DARTS
    from benchbed.searchers.random import RandomSampling

    class MyDarts(DARTS):
        """DARTS under another name."""

    kwargs: dict[str, Any] = {"objective": "table", "table": "nb201-digits", "epochs": 2, "out": tmp_path}
    mine, theirs = benchbed.run([MyDarts, DARTS], "magnitude", **kwargs, quiet=True)
    assert (mine.searcher, theirs.searcher) == ("my-darts", "darts")
    assert mine.architecture == theirs.architecture
    assert mine.config["searcher"]["sha256"] != theirs.config["searcher"]["sha256"]
    assert registry.add_class("searcher", RandomSampling) == "random"  # ours keeps its name
    with pytest.raises(BenchbedError, match=r"class Pairs is no searcher: a subclass of benchbed\.Searcher is"):
        benchbed.run(Pairs, "magnitude", **kwargs)


def test_a_plug_in_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (
        '"""Mine."""\nfrom benchbed.searchers.darts import DARTS\nclass Mine(DARTS):\n    """Mine."""\n    mark = {}\n'
    )
    for mark in (1, 2):
        file.write_text(text.format(mark))
        registry.add_file(file)
        assert registry.load("searcher", "mine").mark == mark


def test_what_a_plug_in_imports_is_read_again_where_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that it imports by way of another one, in a session that goes on."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helped.py").write_text(
        '"""Mine."""\nfrom benchbed.searchers.darts import DARTS\nfrom outer_helper import mark as by\n'
        'class Helped(DARTS):\n    """Mine."""\n    mark = by\n'
    )
    (tmp_path / "outer_helper.py").write_text("from inner_helper import mark\n")
    hashes = set()
    for mark in (1, 2):
        (tmp_path / "inner_helper.py").write_text(f"mark = {mark}\n")
        registry.add_file(tmp_path / "helped.py")
        assert registry.load("searcher", "helped").mark == mark
        hashes.add(file_sha256("searcher", "helped"))
    assert len(hashes) == 2


def test_a_class_whose_source_was_edited_since_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "edited_module.py"
    file.write_text('from benchbed.searchers.darts import DARTS\nclass Edited(DARTS):\n    """Mine."""\n')
    module = import_module("edited_module")
    assert registry.add_class("searcher", module.Edited) == "edited"
    file.write_text(file.read_text() + "    mark = 1\n")
    with pytest.raises(BenchbedError, match=r"class Edited: .*edited_module\.py was edited since Python imported it"):
        registry.add_class("searcher", module.Edited)
    assert registry.add_class("searcher", import_anew(module).Edited) == "edited"


def import_anew(module: ModuleType) -> ModuleType:
    """As a user reloads it; without the bytecode, which is told by the second."""
    Path(cache_from_source(str(module.__file__))).unlink(missing_ok=True)
    return reload(module)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 3}, "unknown option of run 'epoch': did you mean 'epochs'?"),
        ({"supernet": {"lr": 1}}, "supernet: options of a section are given as set={'supernet.KEY': VALUE}"),
        ({"set": {"supernet.lrr": 1}}, "unknown option of supernet 'lrr': did you mean 'lr'?"),
        ({"seeds": []}, "seeds are empty: give at least one, such as range(10)"),
        ({"seeds": 5}, "seeds = 5: expected several, such as range(10) or [0, 1]"),
        ({"seeds": [-1]}, "seed = -1: expected an integer of at least 0"),
        ({"searcher": "dart"}, "unknown searcher 'dart': did you mean 'darts'?"),
        ({"workers": 0}, "workers 0: at least one is needed"),
        ({"searcher": 3}, "searcher = 3: expected a name, a class, or a list of these"),
        ({"space": object}, "is no space"),
        ({"config": 3}, "config = 3: expected a TOML file or a mapping"),
    ],
)
def test_a_bad_call_is_refused_in_one_line(
    options: dict[str, Any], words: str, tmp_path: Path, unchecked: None
) -> None:
    given = {"searcher": "random", "selector": "magnitude", "out": tmp_path / "out", **options}
    with pytest.raises(BenchbedError, match=r"^[^\n]*$") as refused:
        benchbed.run(**given)
    assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_a_state_that_the_same_call_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbed.runtime.progress import Reporter

    whole = tiny(tmp_path / "whole", epochs=4)

    def stop(self: Reporter, line: dict[str, Any]) -> None:
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Reporter, "epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny(tmp_path / "cut", epochs=4)
    (search,) = (tmp_path / "cut" / "searches").iterdir()
    assert len((search / "history.jsonl").read_text().splitlines()) == 2
    assert tiny(tmp_path / "cut", epochs=4)[0].architecture == whole[0].architecture
    assert len((search / "history.jsonl").read_text().splitlines()) == 4
