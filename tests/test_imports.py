"""What an import costs, which public names it gives, and that the arrows between the rooms run one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError

import benchbed

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"jaxtyping", "matplotlib", "numpy", "pandas", "pydantic", "scipy", "sklearn", "torch"}
FILES = {
    folder: sorted(p.relative_to(ROOT) for p in (ROOT / folder).rglob("*.py"))
    for folder in ("benchbed", "searchers", "selectors")
}


# The floors of the house, the ground first: a room imports from its own floor or from one below. A name is a file or a
# folder of benchbed/.
FLOORS = (
    ("errors", "moved"),
    ("typed", "streams"),
    ("runtime",),
    ("space", "protocols"),
    ("objective",),
    ("cost", "task"),
    ("searcher",),
    ("selector", "modifier", "black_box", "proxy", "predictor", "registry"),
    ("layers", "images", "stats", "selection"),
    ("supernet",),
    ("spaces",),
    ("tables",),
    ("objectives", "tasks"),
    ("training", "latency"),
    ("checkpoints", "proxies", "predictors"),
    ("pipeline",),
    ("report", "tracker"),
    ("ranking",),
    ("study", "results", "trackers"),
    ("builder", "studies", "sweep", "tune"),
    ("testing", "dropin"),
    ("api",),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imported(source: str, package: list[str]) -> Iterator[str]:
    """The absolute name of everything that a source in `package` imports, inside its functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def imports(file: Path) -> Iterator[str]:
    folders = list(file.parts[:-1])
    return imported((ROOT / file).read_text(), folders if folders[0] == "benchbed" else ["benchbed", *folders])


def in_wing(name: str, *wings: str) -> bool:
    return any(f"{name}.".startswith(f"benchbed.{wing}.") for wing in wings)


def test_importing_benchbed_loads_no_heavy_library() -> None:
    assert loaded_by("import benchbed") & HEAVY == set()


def test_a_public_name_loads_its_module_only_on_use() -> None:
    assert loaded_by("from benchbed import BenchbedError") & HEAVY == set()
    assert loaded_by("from benchbed import Space") & {"numpy", "torch", "pandas"} == {"numpy"}


@pytest.mark.parametrize("name", sorted(benchbed._PUBLIC))
def test_every_public_name_is_found_and_listed(name: str) -> None:
    assert getattr(benchbed, name).__name__.rpartition(".")[2] == name
    assert name in dir(benchbed)


def test_a_name_that_is_not_public_is_refused() -> None:
    name = "Searchr"
    with pytest.raises(AttributeError, match="module 'benchbed' has no attribute 'Searchr'"):
        getattr(benchbed, name)


PROBE = """
import numpy as np
from jaxtyping import Float

def twice(x: float) -> float:
    return 2 * x

def wrong(x: float) -> float:
    return str(x)

def dot(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> Float[np.ndarray, ""]:
    return np.asarray(x @ y[: len(x)])
"""


@pytest.fixture(params=["benchbed", "benchbed.searchers", "benchbed.selectors"])
def probe(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "hooked_probe.py").write_text(PROBE)
    monkeypatch.setattr(import_module(request.param), "__path__", [str(tmp_path)])
    yield import_module(f"{request.param}.hooked_probe")
    del sys.modules[f"{request.param}.hooked_probe"]


def test_annotations_are_checked_while_the_tests_run(probe: Any) -> None:
    assert probe.twice(2) == 4
    assert probe.dot(np.ones(3), np.ones(3)) == 3
    with pytest.raises(TypeCheckError, match="twice"):
        probe.twice("a")
    with pytest.raises(TypeCheckError, match="wrong"):
        probe.wrong(1.0)
    with pytest.raises(TypeCheckError, match="dot"):
        probe.dot(np.ones(3), np.ones(4))


def test_a_test_may_switch_the_checks_off(probe: Any, unchecked: None) -> None:
    assert probe.twice("a") == "aa"
    assert probe.dot(np.ones(3), np.ones(4)) == 3


def arrows() -> dict[str, set[str]]:
    """By module of benchbed, the modules of benchbed that it imports, inside its functions too."""
    modules = {".".join(f.with_suffix("").parts).removesuffix(".__init__") for f in FILES["benchbed"]}
    found: dict[str, set[str]] = {}
    for file in FILES["benchbed"]:
        own = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        names = {name if name in modules else name.rpartition(".")[0] for name in imports(file)}
        found[own] = (names & modules) - {own, "benchbed"}
    return found


def room(module: str) -> str:
    return module.split(".")[1]


def test_no_import_runs_up() -> None:
    of_package = {"__init__", "__main__"}
    rooms = {room(m) for m in arrows() if m != "benchbed"} - of_package
    assert rooms == set(FLOOR), "every room of benchbed/ has a floor in FLOORS, and no other"
    up = {
        f"{module} imports {target}"
        for module, targets in arrows().items()
        for target in targets
        if module != "benchbed" and room(module) in FLOOR and FLOOR[room(target)] > FLOOR[room(module)]
    }
    assert up == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    left = arrows()
    while free := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


def test_nothing_in_benchbed_imports_a_wing() -> None:
    assert {f for f in FILES["benchbed"] for name in imports(f) if in_wing(name, "searchers", "selectors")} == set()


def test_a_wing_never_imports_the_other_wing() -> None:
    assert {f for f in FILES["searchers"] for name in imports(f) if in_wing(name, "selectors")} == set()
    assert {f for f in FILES["selectors"] for name in imports(f) if in_wing(name, "searchers")} == set()


def test_the_arrows_are_seen_in_every_form_of_import() -> None:
    forms = "import benchbed.selectors.a", "from benchbed import selectors", "from ..selectors import b"
    for form in (*forms, "def f():\n    from benchbed.selectors.a import g"):
        assert any(in_wing(name, "selectors") for name in imported(form, ["benchbed", "searchers"])), form
    assert not any(in_wing(name, "selectors") for name in imported("import selectors", ["benchbed", "searchers"]))


def test_spaces_and_tables_load_no_torch() -> None:
    lookups = [f for f in FILES["benchbed"] if f.parts[1] in ("space.py", "tables") or f.match("spaces/*/space*.py")]
    modules = [".".join(f.with_suffix("").parts).removesuffix(".__init__") for f in lookups]
    assert "benchbed.space" in modules
    assert "torch" not in loaded_by(f"import {', '.join(modules)}")


def test_a_table_is_opened_with_numpy_alone():
    assert loaded_by("from benchbed.tables import Table, whois") & HEAVY == {"numpy"}


def test_locks_are_made_in_one_place():
    using = [f for f in FILES["benchbed"] if {name.split(".")[0] for name in imports(f)} & {"fcntl", "filelock"}]
    assert using == [Path("benchbed/runtime/lock.py")]


LOOKUPS = """
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None  # as on Windows
import os, pathlib, sysconfig, numpy, typer, rich.console, signal, select, pydantic, platformdirs
sysconfig.get_config_vars()
for module, lacks in ((os, "pread sysconf sched_getaffinity getppid fork"), (signal, "SIGKILL"), (select, "poll")):
    for name in lacks.split():
        delattr(module, name)
sys.platform = "win32"
cell = "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
sys.argv = ["benchbed", "query", "nb201-digits", "--arch", cell, "--dataset", "digits", "--split", "test"]
sys.argv += ["--epochs", "1"]
import benchbed
from benchbed.tables import Table, whois
from benchbed.cli.main import main
main()
"""
REFUSED = """
import os, torch
from benchbed.errors import BenchbedError
os.name = "nt"
try:
    from benchbed.runtime import machine
except BenchbedError as error:
    print(error)
"""


def test_a_lookup_needs_nothing_that_windows_lacks():
    done = subprocess.run([sys.executable, "-c", LOOKUPS], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("60.1650 %  digits test accuracy after 1 epoch, mean (2 seeds)\n")


def test_a_run_is_refused_on_windows_in_one_line():
    done = subprocess.run([sys.executable, "-c", REFUSED], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("runs need Linux or macOS")
    assert done.stdout.count("\n") == 1
