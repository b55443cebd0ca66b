"""The command `train`: what it leaves, how it goes on, what it refuses."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.pipeline import train as job
from benchbed.runtime.folder import Folder, load_checkpoint
from benchbed.runtime.options import RunOptions
from benchbed.training.train import Training

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"


@pytest.fixture
def flags(tiny_file):
    small = ("scoring.channels=2", "scoring.batch=40", "scoring.epochs=3", "scoring.warmup_epochs=1")
    return ["--arch", CELL, "--task", f"npz:{tiny_file}", *(x for s in small for x in ("--set", s))]


@pytest.fixture
def raw(tiny_file):
    scoring = {"channels": 2, "batch": 40, "epochs": 3}
    return {"arch": CELL, "task": f"npz:{tiny_file}", "scoring": scoring}


def options(out):
    return RunOptions(out, torch.device("cpu"))


def lines(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def steady(line):
    return {k: v for k, v in line.items() if k not in ("seconds", "peak_memory_bytes", "finished", "segments")}


def test_a_training_leaves_a_history_and_last_a_record(command, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("train", *flags, "--seed", 4)
    assert done.status == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    history, record = lines(folder), json.loads((folder / "record.json").read_text())
    assert [line["epoch"] for line in history] == [1, 2, 3]
    assert history[0].keys() == {"epoch", "loss", "lr", "seconds", "valid_accuracy", "valid_top5", "valid_loss"}
    assert history[0]["lr"] == pytest.approx(0.1), "the last step of the warm-up"
    assert record["valid_accuracy"] == history[-1]["valid_accuracy"]
    assert record["valid_top5"] == record["test_top5"] == 100.0, "of four classes"
    assert (record["seed"], record["architecture"], record["config"]["processes"]) == (4, CELL, 1)
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0] or record["versions"]["torch"]
    assert {"commit", "machine", "facts", "task_facts", "skipped", "finished"} <= record.keys()
    assert f"{record['test_accuracy']:.2f} %" in done.out
    before = (folder / "record.json").read_bytes()
    again = command("train", *flags, "--seed", 4)
    assert again.out == done.out
    assert "done before" in again.err
    assert (folder / "record.json").read_bytes() == before


def test_a_stopped_training_goes_on_to_the_same_weights(raw, tmp_path, monkeypatch):
    """Stopped in place of every write: before a line, between line and checkpoint, before the record."""
    config = job.resolve(raw)
    whole = job.train(config, options(tmp_path / "whole"))
    path = tmp_path / "whole" / whole["id"]
    wanted = load_checkpoint(path / "checkpoint.pt")["tree"]["training"]
    real = {name: getattr(Folder, name) for name in ("log", "save", "finish")}
    for stop in range(7):
        made = []

        def guarded(name, made=made, stop=stop):
            def write(self, value):
                made.append(name)
                if len(made) == stop + 1:
                    raise KeyboardInterrupt
                return real[name](self, value)

            return write

        for name in real:
            monkeypatch.setattr(Folder, name, guarded(name))
        out = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            job.train(config, options(out))
        for name in real:
            monkeypatch.setattr(Folder, name, real[name])
        record = job.train(config, options(out))
        assert steady(record) == steady(whole)
        assert [steady(x) for x in lines(out / whole["id"])] == [steady(x) for x in lines(path)]
        found = load_checkpoint(out / whole["id"] / "checkpoint.pt")["tree"]["training"]
        for part in ("network", "momentum"):
            assert all(torch.equal(found[part][k], v) for k, v in wanted[part].items())
    assert made == ["log", "save", "log", "save", "log", "save", "finish"]


def test_one_that_is_saved_within_its_epochs_goes_on_from_there(raw, tmp_path, monkeypatch):
    """Stopped after every save in turn; seconds grow with each, and the line's are those of the whole epoch."""
    config = job.resolve(raw)
    whole = job.train(config, options(tmp_path / "whole"))
    path, save = tmp_path / "whole" / whole["id"], Folder.save
    for stop in (1, 2, 4, 5):
        saved = []

        def stopping(self, value, saved=saved, stop=stop):
            save(self, value)
            saved.append(value)
            if len(saved) == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(Folder, "save", stopping)
        every = options(tmp_path / f"stopped-{stop}")._replace(checkpoint_steps=1)
        with pytest.raises(KeyboardInterrupt):
            job.train(config, every)
        monkeypatch.setattr(Folder, "save", save)
        assert [tree["seconds"] for tree in saved] == sorted(tree["seconds"] for tree in saved)
        record = job.train(config, every)
        assert record["seconds"] > saved[-1]["seconds"]
        assert steady(record) == steady(whole)
        found = lines(tmp_path / f"stopped-{stop}" / whole["id"])
        assert [steady(x) for x in found] == [steady(x) for x in lines(path)]
        if (part := (last := saved[-1]["training"]).get("part")) is not None:
            assert found[last["step"] // 3]["seconds"] > part["seconds"] > 0


@pytest.mark.slow
def test_a_kill_within_an_epoch_costs_the_steps_since_the_last_save(flags, tmp_path, child_env):
    command = [sys.executable, "-m", "benchbed", "train", *flags, "--set", "scoring.batch=4", "--checkpoint-steps", "3"]

    def ran(out):
        return subprocess.Popen([*command, "--out", str(out)], env=child_env, stdout=-3, stderr=-3)

    assert ran(tmp_path / "whole").wait(120) == 0
    (whole,) = (tmp_path / "whole").iterdir()
    for attempt in range(10):  # where it was at the end of an epoch when it was killed: once more
        folder = tmp_path / str(attempt) / whole.name
        process = ran(folder.parent)
        until = time.monotonic() + 60
        while not (folder / "checkpoint.pt").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        if "part" in load_checkpoint(folder / "checkpoint.pt")["tree"]["training"]:
            break
    else:
        raise AssertionError("never killed within an epoch")
    assert ran(folder.parent).wait(120) == 0
    records = [json.loads((place / "record.json").read_text()) for place in (whole, folder)]
    assert steady(records[0]) == steady(records[1])
    assert [steady(x) for x in lines(whole)] == [steady(x) for x in lines(folder)]


def test_one_with_every_option_of_the_recipe_goes_on_and_is_measured_by_its_average(raw, tmp_path, monkeypatch):
    raw["scoring"] |= {"batch": 20, "ema": 0.9, "mixup": 0.2, "cutmix": 1.0, "accumulate": 2, "label_smoothing": 0.1}
    config = job.resolve(raw)
    whole = job.train(config, options(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        save, made = Folder.save, []

        def stopping(self, value):
            save(self, value)
            made.append(value["training"]["step"])
            if len(made) == 2:
                raise KeyboardInterrupt

        patch.setattr(Folder, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            job.train(config, options(tmp_path / "stopped"))
    assert made == [3, 6], "120 images, 40 a step"
    record = job.train(config, options(tmp_path / "stopped"))
    assert steady(record) == steady(whole)
    trees = [load_checkpoint(tmp_path / out / whole["id"] / "checkpoint.pt")["tree"] for out in ("whole", "stopped")]
    parts = [{k: v for k, v in tree["training"].items() if k in ("network", "average", "momentum")} for tree in trees]
    for part, wanted in parts[0].items():
        assert all(torch.equal(parts[1][part][k], v) for k, v in wanted.items())
    with monkeypatch.context() as patch:
        patch.setattr(Training, "measured", property(lambda self: self.network))
        other = job.train(config, options(tmp_path / "last"))
    assert other["valid_loss"] != whole["valid_loss"], "the average is measured, and not the last weights"


def test_a_deterministic_training_has_the_bits_of_another_on_a_cpu_and_says_so(command, flags, tmp_path):
    records = []
    for out, more in (("plain", ()), ("kept", ("--deterministic",))):
        done = command("train", *flags, "--out", tmp_path / out, "--quiet", *more)
        assert done.status == 0, done.err
        (folder,) = (tmp_path / out).iterdir()
        tree = load_checkpoint(folder / "checkpoint.pt")["tree"]["training"]
        records.append((json.loads((folder / "record.json").read_text()), [steady(x) for x in lines(folder)], tree))
    assert not torch.are_deterministic_algorithms_enabled()
    (plain, *rest), (kept, *others) = records
    assert steady(kept) == steady(plain)
    assert rest[0] == others[0]
    for part in ("network", "momentum"):
        assert all(torch.equal(others[1][part][k], v) for k, v in rest[1][part].items())
    assert [one["deterministic"] for one in kept["segments"]] == [True]
    assert "deterministic" not in plain["segments"][0]


def test_what_names_a_training(raw):
    task, config = job.resolve(raw).load_task(), job.resolve(raw)
    others = [
        job.resolve(raw | {"seed": 1}), job.resolve(raw | {"arch": CELL.replace("none", "skip_connect")}),
        job.resolve(raw, processes=2), job.resolve(raw | {"epochs": 5}),
    ]  # fmt: skip
    assert len({c.id(task) for c in (config, *others)}) == 5
    assert job.resolve(dict(raw)).id(task) == config.id(task)


def test_a_dry_run_keeps_nothing(command, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = command("train", *flags, "--dry-run")
    walked = "walked 1 of 9 steps, on 2 of 120 images, with the network of the true size; nothing was kept\n"
    assert (done.status, done.out) == (0, f"dry run: the training went from its first step to its score; {walked}")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_counts_the_steps_of_accumulated_batches(command, flags):
    done = command("train", *flags, "--set", "scoring.accumulate=2", "--dry-run")
    assert done.status == 0, done.err
    assert "walked 1 of 6 steps, on 2 of 120 images" in done.out


def test_a_configuration_file(command, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = flags[3]
    (tmp_path / "t.toml").write_text(f'arch = "{CELL}"\ntask = "{task}"\n[scoring]\nchannels = 2\nepochs = 9\n')
    assert command("train", "--config", "t.toml", "--epochs", 1, "--quiet").status == 0
    (folder,) = (tmp_path / "runs").iterdir()
    config = json.loads((folder / "config.json").read_text())
    assert (config["scoring"]["epochs"], config["scoring"]["channels"], config["protocol"]) == (1, 2, "small-digits")
    more = ["--epochs", 1, "--set", "scoring.epochs=2", "--out", "other", "--quiet"]
    assert command("train", "--config", "t.toml", *more).status == 0
    (folder,) = (tmp_path / "other").iterdir()
    assert json.loads((folder / "config.json").read_text())["scoring"]["epochs"] == 2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--arch", "|none~0|"], "|none~0|"),
        (["--space", "nb20"], "unknown space 'nb20': did you mean 'nb201'"),
        (["--task", "cifar"], "unknown task 'cifar': did you mean 'cifar10'"),
        (["--preset", "papers"], "unknown preset 'papers': did you mean 'paper'"),
        (["--set", "scoring.bf61=true"], "unknown option of scoring 'bf61': did you mean 'bf16'"),
        (["--set", "searcher.alpha_lr=1"], "unknown configuration key of train 'searcher'"),
        (["--set", "scoring.warmup_epochs=3"], "warmup_epochs 3 leaves nothing of 3 epochs"),
        (["--set", "scoring.epochs=0"], "scoring: epochs = 0"),
        (["--set", "scoring.ema=1"], "scoring: ema = 1: input should be less than 1"),
        (["--set", "scoring.mixup=0"], "scoring: mixup = 0: input should be greater than 0"),
        (["--set", "scoring.cutmix=true"], "scoring: cutmix = true: true and false are no values of it"),
        (["--set", "scoring.accumulate=0"], "scoring: accumulate = 0: input should be greater than or equal to 1"),
        (["--seed", "-1"], "seed = -1: expected an integer of at least 0"),
        (["--set", "scoring.lr=1e30"], "training diverged: loss "),
        (["--device", "meta"], "device 'meta' cannot be used"),
    ],
)
def test_refusals_are_one_line(refused, flags, change, text):
    assert text in refused("train", *flags, *change)


@pytest.mark.parametrize("every", ["0", "-3"])
def test_a_number_of_steps_that_cannot_be_is_refused(refused, flags, every):
    assert f"checkpoint_steps = {every}: expected a whole number of at least 1" in refused(
        "train", *flags, "--checkpoint-steps", every
    )


def test_an_architecture_is_needed(refused):
    assert "no architecture given: add --arch" in refused("train")


@pytest.fixture
def photographs(tmp_path):
    """Three classes of distinct colours, 400 training images each, and 4 to test: JPEGs of 12 x 10 pixels."""
    for split, count in (("train", 400), ("val", 4)):
        for label in range(3):
            place = tmp_path / "images" / split / f"n{label}"
            place.mkdir(parents=True)
            pixels = np.full((10, 12, 3), 60, np.uint8)
            pixels[..., label] = 200
            for i in range(count):
                Image.fromarray(pixels + np.uint8(i % 40)).save(place / f"{i:03}.JPEG")
    return tmp_path / "images"


def test_photographs_are_trained_on_and_a_broken_one_is_named_and_counted(command, photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (photographs / "train" / "n1" / "007.JPEG").write_bytes(b"no image")
    flags = ["--arch", CELL, "--task", "imagenet", "--protocol", "imagenet-training", "--data", photographs]
    for setting in ("task_options.valid=12", "task_options.resolution=16", "scoring.channels=2", "scoring.cells=1",
                    "scoring.batch=64", "scoring.epochs=1", "scoring.lr=0.1"):  # fmt: skip
        flags += ["--set", setting]
    done = command("train", *flags)
    assert done.status == 0, done.err
    broken = photographs / "train" / "n1" / "007.JPEG"
    assert f"skipped '{broken}', which cannot be read: cannot identify it as PNG, JPEG" in done.err
    assert "1 images that cannot be read were skipped" in done.out
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    (split,) = record["skipped"]
    assert list(record["skipped"][split]) == ["n1/007.JPEG"]
    assert record["task_facts"]["images"] == {"train": 1188, "valid": 12, "test": 12}
    (photographs / "train" / "n2" / "009.JPEG").write_bytes(b"no image either")
    again = command("train", *flags, "--force")
    assert again.status == 2
    line = f"benchbed: 2 of 1188 images cannot be read, more than 0.1%: '{photographs / 'train' / 'n'}"
    assert again.err.splitlines()[-1].startswith(line)
