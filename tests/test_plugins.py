"""Third parties: a searcher, a selector and a space made in a temporary folder, run from search to record."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry

SEARCHER = '''"""Halves: alpha goes down for whatever is drawn and loses; [brackets] are no markup."""

from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field

from benchbed.searcher import Options as PluginOptions
from benchbed.searcher import Searcher


class Options(PluginOptions):
    """How much."""

    rate: float = Field(0.5, gt=0, description="step of the probabilities")


class Halves(Searcher):
    Options: ClassVar[type[BaseModel]] = Options
    evaluation = "sampled"

    def __init__(self, space, options, streams):
        super().__init__(space, options, streams)
        self.p = self.mask / self.mask.sum(1, keepdim=True)

    def weight_gates(self, objective, batch, clock):
        return self.sample(1)[0]

    def arch_step(self, problem, batch, clock):
        gates = self.sample(1)
        measured = problem.objective.measure(gates, problem.objective.batch("valid"))
        self.p = self.p + self.options.rate * measured.accuracy[0] / 100 * gates[0]
        self.p = self.p / self.p.sum(1, keepdim=True)
        return {"loss": float(measured.loss[0])}

    def probabilities(self):
        return self.p

    def state(self):
        return {"p": self.p.clone()}

    def load_state(self, tree):
        self.p = tree["p"].clone()
'''

SELECTOR = '''"""The last operation that may be selected, everywhere."""

import numpy as np

from benchbed.selector import Selection, Selector


class Last(Selector):
    def step(self, context):
        choices = tuple(int(np.flatnonzero(row)[-1]) for row in context.space.selectable)
        return Selection(context.space.architecture_of(choices), np.full(context.space.mask.shape, np.nan), {"n": 1})
'''

SPACE = '''"""Two layers, each dense, shallow or absent; rows of different lengths."""

import torch
from torch import nn

from benchbed.errors import BenchbedError, unknown
from benchbed.space import Architecture, Position, Space


class Layers(Space):
    supernet = f"{__name__}:Super"
    network = f"{__name__}:Net"
    positions = (
        Position("one", ("dense", "shallow", "absent"), (True, True, False)),
        Position("two", ("shallow", "absent"), (True, True)),
    )

    def parse(self, text):
        words = text.split("/")
        if len(words) != 2:
            raise BenchbedError(f"'{text}': two words joined by '/' are expected")
        for word, position in zip(words, self.positions):
            if word not in position.operations:
                raise unknown(f"operation of '{position.name}'", word, position.operations)
        return self.architecture_of(tuple(p.operations.index(w) for w, p in zip(words, self.positions)))

    def architecture_of(self, choices):
        return Architecture("/".join(p.operations[k] for k, p in zip(choices, self.positions)), choices)

    def canonical(self, arch):
        return arch.choices


def operation(name, width):
    if name == "absent":
        return nn.Identity()
    return nn.Sequential(nn.Linear(width, width), nn.Tanh()) if name == "dense" else nn.Linear(width, width)


class Super(nn.Module):
    def __init__(self, channels, cells, classes, in_channels):
        super().__init__()
        self.width = 8 * channels
        self.stem = nn.LazyLinear(self.width)
        self.stem(torch.zeros(2, 64 * in_channels))
        rows = [[operation(n, self.width) for n in p.operations] for p in Layers.positions]
        self.mixed = nn.ModuleList(nn.ModuleList(row) for row in rows)
        self.head = nn.Linear(self.width, classes)

    def forward(self, images, gates, plan):
        x = self.stem(images.flatten(1))
        for i, operations in enumerate(self.mixed):
            x = sum((gates[i, k] * operations[k](x) for k, _ in plan[i]), torch.zeros_like(x))
        return self.head(x)


class Net(nn.Sequential):
    def __init__(self, choices, channels, cells, classes, in_channels):
        chosen = [operation(p.operations[k], 8 * channels) for p, k in zip(Layers.positions, choices)]
        stem = nn.Linear(64 * in_channels, 8 * channels)
        super().__init__(nn.Flatten(), stem, *chosen, nn.Linear(8 * channels, classes))
'''

Command = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The three files, in a folder with names that need a dash."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, text in (("my_halves", SEARCHER), ("my_last", SELECTOR), ("my_layers", SPACE)):
        (folder / f"{name}.py").write_text(text)
    return folder


def record_of(out: Path, pattern: str) -> dict[str, Any]:
    (file,) = out.glob(f"{pattern}/record.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_searcher_of_ones_own_with_every_kind_of_selector(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str]
) -> None:
    plugins = ("--plugin", files / "my_halves.py", "--plugin", files / "my_last.py")
    names = ("--searcher", "my-halves", "--selector", "magnitude,perturb,my-last")
    few = ("--set", "selector.draws=2", "--set", "searcher.rate=0.25", "--out", tmp_path / "out")
    assert command("run", *names, *plugins, *tiny_flags, *few).status == 0
    record = record_of(tmp_path / "out", "my-halves-my-last-*")
    assert record["architecture"].count("avg_pool_3x3") == 6
    assert record["notes"] == {"n": 1}
    assert record["config"]["searcher"]["options"] == {"rate": 0.25}
    perturbed = record_of(tmp_path / "out", "my-halves-perturb-*")
    assert perturbed["search"] == record["search"]
    assert perturbed["notes"]["gates"] == "sampled"  # the mode that the searcher says


SHARING = [p.name for p in registry.plugins("searcher") if "fidelity" not in registry.load("searcher", p.name).needs]
SHARING.remove("darts-minus")  # it needs a skip connection at every position


@pytest.mark.parametrize("searcher", [*SHARING, "my-halves"])
def test_a_space_of_ones_own_with_every_searcher(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str], searcher: str
) -> None:
    plugins = ("--plugin", files / "my_layers.py", "--plugin", files / "my_halves.py")
    names = ("--space", "my-layers", "--searcher", searcher, "--selector", "magnitude,perturb,best-of")
    few = ("--set", "selector.draws=2", "--set", "selector.samples=5", "--set", "selector.gates=sampled")
    outcome = command("run", *names, *plugins, *tiny_flags, *few, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    for selector in ("magnitude", "perturb", "best-of"):
        record = record_of(tmp_path / "out", f"{searcher}-{selector}-*")
        assert record["space"] == "my-layers"
        assert record["architecture"] in {f"{a}/{b}" for a in ("dense", "shallow") for b in ("shallow", "absent")}
        assert (record["scores"][1][2] is None) == (selector != "magnitude")  # padding is never measured


def test_one_owns_space_is_described(files: Path, command: Command) -> None:
    plugin = ("--plugin", files / "my_layers.py")
    outcome = command("describe", "--space", "my-layers", "--arch", "dense/absent", *plugin)
    assert outcome.status == 0
    assert "dense" in outcome.out
    refused = command("describe", "--space", "my-layers", "--arch", "dense/dense", *plugin)
    assert (refused.status, refused.err) == (
        2,
        "benchbed: unknown operation of 'two' 'dense': known: absent, shallow\n",
    )


def test_ones_own_plug_ins_are_listed(files: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")  # so that no summary is broken
    plugins = [word for name in ("my_halves", "my_last", "my_layers") for word in ("--plugin", files / f"{name}.py")]
    lines = [" ".join(line.split()) for line in command("list", *plugins).out.splitlines()]
    for kind, name, text in (
        ("searcher", "halves", SEARCHER),
        ("selector", "last", SELECTOR),
        ("space", "layers", SPACE),
    ):
        summary = text.split('"""')[1].splitlines()[0]
        assert f"{kind} my-{name} {summary}" in lines
    options = command("list", "searcher", "my-halves", *plugins).out
    assert "searcher.rate" in options
    assert "step of the probabilities" in options
    assert "no options" in command("list", "selector", "my-last", *plugins).out


@pytest.mark.parametrize("name", ["my_halves", "my_last", "my_layers"])
def test_a_changed_plug_in_is_another_run(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str], name: str
) -> None:
    """Its content is a part of the run's name: nothing made with the old file is taken for the new one's."""
    plugins = [word for n in ("my_halves", "my_last", "my_layers") for word in ("--plugin", files / f"{n}.py")]
    names = ("--space", "my-layers", "--searcher", "my-halves", "--selector", "my-last")
    run = ("run", *names, *plugins, *tiny_flags, "--out", tmp_path / "out")
    assert command(*run).status == 0
    assert "done before" in command(*run).err
    (files / f"{name}.py").write_text((files / f"{name}.py").read_text() + "\n# changed\n")
    for module in [n for n in sys.modules if n.startswith("benchbed_plugin_")]:
        del sys.modules[module]  # as in a new process
    assert "done before" not in command(*run).err
    assert len(list((tmp_path / "out").glob("my-halves-my-last-*"))) == 2
    searches = len(list((tmp_path / "out" / "searches").iterdir()))
    assert searches == (1 if name == "my_last" else 2)  # a selector is no part of a search
    assert len(list((tmp_path / "out" / "scores").iterdir())) == (2 if name == "my_layers" else 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit", "SystemExit:"),
        ("context.space.architecture_of(7)", "TypeError: "),
    ],
)
def test_a_plug_in_that_fails_is_named_with_its_line(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str], line: str, said: str, unchecked: None
) -> None:
    file = files / "my_last.py"
    file.write_text(SELECTOR.replace("        choices =", f"        {line}\n        choices ="))
    names = ("--searcher", "random", "--selector", "my-last", "--plugin", file, "--out", tmp_path / "out")
    outcome = command("run", *names, *tiny_flags)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"benchbed: plug-in {file} at line 10: {said}")
    assert "Traceback" not in outcome.err
    (run,) = (tmp_path / "out").glob("random-my-last-*")
    assert not (run / "record.json").exists()


def test_its_author_may_see_the_traceback(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files / "my_last.py"
    file.write_text(SELECTOR.replace("        choices =", "        1 / 0\n        choices ="))
    monkeypatch.setenv("BENCHBED_TRACEBACK", "1")
    names = ("--searcher", "random", "--selector", "my-last", "--plugin", file, "--out", tmp_path / "out")
    with pytest.raises(ZeroDivisionError):
        command("run", *names, *tiny_flags)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (':Super"', ':Supper"', "its supernet cannot be imported: module 'benchbed_plugin_my_layers' has no attribute"),
        ('f"{__name__}:Net"', '"nowhere:Net"', "its network cannot be imported: No module named 'nowhere'"),
    ],
)
def test_a_space_whose_networks_are_not_there_is_refused_at_once(
    files: Path, command: Command, tmp_path: Path, tiny_flags: list[str], old: str, new: str, said: str
) -> None:
    file = files / "my_layers.py"
    file.write_text(file.read_text().replace(old, new))
    names = ("--space", "my-layers", "--searcher", "random", "--selector", "random", "--plugin", file)
    outcome = command("run", *names, *tiny_flags, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.err.startswith(f"benchbed: space 'my-layers': {said}")
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_installed_plug_ins_run_without_a_flag(
    files: Path, tmp_path: Path, tiny_flags: list[str], child_env: dict[str, str]
) -> None:
    """Three entry points of an installed distribution, in a process that knows them by these alone."""
    info = files / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[benchbed.searchers]\nhalves = my_halves:Halves\n\n[benchbed.selectors]\nlast = my_last:Last\n\n"
        "[benchbed.spaces]\nlayers = my_layers:Layers\n"
    )
    env = {**child_env, "PYTHONPATH": os.pathsep.join([child_env["PYTHONPATH"], str(files)])}
    run = [sys.executable, "-m", "benchbed", "run", "--space", "layers", "--searcher", "halves", "--selector", "last"]
    done = subprocess.run(
        [*run, *tiny_flags, "--out", str(tmp_path / "out")], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    record = record_of(tmp_path / "out", "halves-last-*")
    assert record["architecture"] == "shallow/absent"
    assert record["config"]["searcher"]["sha256"] is not None
    assert record["config"]["space_sha256"] is not None
