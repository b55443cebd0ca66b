"""One call on the lent machine: its parts one after the other, each with a limit of its own and failing alone.

    python3 benchmarks/first_gpu/call.py bring|first|headline [--part DIR] [--out DIR] [--store DIR] [--seconds 580]

bring: what is carried is put in its place, and no more. first: what machine this is, a captured CUDA graph, an epoch
of three searches, `benchmarks/supernet_step` and `memory`, the tests for CUDA. headline: `results/headline.py` for what
is left of the seconds. --part is a part of what collect.py gathered; it is kept in --store, which lasts while the
machine is warm. In --out ($OUT), rewritten after each part: `first.zip` or `headline-log.zip` with everything that was
said (summary.txt has a line a part), and of the headline `headline.zip`, from which it goes on. --rehearsal: the same
at tiny sizes. Ends with status 1 where a part failed. Of the standard library alone.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from parcel import Refused, archive, size, write

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAMES = {"bring": "bring.zip", "first": "first.zip", "headline": "headline-log.zip"}
NEEDS = "needs a CUDA device"  # as the tests' own reason begins
AGAIN = 75  # the headline's status where some of it is left
LOAD, PACK = 20, 20  # seconds of a headline before its first epoch and after its last
TINY = {"supernet.channels": 2, "supernet.cells": 1, "supernet.batch": 8, "supernet.valid_batch": 8,
        "supernet.eval_batch": 60, "task_options.images": 60}  # fmt: skip
SLOWER = 5  # a simulated device on shared cores may take so many times a part's limit
TINY_STEP = ["--channels", 2, "--cells", 1, "--batch", 4, "--image", 8, "--repeats", 2, "--threads", 1]


class Part(NamedTuple):
    """A command, and the most seconds that it may take."""

    name: str
    command: Sequence[object]
    seconds: float


class Place(NamedTuple):
    """Where a call works: what was carried, what it says, what comes back."""

    store: Path
    said: Path
    out: Path

    def environment(self) -> dict[str, str]:
        paths = [str(ROOT), str(self.store / "site"), os.environ.get("PYTHONPATH", "")]
        own = {"BENCHBED_HOME": str(self.store / "home"), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"}
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **own}


def run(part: Part, place: Place, left: float) -> str:
    """What became of it, in a line. What it printed is in the file of its name."""
    limit = min(part.seconds, left)
    if limit < 1:
        return "left out: no time is left"
    log, began = place.said / f"{part.name}.log", time.monotonic()
    with open(log, "wb") as file:
        command = list(map(str, part.command))
        try:
            process = subprocess.Popen(command, cwd=ROOT, env=place.environment(), stdout=file,
                                       stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        except OSError as error:
            return f"failed: {error}"
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it has left running
            process.wait()
    taken = f"{time.monotonic() - began:.1f} s"
    if status is None:
        return f"stopped at its limit of {limit:.0f} s: {last_line(log)}"
    what = {0: "ok", AGAIN: "goes on in the next call"}.get(status, f"failed with status {status}")
    if status == 0 and untested(log):
        what = "failed: tests were skipped that this part is for"
    return f"{what}, {taken}: {last_line(log)}"


def untested(log: Path) -> bool:
    """Whether pytest skipped tests that need a CUDA device, or all: then it ends well, and has shown nothing."""
    lines = log.read_text(errors="replace").splitlines()
    skipped = [line for line in lines if line.startswith("SKIPPED [")]
    return bool(skipped) and (any(NEEDS in line for line in skipped) or " passed" not in lines[-1])


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def failed(outcome: str) -> bool:
    return outcome.startswith(("failed", "stopped", "left out"))


def run_all(parts: Iterable[Part], place: Place, name: str, deadline: float) -> list[str]:
    """Every part in turn, whatever became of those before; their outcomes. The archive is whole after each."""
    outcomes, lines = list[str](), list[str]()
    for part in parts:
        outcomes.append(run(part, place, deadline - time.monotonic()))
        lines.append(f"{part.name}: {outcomes[-1]}")
        print(lines[-1], flush=True)
        commit = [path.read_text().strip() for path in (place.store / "commit",) if path.exists()]  # it is carried
        said = [*commit, *lines, *prices(place.said / "epoch")]
        write(place.said / "summary.txt", ("\n".join(said) + "\n").encode())
        report(place, name)
    return outcomes


def report(place: Place, name: str) -> None:
    """Packs what was said; logs that do not fit are left out, the largest first."""
    runs = place.said / "epoch"
    files = [p for p in place.said.rglob("*") if p.is_file() and p.suffix != ".pt" and not p.name.startswith(".")]
    logs = sorted((p for p in files if p.suffix == ".log" and runs not in p.parents), key=lambda p: p.stat().st_size)
    try:
        left = archive(place.out / name, {str(p.relative_to(place.said)): p for p in sorted(files)},
                       [p.name for p in logs])  # fmt: skip
    except Refused as refusal:
        print(f"call: {refusal}", flush=True)
        return
    for one in left:
        print(f"no room in {name} for {one}, {size((place.said / one).stat().st_size)}", flush=True)


def prices(runs: Path) -> list[str]:
    """What an epoch of each search took, by the seconds between its second line and its first."""
    found = []
    for history in sorted(runs.glob("searches/*/history.jsonl")):
        seconds = [json.loads(line)["seconds"] for line in history.read_text().splitlines()]
        if len(seconds) > 1:
            each = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
            name = history.parent.name.partition("-")[0]
            hundred = each * 100 / 60
            found.append(f"{name}: {each:.2f} s an epoch, 100 of them {hundred:.1f} min; the first {seconds[0]:.1f} s")
    return found


# -- the two calls -------------------------------------------------------------------------------------------------


def arriving(given: argparse.Namespace, place: Place) -> Iterator[Part]:
    """What was carried is put in its place."""
    if given.part is not None:
        yield Part("receive", [sys.executable, HERE / "parcel.py", given.part.resolve(), place.store], 60)
    if (place.store / "wheels").exists() and not (place.store / "site").exists():
        alone = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
        wheels = sorted((place.store / "wheels").glob("*.whl"))
        pip = [sys.executable, "-m", "pip", "install", "-q", *alone]
        yield Part("install", [*pip, "--target", place.store / "site", *wheels], 90)


def headline(given: argparse.Namespace, place: Place, out: Path, data: str, *more: object) -> list[object]:
    tiny = TINY if given.rehearsal else {}
    settings = [word for key, value in tiny.items() for word in ("--set", f"{key}={value}")]
    folders = ["--data", place.store / data, "--splits", place.store / "splits", "--table", "nb201"]
    return [sys.executable, ROOT / "results" / "headline.py", out, *folders, *settings, *more]


def first(given: argparse.Namespace, place: Place) -> list[Part]:
    python, benchmarks, said = sys.executable, HERE.parent, place.said
    pytest = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
    capture = "tests/objectives/test_capture.py"
    pairs = "darts:magnitude,blank:magnitude,proxyless:magnitude"
    minutes = 2.5 * (SLOWER if given.rehearsal else 1)
    epochs = headline(given, place, said / "epoch", "stand-in", "--epochs", 2, "--pairs", pairs, "--minutes", minutes,
                      "--set", "task_options.verify=false")  # fmt: skip
    device = "auto" if given.rehearsal else "cuda"  # what a CPU does is no answer
    epochs += ["--device", device]
    step = [python, benchmarks / "supernet_step" / "run.py", "--device", device, "--repeats", 9]
    memory = [python, benchmarks / "memory" / "run.py", "--device", device]
    if given.rehearsal:
        step, memory = [*step, *TINY_STEP], [*memory, "--operations", "2,3", "--positions", 2, "--channels", 4]
    return [
        Part("arrival", [python, HERE / "arrival.py", "--out", said / "arrival.json"], 60),
        Part("capture", [*pytest, capture, "-k", "cuda_graph"], 90),
        Part("images", [python, HERE / "images.py", place.store, "--stand-in"], 60),
        Part("epoch", epochs, 180),
        Part("supernet_step", [*step, "--out", said / "supernet-step.json"], 120),
        Part("memory", [*memory, "--out", said / "memory.json"], 60),
        Part("as-on-cpu", ["env", "BENCHBED_REAL_CUDA=1", *pytest, "tests/simulated_cuda/test_run.py"], 120),
        Part("gpu-tests", [*pytest, capture, "tests/images/test_augment.py", "tests/latency/test_measure.py"], 120),
    ]


def resumed(given: argparse.Namespace, place: Place, deadline: float) -> Iterator[Part]:
    """The headline until its time is up; where it does not stop by itself, what it had saved is packed all the same."""
    kept, back, runs = place.store / "headline.zip", place.out / "headline.zip", place.store / "runs"
    if kept.exists() and not runs.exists():
        shutil.copyfile(kept, back)  # comes back, whatever happens here
    yield Part("images", [sys.executable, HERE / "images.py", place.store], 60)
    left = deadline - time.monotonic()
    minutes = max(0.0, left - LOAD - 2 * PACK) / 60
    command = headline(given, place, runs, "data", "--archive", back, "--minutes")
    yield Part("headline", [*command, f"{minutes:.3f}"], left - PACK)
    if "\nheadline: stopped" in (place.said / "summary.txt").read_text():
        yield Part("pack", [*command, 0], LOAD + PACK)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", choices=tuple(NAMES))
    parser.add_argument("--part", type=Path, help="a folder that collect.py made")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "out")), help="(default $OUT, else out)")
    parser.add_argument("--store", type=Path, default=Path("/tmp/first_gpu"), help="(default /tmp/first_gpu)")
    parser.add_argument("--seconds", type=float, default=580.0, help="of the whole call (default 580)")
    parser.add_argument("--rehearsal", action="store_true", help="everything at tiny sizes, on any device")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    given = parse(arguments)
    deadline = time.monotonic() + given.seconds
    place = Place(given.store.resolve(), given.store.resolve() / "said" / given.call, given.out.resolve())
    shutil.rmtree(place.said, ignore_errors=True)
    for folder in (place.said, place.out):
        folder.mkdir(parents=True, exist_ok=True)
    name, patience = NAMES[given.call], SLOWER if given.rehearsal else 1

    def parts() -> Iterator[Part]:
        yield from arriving(given, place)
        if given.call == "first":
            yield from (part._replace(seconds=part.seconds * patience) for part in first(given, place))
        elif given.call == "headline":
            yield from resumed(given, place, deadline)

    outcomes = run_all(parts(), place, name, deadline)
    wrong = sum(map(failed, outcomes))
    print(f"{wrong} of {len(outcomes)} parts failed; {name} has {size((place.out / name).stat().st_size)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
