"""What every test shares: types and shapes checked at run time, one thread, a clean checkout, the data beside it."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jaxtyping
import numpy as np
import pytest

from .checked import install
from .lanes import pytest_collection_modifyitems as pytest_collection_modifyitems
from .lanes import pytest_configure as pytest_configure

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch and BLAS when they load; the tests' tensors are small
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes start here: each would compile benchbed anew
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a test of two threads beside other tests: they wait asleep

install()


ROOT = Path(__file__).resolve().parents[1]


def left_in_checkout() -> set[str]:
    """What lies in the root of the checkout and in its folder of runs; hidden files are the tools' own caches."""
    root = {name for name in os.listdir(ROOT) if not name.startswith(".") and name != "__pycache__"}
    return root | {f"runs/{path.name}" for path in (ROOT / "runs").glob("*")}


KNOWN = left_in_checkout()


@pytest.fixture(autouse=True)
def clean_checkout() -> Iterator[None]:
    """Fails a test that writes beside the sources: a run needs --out, a file needs tmp_path.

    Under xdist the tests that ran at the same time are blamed too, as would be somebody's own run in the checkout.
    """
    yield
    new = left_in_checkout() - KNOWN
    KNOWN.update(new)
    assert not new, f"this test, or one beside it, left in {ROOT}: {', '.join(sorted(new))}"


@pytest.fixture(autouse=True)
def own_draws() -> None:
    """A network that a test builds by hand has the same weights whichever tests ran before it in the process."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What is written is not lost here by a power cut, and a tiny run would wait for the disk a tenth of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that hands over a wrong type on purpose, to see what a user would."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The third-party data beside the checkout, which the project neither holds nor needs."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the third-party data in ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def child_env() -> dict[str, str]:
    """The environment of a Python that imports this checkout from wherever it runs."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz task that a run goes through in half a second: 200 noisy 8x8 images in four classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    images = rng.normal(size=(200, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 1.5
    file = tmp_path_factory.mktemp("task") / "tiny.npz"
    np.savez(file, images=images, labels=labels)
    return file


@pytest.fixture(scope="session")
def tiny_raw(tiny_file: Path) -> Callable[[], dict[str, Any]]:
    """`tiny_raw()`: what `tiny` gives, for the fixtures of a module."""
    sizes = {"channels": 2, "batch": 40, "valid_batch": 40, "eval_batch": 40}
    scoring = {"channels": 2, "epochs": 1, "batch": 40}
    return lambda: {"task": f"npz:{tiny_file}", "epochs": 2, "supernet": {**sizes}, "scoring": {**scoring}}


@pytest.fixture
def tiny(tiny_raw: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The raw configuration of such a run, to be changed at will; searcher and selector are the test's."""
    return tiny_raw()


@pytest.fixture
def tiny_flags(tiny: dict[str, Any]) -> list[str]:
    """The same for the command line."""
    flags = ["--task", tiny["task"], "--epochs", str(tiny["epochs"])]
    for section in ("supernet", "scoring"):
        for key, value in tiny[section].items():
            flags += ["--set", f"{section}.{key}={value}"]
    return flags


class Outcome(NamedTuple):
    """What a command left: its exit status, its stdout and its stderr."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """`command("run", "--searcher", "darts", ...)`: the command line in this process, as `python -m benchbed` runs it.

    Plug-in files that it registers are forgotten after the test.
    """
    from benchbed import registry
    from benchbed.cli import main as cli

    monkeypatch.setattr(registry, "_USER_FILES", {})

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["benchbed", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(ended.value.code if isinstance(ended.value.code, int) else 0, captured.out, captured.err)

    yield run
    for name in [n for n in sys.modules if n.startswith("benchbed_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], unchecked: None
) -> Callable[..., str]:
    """`refused(*arguments)`: runs the command in an empty folder, checks how it is refused, and gives the line.

    One line on stderr, exit status 2, and not a file of the test's folder is new, gone or changed.
    """
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


@pytest.fixture(scope="session")
def finished_run(tiny_file: Path) -> list[str]:
    """The arguments of the run that `finished` holds, all but --out."""
    sizes = {"supernet.channels": 2, "supernet.batch": 40, "supernet.valid_batch": 40, "supernet.eval_batch": 40}
    settings = [f"--set={key}={value}" for key, value in {**sizes, "scoring.channels": 2, "scoring.epochs": 1}.items()]
    names = ["--searcher", "random", "--selector", "magnitude"]
    return ["run", *names, "--task", f"npz:{tiny_file}", "--epochs", "2", *settings, "--quiet"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, finished_run: list[str], child_env: dict[str, str]) -> Path:
    """An output folder with one finished run, to be copied before it is changed."""
    out = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "benchbed", *finished_run, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env=child_env)
    return out


@pytest.fixture
def make_table(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`make_table("mine", valid=..., test=..., seeds=...)`: a NAS-Bench-201 table of CIFAR-10, in a home of the test.

    valid, test: (5,)*6 in percent, drawn where not given; seeds: (5,)*6 + (S,) of the test accuracy, or None;
    short: (5,)*6, the validation accuracy after 12 epochs, or None; short_seeds: (5,)*6 + (S,) of it; seconds: (5,)*6,
    of the 200 epochs, or None.
    """
    from benchbed.tables import Table, store

    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path_factory.mktemp("home")))

    def make(name: str, **given: np.ndarray) -> Table:
        rng = np.random.default_rng(7)
        arrays = {}
        for split in ("valid", "test"):
            drawn = rng.uniform(20, 95, (5,) * 6)
            arrays[f"accuracy/cifar10_{split}_200"] = given.get(split, drawn)
        names, figures = {}, [["cifar10", "valid", 200], ["cifar10", "test", 200]]
        if "short" in given:
            arrays["accuracy/cifar10_valid_12"] = given["short"]
            figures.append(["cifar10", "valid", 12])
        if "seeds" in given:
            arrays["seeds/cifar10_test_200"] = given["seeds"]
            names["cifar10_test_200"] = [str(n) for n in range(given["seeds"].shape[-1])]
        if "short_seeds" in given:
            arrays["seeds/cifar10_valid_12"] = given["short_seeds"]
            names["cifar10_valid_12"] = [str(n) for n in range(given["short_seeds"].shape[-1])]
        if "seconds" in given:
            arrays["seconds/cifar10_valid_200"] = given["seconds"]
        meta = {
            "format": store.FORMAT,
            "space": "nb201",
            "fingerprint": store.fingerprint("nb201", arrays),
            "figures": figures,
            "seeds": names,
        }
        store.write(store.path_of(name), meta, arrays)
        return Table.open(name)

    return make


@pytest.fixture
def real_table(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The public export of NAS-Bench-201 with its per-seed arrays, imported as 'nb201' into a home of the test."""
    from benchbed.tables.importing import import_table

    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path_factory.mktemp("home")))
    return import_table([shared_data / "nb201" / "table.csv", shared_data / "nb201" / "per_seed_200.npz"], "nb201")


# -- published data sets: CIFAR-10 itself, and small stand-ins for the others --------------------------------------


@pytest.fixture(scope="session")
def cifar10_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the published `cifar-10-batches-py`, restored byte for byte."""
    folder = tmp_path_factory.mktemp("cifar10")
    script = shared_data.parent / "bin" / "unpack-cifar10"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True, timeout=120)
    return folder


@dataclass(frozen=True)
class StandIn:
    """A small data set in the published form. Pixel 0 of image i holds i, as three base-256 digits over the channels;
    the test images count on from the last training image."""

    of: Any
    data: Path

    def task(self, **options):
        from benchbed.images.published import Options, published_task

        given = {"splits": None, "split": None, "images": None, "cutout": 0, "verify": False, **options}
        return published_task(self.of, self.data, Options(**given))

    def numbers(self, split) -> list[int]:
        """The images of a split by their number, from their normalised pixels."""
        corner = split.images[:, :, 0, 0].double().numpy() * self.of.std + self.of.mean
        return (corner.round() @ [1, 256, 65536]).astype(int).tolist()


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., StandIn]:
    """`stand_in(CIFAR100, train=400, test=200)`: that many images of the task's classes, in turn, files as published.

    Where the files hold more classes than the task's, each batch also has one image of the class after the last.
    """

    def make(of: Any, train: int, test: int, protocol: int = 4) -> StandIn:
        folder = tmp_path / of.folder
        folder.mkdir()
        rng, start, md5 = np.random.default_rng(0), 0, {}
        for files, count in ((of.train, train), (of.test, test)):
            for name, numbers in zip(files, np.array_split(np.arange(start, start + count), len(files)), strict=True):
                images = rng.integers(0, 256, size=(len(numbers), 3, of.layout.side**2), dtype=np.uint8)
                images[:, :, 0] = numbers[:, None] // [1, 256, 65536] % 256
                labels = ((numbers - start) % of.classes + of.layout.first).tolist()
                if of.classes + of.layout.first <= of.layout.last:
                    images = np.concatenate([images[:1], images])
                    labels = [of.classes + of.layout.first, *labels]
                batch = {"data": images.reshape(len(images), -1), of.layout.labels: labels, "mean": images.mean(0)}
                written = pickle.dumps(batch, protocol=protocol)
                (folder / name).write_bytes(written)
                md5[name] = hashlib.md5(written).hexdigest()
            start += count
        files = {which: {name: md5[name] for name in getattr(of, which)} for which in ("train", "test")}
        return StandIn(replace(of, **files, train_images=train, test_images=test), tmp_path)

    return make


@pytest.fixture
def split_file(tmp_path: Path) -> Callable[..., Path]:
    """`split_file(CIFAR100, one, two)`: a folder with that data set's split file, as NAS-Bench-201 writes it."""

    def write(of: Any, one, two) -> Path:
        lists = {key: ["int", [str(i) for i in x]] for key, x in zip(of.split_file.keys, (one, two), strict=True)}
        (tmp_path / of.split_file.name).write_text(json.dumps(lists))
        return tmp_path

    return write


# `small_space`: a space that is not named here has no size of its own.
SMALL_SPACES: dict[str, dict[str, Any]] = {
    "mbconv": {
        "preset": "small",
        "stem_width": 8,
        "stage_widths": [8, 16],
        "stage_depths": [2, 1],
        "stage_strides": [1, 2],
        "head_width": 8,
    },
    "nb201-untied": {"cells": 1},
    "proxyless-cifar": {"preset": "small", "blocks": 1, "start": 4, "widening": 3},
}


@pytest.fixture(scope="session")
def small_space() -> Callable[[str], Any]:
    """`small_space(name)`: a registered space, as small as it can be made."""
    from benchbed.spaces.load import load_space

    def make(name: str) -> Any:
        return load_space(name, SMALL_SPACES.get(name, {}))

    return make


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """How many images were given to a network or to its first layers, a number each time."""
    import torch

    counts: list[int] = []

    def look(module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        if given and given[0].ndim == 4 and given[0].shape[1] in (1, 3):
            counts.append(len(given[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    yield counts
    handle.remove()
