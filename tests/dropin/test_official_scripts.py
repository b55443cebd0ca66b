"""The search scripts of AutoDL-Projects (exps/NATS-algos) over tables of means.

Here are the calls that they make, in their order, on both spaces, held against the clock of `study tabular`. The
scripts themselves run, unchanged, where BENCHBED_ORIGINALS names a folder with a clone of D-X-Y/AutoDL-Projects (tried
at f46486e) and this Python has what they import: torchvision, and for bohb.py hpbandster 0.7.4 and ConfigSpace 1.2.2.
"""

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher
from benchbed.cost import without_cost
from benchbed.dropin import NATSsize, NATStopology, create
from benchbed.dropin.structure import TopologyStructure
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock
from benchbed.space import Architecture
from benchbed.spaces.nats_sss.space import CANDIDATES
from benchbed.spaces.nb201.space import OPERATIONS
from benchbed.streams import Streams
from benchbed.tables import Table, store

# Checking annotations draws from Python's `random`, as the scripts do.
pytestmark = pytest.mark.usefixtures("unchecked")

BUDGET = 3000.0
SPACES = ("tss", "sss")


@pytest.fixture(scope="session")
def sizes_table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Means of all 32,768 networks, and the seconds of their 90 epochs. The figures are made up."""
    rng, shape = np.random.default_rng(0), (8,) * 5
    accuracy = {
        f"cifar10_{split}_{epochs}": rng.uniform(20, 90, shape) for split in ("valid", "test") for epochs in (12, 90)
    }
    arrays = {f"accuracy/{name}": values for name, values in accuracy.items()}
    arrays["seconds/cifar10_valid_90"] = rng.uniform(250, 900, shape)
    arrays["order"] = np.arange(8**5, dtype=np.int32)
    for kind in ("params", "flops"):
        arrays[f"{kind}/cifar10"] = rng.integers(10**4, 10**6, shape)
    meta = {"format": store.FORMAT, "space": "nats-sss", "fingerprint": store.fingerprint("nats-sss", arrays),
            "figures": [["cifar10", split, e] for split in ("valid", "test") for e in (90, 12)], "seeds": {},
            "full_epochs": 90}  # fmt: skip
    file = tmp_path_factory.mktemp("tables") / "nats-sss.npz"
    store.write(file, meta, arrays)
    return Table.open(file)


@pytest.fixture(params=SPACES)
def api(request: pytest.FixtureRequest) -> Any:
    """As the scripts make it."""
    table = request.getfixturevalue("csv_table" if request.param == "tss" else "sizes_table")
    return create(table, request.param, fast_mode=True, verbose=False)


# -- what the scripts do ---------------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """A run: architectures in the order of their evaluation, accuracies, the clock after each, the best one's index."""

    archs: list[Any]
    accuracies: list[float]
    times: list[float]
    best: list[int]


def drawn(api: Any) -> Any:
    """A random structure or string of widths."""
    if api.is_size:
        return ":".join(str(random.choice(CANDIDATES)) for _ in range(5))
    return TopologyStructure([[(random.choice(OPERATIONS), j) for j in range(i)] for i in range(1, 4)])


def mutated(api: Any, parent: Any) -> Any:
    if api.is_size:
        widths = parent.split(":")
        widths[random.randint(0, 4)] = str(random.choice(CANDIDATES))
        return ":".join(widths)
    nodes = [list(node) for node in parent.nodes]
    node = random.choice(nodes)
    edge = random.randrange(len(node))
    node[edge] = (random.choice([op for op in OPERATIONS if op != node[edge][0]]), node[edge][1])
    return TopologyStructure(nodes)


def evaluated(api: Any, trace: Trace, arch: Any, **simulated: Any) -> float:
    accuracy, _, _, total = api.simulate_train_eval(arch, "cifar10", **simulated)
    trace.archs.append(arch), trace.accuracies.append(accuracy), trace.times.append(total)
    best = trace.archs[trace.accuracies.index(max(trace.accuracies))]
    trace.best.append(api.query_index_by_arch(best))
    return float(accuracy)


def random_search(api: Any, seed: int) -> Trace:
    """random_wo_share.py; reinforce.py makes the same calls on draws of a policy."""
    random.seed(seed)
    api.reset_time()
    trace = Trace([], [], [], [])
    while not trace.times or trace.times[-1] < BUDGET:
        evaluated(api, trace, drawn(api), hp="12")
    return trace


def evolution(api: Any, seed: int) -> Trace:
    """regularized_ea.py."""
    random.seed(seed)
    api.reset_time()
    trace, population = Trace([], [], [], []), []
    while len(population) < 10:
        arch = drawn(api)
        population.append((evaluated(api, trace, arch, hp="12"), arch))
    while trace.times[-1] < BUDGET:
        parent = max((random.choice(population) for _ in range(3)), key=lambda one: one[0])[1]
        child = mutated(api, parent)
        population.append((evaluated(api, trace, child, hp="12"), child))
        population.pop(0)
    return trace


def halving(api: Any, seed: int) -> Trace:
    """bohb.py: budgets of 1.33, 4 and 12 epochs, which it truncates."""
    random.seed(seed)
    api.reset_time()
    trace = Trace([], [], [], [])
    for _ in range(5):
        for budget in (12 / 9, 4.0, 12.0):
            evaluated(api, trace, drawn(api), iepoch=int(budget) - 1, hp="12")
    return trace


class Replay(BlackBoxSearcher):
    """Proposes given architectures, on the clock of `study tabular`."""

    given: list[Architecture]

    def propose(self) -> Architecture | None:
        return self.given[len(self.trials)] if len(self.trials) < len(self.given) else None


def replayed(api: Any, trace: Trace) -> Replay:
    objective = TableObjective.of(api.table, "cifar10")
    searcher = Replay(objective.space, BlackBoxOptions(budget=BUDGET), Streams(0))
    texts = [arch if isinstance(arch, str) else arch.tostr() for arch in trace.archs]
    searcher.given = [objective.space.parse(text) for text in texts]
    searcher.arch_step(without_cost(objective), None, Clock(0, 0, 1, 1))
    return searcher


@pytest.mark.parametrize("script", [random_search, evolution])
def test_the_clock_and_the_trials_are_those_of_study_tabular(api: Any, script: Callable[..., Trace]) -> None:
    """The scripts' last evaluation begins before the budget's end and ends after it; a study never makes that one."""
    for seed in range(3):
        trace = script(api, seed)
        own = replayed(api, trace)
        assert len(own.trials) == sum(time <= BUDGET for time in trace.times) == len(trace.times) - 1 > 5
        assert [trial.seconds for trial in own.trials] == trace.times[:-1]
        assert [trial.accuracy for trial in own.trials] == trace.accuracies[:-1]
        assert own.incumbent is not None
        assert api.table.index(own.incumbent.architecture) == trace.best[-2]


def test_a_run_is_the_same_whatever_was_run_before(api: Any) -> None:
    """The scripts make hundreds of runs with one interface."""
    first = random_search(api, 1)
    random_search(api, 2)
    again = random_search(api, 1)
    assert again.times == first.times
    assert again.best == first.best


def test_successive_halving_pays_for_the_epochs_that_it_asks_for(api: Any) -> None:
    trace, spent = halving(api, 0), 0.0
    objective = TableObjective.of(api.table, "cifar10")
    for number, (arch, time) in enumerate(zip(trace.archs, trace.times, strict=True)):
        architecture = objective.space.parse(arch if isinstance(arch, str) else arch.tostr())
        accuracy, seconds = objective.evaluate(architecture, 12)
        spent += seconds * (1, 4, 12)[number % 3] / 12
        assert time == pytest.approx(spent, rel=1e-12)
        assert trace.accuracies[number] == accuracy


def test_what_is_printed_at_the_end_and_what_is_said(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        trace = random_search(api, seed)
        best = trace.archs[trace.accuracies.index(max(trace.accuracies))]
        lines = api.query_info_str_by_arch(best, str(api.full_train_epochs)).splitlines()
        assert lines[1].endswith(f"extra-info : arch-index={trace.best[-1]}")
        assert "valid : [loss = n/a & top1 = " in lines[3]
        assert f"use api : {api}".startswith("use api : NATS")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    full = api.full_train_epochs
    assert f"its seconds are 12/{full} of those of training for {full} epochs, without validation" in said[0]
    assert "has no losses and no training accuracies: n/a stands for what is missing" in said[1]


def test_the_default_tables_are_named_as_the_spaces(
    csv_table: Table, sizes_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path))
    (tmp_path / "tables").mkdir()
    for name, table in (("nb201", csv_table), ("nats-sss", sizes_table)):
        path: Path = table._arrays.path
        (tmp_path / "tables" / f"{name}.npz").symlink_to(path)
    assert isinstance(create(None, "size", fast_mode=True, verbose=False), NATSsize)
    assert isinstance(create(None, "topology", fast_mode=True, verbose=False), NATStopology)


# -- the scripts themselves ------------------------------------------------------------------------------------------

OPTIONS = {
    "random_wo_share": [],
    "regularized_ea": ["--ea_cycles", "200", "--ea_population", "10", "--ea_sample_size", "3"],
    "reinforce": ["--learning_rate", "0.01"],
    "bohb": ["--num_samples", "4", "--random_fraction", "0.0", "--bandwidth_factor", "3", "--n_iters", "6"],
}
NEEDS = {"bohb": ("torchvision", "hpbandster", "ConfigSpace")}


@pytest.fixture
def official(
    csv_table: Table, sizes_table: Table, tmp_path: Path, child_env: dict[str, str], request: pytest.FixtureRequest
) -> Callable[..., Any]:
    """`official(script, *arguments)`: runs the clone's script over both tables, in an empty folder."""
    folder = os.environ.get("BENCHBED_ORIGINALS")
    if not folder or not (clone := Path(folder) / "AutoDL-Projects").is_dir():
        pytest.skip("needs BENCHBED_ORIGINALS, a folder that holds a clone of D-X-Y/AutoDL-Projects")

    def run(script: str, *arguments: str) -> Any:
        if missing := [name for name in NEEDS.get(script, ("torchvision",)) if find_spec(name) is None]:
            pytest.skip(f"{script}.py imports {', '.join(missing)}, which this Python does not have")
        files = [str(table._arrays.path) for table in (csv_table, sizes_table)]
        tables = [word for file in files for word in ("--table", file)]
        command = [
            sys.executable,
            "-m",
            "benchbed.dropin",
            *tables,
            str(clone / "exps" / "NATS-algos" / f"{script}.py"),
        ]
        env = {**child_env, "PYTHONPATH": f"{child_env['PYTHONPATH']}:{clone}", "OMP_NUM_THREADS": "1"}
        # hpbandster's own serializer refuses the numpy strings that ConfigSpace 1 makes
        env |= {"PYRO_SERIALIZER": "pickle", "PYRO_SERIALIZERS_ACCEPTED": "pickle"}
        words = [*command, "--dataset", "cifar10", "--time_budget", str(int(BUDGET)), *OPTIONS[script], *arguments]
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("script", OPTIONS)
def test_an_official_script_runs_once(official: Any, script: str, space: str) -> None:
    done = official(script, "--search_space", space, "--rand_seed", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "[loss = n/a & top1 = " in done.stdout
    said = [line for line in done.stderr.splitlines() if line.startswith("benchbed: ")]
    assert len(said) == (4 if script == "bohb" else 3), said


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("script", OPTIONS)
def test_an_official_script_makes_many_runs(
    official: Any, request: pytest.FixtureRequest, tmp_path: Path, script: str, space: str
) -> None:
    done = official(script, "--search_space", space, "--rand_seed", "-1", "--loops_if_rand", "3")
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = tmp_path.rglob("results.pth")
    runs = torch.load(file, weights_only=False)
    assert len(runs) == 3
    table = request.getfixturevalue("csv_table" if space == "tss" else "sizes_table")
    objective = TableObjective.of(table, "cifar10")
    _, seconds = objective.trainings(12)
    known = {round(float(s) * share, 6) for s in seconds.reshape(-1) for share in (1, 1 / 3, 1 / 12)}
    for run in runs.values():
        times = run["all_total_times"]
        assert len(times) == len(run["all_archs"]) > 2
        steps = np.diff([0.0, *times])
        assert all(min(abs(step - near) for near in _nearest(known, step)) < 1e-5 for step in steps)
        if script != "bohb":  # which has a number of iterations, and no budget of seconds
            assert times[-2] < BUDGET <= times[-1]
    said = [line for line in done.stderr.splitlines() if line.startswith("benchbed: ")]
    assert len(said) == (4 if script == "bohb" else 3), said


def _nearest(known: set[float], step: float) -> list[float]:
    return [round(step, 6) + d for d in (-1e-6, 0.0, 1e-6) if round(round(step, 6) + d, 6) in known] or [float("inf")]


@pytest.mark.slow
def test_random_search_visits_as_many_as_a_study_would(official: Any, csv_table: Table) -> None:
    done = official("random_wo_share", "--search_space", "tss", "--rand_seed", "7")
    assert done.returncode == 0, done.stderr[-2000:]
    texts = re.findall(r"^\[\d+\] : Structure\(4 nodes with (\S+)\) : accuracy", done.stdout, re.MULTILINE)
    (visited,) = re.findall(r"visit (\d+) archs with ([\d.]+) s", done.stdout)
    own = replayed(NATStopology(csv_table, verbose=False), Trace(texts, [], [], []))
    last = TableObjective.of(csv_table, "cifar10").evaluate(csv_table.space.parse(texts[-1]), 12).seconds
    assert int(visited[0]) == len(texts) == len(own.trials) + 1
    assert f"{own.seconds + last:.1f}" == visited[1]


@pytest.mark.slow
def test_nats_bench_s_own_tests_pass(
    nats_size_sample: Any, nats_table: Table, child_env: dict[str, str], tmp_path: Path
) -> None:
    """tests/api_test.py of D-X-Y/NATS-Bench, of both spaces, on the sample that lies beside it."""
    tests = Path(os.environ["BENCHBED_ORIGINALS"]) / "NATS-Bench" / "tests" / "api_test.py"
    files = [str(table._arrays.path) for table in (nats_table, nats_size_sample.ours.table)]
    code = (
        f"import sys\nfrom benchbed.dropin import install\ninstall(*{files})\nimport pytest\n"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--rootdir', {str(tmp_path)!r}, {str(tests)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=child_env, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "8 passed" in done.stdout
