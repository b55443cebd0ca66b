"""From an installed wheel, in another folder: a script and a notebook's kernel, interrupted and gone on with.

The wheel is built offline and unpacked; nothing is installed. The kernel is a real one, by jupyter_client.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = "import sys\nfrom setuptools import build_meta\nbuild_meta.build_wheel(sys.argv[1])\n"

GRID = """
import numpy as np
import benchbed
rng = np.random.default_rng(0)
labels = np.arange(200) % 4
images = rng.normal(size=(200, 8, 8)).astype("float32")
for image, label in zip(images, labels):
    image[2 * label : 2 * label + 2] += 1.5
small = {"supernet.batch": 40, "supernet.valid_batch": 40, "supernet.eval_batch": 40, "supernet.channels": 2,
         "scoring.channels": 2, "scoring.epochs": 1, "scoring.batch": 40}
def grid(out, **options):
    return benchbed.run(["random", "darts"], ["magnitude", "constant"], task=(images, labels), seeds=range(2),
                        epochs=8, set=small, out=out, **options)
"""
SCRIPT = (
    GRID
    + """
import sys
import matplotlib
matplotlib.use("Agg")
results = grid(sys.argv[1], quiet=True)
print(benchbed.__file__)
print(len(results.frame()), len(results.summary()), len(results.plot_accuracy().get_yticks()))
results.plot_curves().figure.savefig("curves.png")
print(sorted((r.id, r.architecture, r.state_sha256["selection"]) for r in results))
"""
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has the wheel's content, and this checkout nowhere."""
    checkout, built = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in ("benchbed", "searchers", "selectors"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, checkout)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", BUILD, str(built)], cwd=checkout, check=True, capture_output=True, env=env)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    assert (built / "site" / "benchbed" / "py.typed").is_file()
    return {**env, "PYTHONPATH": str(built / "site")}


def until(there: Callable[[], bool], patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while not there():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def begun(place: Path) -> Callable[[], bool]:
    """Whether a search below the place has finished an epoch."""
    return lambda: any(file.stat().st_size for file in place.glob("searches/*/history.jsonl"))


def test_a_script_runs_a_grid_is_interrupted_and_goes_on(installed: dict[str, str], tmp_path: Path) -> None:
    script, elsewhere = tmp_path / "mine.py", tmp_path / "elsewhere"
    script.write_text(SCRIPT)
    elsewhere.mkdir()

    def start(out: str) -> "subprocess.Popen[str]":
        pipe, command = subprocess.PIPE, [sys.executable, script, out]
        # a shell starts background jobs with Ctrl-C ignored, and the tests' own children would inherit it
        ready = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            command, cwd=elsewhere, env=installed, stdout=pipe, stderr=pipe, text=True, preexec_fn=ready
        )

    process = start("cut")
    until(begun(elsewhere / "cut"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, err
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert out == ""
    assert len(list((elsewhere / "cut").glob("*/record.json"))) < 8
    said = []
    for place in ("cut", "whole"):  # the same call again, and one that nothing interrupts
        out, err = start(place).communicate(timeout=120)
        assert err == ""
        said.append(out.splitlines())
    assert said[0] == said[1]
    assert Path(said[0][0]).is_relative_to(installed["PYTHONPATH"])
    assert said[0][1] == "8 3 3"  # the constant cell is one row, whatever was searched
    assert (elsewhere / "curves.png").read_bytes().startswith(b"\x89PNG")


# -- a notebook --------------------------------------------------------------------------------------------------------


class Kernel:
    """A kernel; `run` executes a cell and gives what it shows, by type, and its error's name."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def begin(self, cell: str) -> str:
        return str(self.client.execute(cell))

    def end(self, asked: str) -> tuple[dict[str, Any], str]:
        shown: dict[str, Any] = {"stdout": "", "stderr": ""}
        error = ""
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            content = message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "stream":
                shown[content["name"]] += content["text"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.update(content["data"])
            elif message["msg_type"] == "error":
                error = content["ename"] + ": " + content["evalue"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown, error

    def run(self, cell: str) -> dict[str, Any]:
        shown, error = self.end(self.begin(cell))
        assert error == ""
        return shown


@pytest.fixture
def kernel(installed: dict[str, str], tmp_path: Path) -> Iterator[Kernel]:
    pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra 'test'")
    extra = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # where ipykernel itself may be
    path = os.pathsep.join([installed["PYTHONPATH"], *(p for p in extra if p and Path(p).resolve() != ROOT)])
    made = Kernel(tmp_path, {**installed, "PYTHONPATH": path})
    yield made
    made.client.stop_channels()
    made.manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("default")  # jupyter_client's and zmq's own
def test_a_notebook_runs_a_grid_shows_it_is_interrupted_and_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%matplotlib inline\n" + GRID)
    asked = kernel.begin("results = grid('cut')")
    until(begun(tmp_path / "cut"))
    kernel.manager.interrupt_kernel()
    shown, error = kernel.end(asked)
    assert error.startswith("KeyboardInterrupt")
    widget = "application/vnd.jupyter.widget-view+json" in shown  # a bar, where ipywidgets is installed; else lines
    assert widget or shown["stderr"].startswith("run 1 of 8: random x magnitude, seed 0\n")
    shown = kernel.run("results = grid('cut', quiet=True)\nresults")
    assert shown["stderr"] == shown["stdout"] == ""
    assert "Results of 8 run(s)" in shown["text/plain"]
    assert "<table" in shown["text/html"]
    assert "image/png" in kernel.run("results.plot_accuracy();")
    assert "<svg" in kernel.run("results.architectures()[0]")["image/svg+xml"]
    cell = "from benchbed.searchers.darts import DARTS\nclass Mine(DARTS):\n    '''Of a cell.'''\n"
    cell += "how = {'objective': 'table', 'table': 'nb201-digits', 'epochs': 2, 'out': 'mine', 'quiet': True}\n"
    cell += "mine = benchbed.run(Mine, 'magnitude', **how)\n"
    shown = kernel.run(cell + "mine.frame()[['searcher', 'test_accuracy']]")
    assert "mine" in shown["text/plain"]
    assert kernel.run("dir(benchbed)")["text/plain"].count("_") == 4  # of __version__
