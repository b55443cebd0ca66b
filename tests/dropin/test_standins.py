"""Scripts of both packages' users, unchanged: run with the packages, and with `python -m benchbed.dropin`."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.dropin import DropinError, install
from benchbed.tables import Table

# What both packages' READMEs show, and a search by simulated time.
NATS_SCRIPT = """
import random, sys
import nats_bench
from nats_bench import create
from nats_bench.api_utils import ResultsCount, time_string
from nats_bench.genotype_utils import topology_str2structure

api = create(sys.argv[1], "tss", fast_mode=True, verbose=False)
assert isinstance(api, nats_bench.NATStopology) and __name__ == "__main__"
random.seed(0)
for index in (0, 11, 284):
    for dataset in ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120"):
        print(api.get_more_info(index, dataset, hp="200", is_random=False))
        print(api.get_more_info(index, dataset, iepoch=11, hp="12", is_random=True))
        print(api.get_cost_info(index, dataset, hp="12"))
    results = api.query_by_index(index, "cifar100", hp="200")
    assert all(isinstance(r, ResultsCount) for r in results.values())
    print({seed: (r.get_train(10), r.get_eval("x-test"), r.get_times()) for seed, r in results.items()})
    print(api.arch(index), api.query_index_by_arch(api.arch(index)), api.get_unique_str(index))
    print(api.str2lists(api[index]), api.str2matrix(api[index]))
    print(topology_str2structure(api[index]))
best = None
while api.used_time < 3000:
    index = random.choice([0, 11, 284])
    accuracy, latency, cost, used = api.simulate_train_eval(index, "cifar10", hp="12")
    print(index, accuracy, latency, cost, used)
    best = max(best or (0, 0), (accuracy, index))
api.show(best[1])
print(sys.argv[1:], nats_bench.version(), nats_bench.search_space_info("nats-bench", "tss"))
"""
NAS_SCRIPT = """
import sys
from nas_201_api import NASBench201API as API
import nas_201_api.api_utils

api = API(sys.argv[1], verbose=False)
for index in api.evaluated_indexes:
    print(api.query_by_arch(api[index], "200"))
    print(api.get_more_info(index, "cifar10-valid", None, "200", False))
    record = api.query_meta_info_by_index(index, "200")
    assert isinstance(record, nas_201_api.api_utils.ArchResults)
    print(record.get_metrics("cifar100", "x-test"), record.get_compute_costs("ImageNet16-120"))
    print(api.get_net_config(index, "cifar10"), api.str2matrix(api[index]))
print(api.find_best("cifar10", "test", hp="200"), len(api), nas_201_api.NAS_BENCH_201_API_VERSION)
"""


@pytest.fixture
def python(tmp_path: Path, child_env: dict[str, str]) -> Callable[..., Any]:
    """`python(*arguments)`: runs Python in an empty folder, with an empty home for tables."""
    (tmp_path / "cwd").mkdir()

    def run(*arguments: object) -> Any:
        env = {**child_env, "BENCHBED_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path / "cwd", env=env, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "scripts").mkdir(exist_ok=True)
        (tmp_path / "scripts" / "script.py").write_text(text)
        return tmp_path / "scripts" / "script.py"

    return write


def file_of(table: Table) -> Path:
    path: Path = table._arrays.path
    return path


def test_a_nats_bench_script_prints_the_same(python: Any, script: Any, nats_table: Table, shared_data: Path) -> None:
    file, folder = script(NATS_SCRIPT), shared_data / "nats-tss-sample"
    theirs = python(file, folder)
    assert theirs.returncode == 0, theirs.stderr
    ours = python("-m", "benchbed.dropin", "--table", file_of(nats_table), file, folder)
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout == theirs.stdout
    assert len(ours.stdout.splitlines()) > 50
    assert ours.stderr == f"benchbed: nats_bench is answered by table nats, not by {folder}\n"


def test_the_example_prints_the_same(python: Any, nats_table: Table, shared_data: Path) -> None:
    file, folder = Path(__file__).resolve().parents[2] / "examples" / "nats.py", shared_data / "nats-tss-sample"
    theirs, ours = python(file, folder), python("-m", "benchbed.dropin", "--table", file_of(nats_table), file, folder)
    assert ours.stdout == theirs.stdout
    assert len(ours.stdout.splitlines()) == 5


def test_a_nas_bench_201_script_prints_the_same(
    python: Any, script: Any, imported: Any, synthetic: Any, strings: list[str], tmp_path: Path
) -> None:
    """Cells with plain floats, since the package's reader fails at numpy's on current torch."""
    cells = {n: synthetic[n] for n in (3, 7, 9930)}
    infos = {n: {"less": cell["12"], "full": cell["200"]} for n, cell in cells.items()}
    content = {"meta_archs": strings, "arch2infos": infos, "evaluated_indexes": sorted(cells)}
    torch.save(content, tmp_path / "NAS-Bench-201-v1_1.pth")
    table, file = imported("plain", tmp_path / "NAS-Bench-201-v1_1.pth"), script(NAS_SCRIPT)
    theirs = python(file, tmp_path / "NAS-Bench-201-v1_1.pth")
    assert theirs.returncode == 0, theirs.stderr
    ours = python("-m", "benchbed.dropin", "--table", file_of(table), file, "/data/NAS-Bench-201-v1_1-096897.pth")
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout == theirs.stdout
    assert len(ours.stdout.splitlines()) > 30
    assert ours.stderr == (
        "benchbed: nas_201_api is answered by table plain, not by /data/NAS-Bench-201-v1_1-096897.pth\n"
    )


def test_a_script_runs_as_python_would_run_it(python: Any, script: Any, nats_table: Table, tmp_path: Path) -> None:
    file = script(
        "import beside, pickle, sys\n"
        "class Own: pass\n"
        "print(__name__, __file__, sys.argv, sys.path[0], beside.X)\n"
        "print(type(pickle.loads(pickle.dumps(Own()))) is Own, sys.modules['__main__'].Own is Own)\n"
    )
    (tmp_path / "scripts" / "beside.py").write_text("X = 5\n")
    expected = python(file, "--table", "a b", "-x")
    assert expected.returncode == 0
    found = python("-m", "benchbed.dropin", "--table", file_of(nats_table), file, "--table", "a b", "-x")
    assert (found.stdout, found.stderr) == (expected.stdout, "")


def test_a_scripts_own_failure_and_exit_go_through(python: Any, script: Any, nats_table: Table) -> None:
    run = ("-m", "benchbed.dropin", "--table", file_of(nats_table))
    failed = python(*run, script("x = 1\nraise ValueError('my own')\n"))
    assert failed.returncode == 1
    assert "Traceback (most recent call last)" in failed.stderr
    assert failed.stderr.endswith("line 2, in <module>\n    raise ValueError('my own')\nValueError: my own\n")
    left = python(*run, script("import sys\nprint('bye')\nsys.exit(7)\n"))
    assert (left.returncode, left.stdout, left.stderr) == (7, "bye\n", "")
    wrong = python(*run, script("def f(:\n"))
    assert wrong.returncode == 1
    assert "SyntaxError" in wrong.stderr


def test_defaults_warn_at_the_scripts_line(python: Any, script: Any, nats_table: Table) -> None:
    file = script(
        "from nats_bench import create\napi = create(None, 'tss', fast_mode=True, verbose=False)\n"
        "for i in range(3):\n    api.get_more_info(284, 'cifar10')\napi.get_more_info(0, 'cifar10')\n"
    )
    done = python("-m", "benchbed.dropin", "--table", file_of(nats_table), file)
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "DropinWarning" in line]
    assert len(lines) == 2
    assert all(line.startswith(f"{file}:4: DropinWarning: ") for line in lines)
    assert done.stderr.startswith("benchbed: nats_bench is answered by table nats\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "api.get_more_info(15625, 'cifar10', hp='200', is_random=False)",
            "index 15625 is out of range: expected 0 to",
        ),
        (
            "api.get_more_info(0, 'cifar', hp='200', is_random=False)",
            "data set of architecture 0 'cifar': did you mean",
        ),
        ("api.get_more_info(0, 'cifar10', hp='90', is_random=False)", "has nothing of hp='90': it has 12, 200"),
        ("api.get_more_info(0, 'cifar10', 12, '12', False)", "invalid iepoch=12: cifar10 of seed 0111, 12 epochs, has"),
        ("api.get_more_info(0, 'cifar10', None, '12', 5)", "no seed 5 of cifar10: there are 111"),
        ("api.get_more_info(1, 'cifar10', None, '12', False)", "table nats has nothing of architecture 1"),
        ("api.query_by_index(0, 'cifar10', '200')[777].get_eval('x-test')", "cifar10 of seed 0777, 200 epochs, has no"),
        ("create(None, 'sss')", "no table of NATS-Bench's size space is given (table nats is not of it)"),
        ("create(None, 'cells')", "unknown search space 'cells': expected 'tss' or 'topology', 'sss' or 'size'"),
        ("create({'meta_archs': []}, 'tss')", "nats_bench was given a dict of records"),
        ("__import__('nats_bench').pickle_load('x')", "reads and writes no pickles"),
    ],
)
def test_what_is_refused_is_one_line_with_the_scripts(
    python: Any, script: Any, nats_table: Table, line: str, said: str
) -> None:
    head = "from nats_bench import create\napi = create('x', 'topology', True, False)\n"
    done = python("-m", "benchbed.dropin", "--table", file_of(nats_table), script(head + line + "\n"))
    assert done.returncode == 2
    assert done.stdout == ""
    _, refusal = done.stderr.splitlines()  # the first says which table answers
    assert refusal.startswith("benchbed: ")
    assert said in refusal
    assert refusal.endswith("script.py, line 3)")


def test_a_second_table_answers_the_size_space(python: Any, script: Any, nats_table: Table, size_table: Table) -> None:
    file = script(
        "from nats_bench import create\n"
        "for space in ('tss', 'sss'):\n"
        "    api = create(None, space, fast_mode=True, verbose=False)\n"
        "    print(space, len(api), api[284], api.get_cost_info(284, 'cifar10', '12')['params'])\n"
    )
    tables = [word for table in (nats_table, size_table) for word in ("--table", file_of(table))]
    done = python("-m", "benchbed.dropin", *tables, file)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["tss", "15625"], ["sss", "32768"]]
    assert done.stderr == "".join(
        f"benchbed: nats_bench is answered by table {t.name}\n" for t in (nats_table, size_table)
    )
    twice = python("-m", "benchbed.dropin", *tables, "--table", file_of(size_table), file)
    assert (twice.returncode, twice.stdout) == (2, "")
    assert twice.stderr.startswith(
        f"benchbed: tables {size_table.name} and {size_table.name} are both of space nats-sss"
    )
    alone = python("-m", "benchbed.dropin", *tables[2:], file)
    assert "no table of NAS-Bench-201 is given" in alone.stderr
    assert "unknown table 'nb201'" in alone.stderr
    assert alone.stderr.count("\n") == 1


def test_bad_arguments_are_one_line(python: Any, script: Any, tmp_path: Path, nats_table: Table) -> None:
    file = script("print('ran')\n")
    (tmp_path / "bad.npz").write_bytes(file_of(nats_table).read_bytes()[:5000])
    for arguments, said in (
        ((file,), "unknown table 'nb201': none is imported; 'table fetch nb201' downloads one"),
        (("--table", "nb", file), "unknown table 'nb'"),
        (("--table", tmp_path / "bad.npz", file), "bad.npz is cut off or damaged"),
        (("--table", file_of(nats_table), tmp_path / "none.py"), "none.py: No such file or directory"),
        (("--table", file_of(nats_table), tmp_path), "Is a directory"),
    ):
        done = python("-m", "benchbed.dropin", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr.startswith("benchbed: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()
    assert python("-m", "benchbed.dropin").returncode == 2
    assert "SCRIPT" in python("-m", "benchbed.dropin", "--help").stdout.upper()


def test_it_loads_neither_torch_nor_the_packages(python: Any, nats_table: Table) -> None:
    code = (
        "import sys\nfrom benchbed.dropin import install\n"
        f"install({str(file_of(nats_table))!r})\n"
        "from nas_201_api import NASBench201API\nfrom nats_bench import create\n"
        "for api in (NASBench201API('x.pth', verbose=False), create(None, 'tss', verbose=False)):\n"
        "    api.get_more_info(0, 'cifar10', hp='200', is_random=False)\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'pandas', 'scipy', 'typer'}))\n"
        "print(hasattr(sys.modules['nas_201_api'], '__file__'), hasattr(sys.modules['nats_bench'], '__file__'))\n"
    )
    done = python("-c", code)
    assert done.stdout.splitlines() == ["", "False False"], done.stderr


# -- install, in this process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("package", "name"), [("nas201", "NASBench201API"), ("nats", "NATStopology")])
def test_the_public_surface_is_theirs(package: str, name: str, request: pytest.FixtureRequest) -> None:
    theirs, ours = request.getfixturevalue(package)
    assert type(ours).__name__ == name
    missing = {n for n in dir(theirs) if not n.startswith("_")} - set(dir(ours))
    assert missing == set()
    records = [api.query_meta_info_by_index(0, "200") for api in (theirs, ours)]
    trials = [record.query("cifar10", 777) for record in records]
    for a, b in (records, trials):
        assert [n for n in dir(a) if not n.startswith("_") and not hasattr(b, n)] == []


LEFT_OUT = {  # of what the packages define for a script to import
    "test_api",  # loops over all, for their authors
    "get_file_system", "reset_file_system", "nats_is_dir", "nats_is_file",  # where their files lie
}  # fmt: skip


def test_what_the_packages_define_can_be_imported(nats_table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["nas_201_api", "nas_201_api.api_201", "nas_201_api.api_utils", "nats_bench", "nats_bench.api_utils",
             "nats_bench.api_topology", "nats_bench.genotype_utils"]  # fmt: skip
    real = {name: import_module(name) for name in names}
    for name in names:
        monkeypatch.setitem(sys.modules, name, real[name])  # put back after the test
    install(nats_table)
    for name, theirs in real.items():
        ours = import_module(name)
        assert ours is not theirs
        own = {n for n, v in vars(theirs).items() if not n.startswith("_") and _defined_in(v, name)}
        assert len(own) > 1
        assert own - LEFT_OUT - set(vars(ours)) == set(), name
        constants = {n for n, v in vars(theirs).items() if n.isupper() and isinstance(v, str | list | tuple)}
        assert {n: getattr(ours, n) for n in constants if hasattr(ours, n)} == {
            n: getattr(theirs, n) for n in constants if hasattr(ours, n)
        }
    record = sys.modules["nats_bench"].create(None, "tss", verbose=False).query_by_index(0, hp="200")
    shown = sys.modules["nats_bench.api_topology"].print_information(record, "more")
    theirs_record = real["nats_bench"].ArchResults.create_from_state_dict(record.state_dict())
    assert shown == real["nats_bench.api_topology"].print_information(theirs_record, "more")


def _defined_in(value: Any, module: str) -> bool:
    """A class or function of this very module, or what a package's front imports from its own."""
    home = getattr(value, "__module__", None)
    return home is not None and (home == module or home.startswith(f"{module}."))


def test_install_refuses_and_leaves_things_as_they_were(nats_table: Table, tmp_path: Path) -> None:
    before = {n: m for n, m in sys.modules.items() if n.split(".")[0] in ("nas_201_api", "nats_bench")}
    with pytest.raises(ValueError, match="cannot read"):
        install(tmp_path / "none.npz")
    after = {n: m for n, m in sys.modules.items() if n.split(".")[0] in ("nas_201_api", "nats_bench")}
    assert after == before
    assert pickle.loads(pickle.dumps(DropinError("one line"))).args == ("one line",)
