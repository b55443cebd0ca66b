"""The long computations on two cores: a queue of commands that goes on wherever it was stopped.

    python results/background.py PLACE --data DIR --splits DIR --nb201 CSV [CSV ...] [--jobs FILE]
    python results/background.py PLACE --status
    python results/background.py PLACE --keep

PLACE, outside any work tree, gets a clone of this checkout at its commit, a virtual environment, the imported table
and one folder of results; what is there is used as it is, so that the commit stays the same when the queue is taken up
again. The jobs of the file (results/queue.toml) run one after the other at nice 19. PLACE/queue.json says of
each its command, its estimated and spent hours, its last line and its state, and of each start the time, the commit and
the processor. Every job resumes by itself, so Ctrl-C, a kill or a power cut costs the epoch in work.

A machine may be lost with all of it. `--keep` packs what a job that names `keep`, patterns below PLACE, has finished
into results/kept/JOB.tar.xz, to be committed; a queue begins from there where PLACE has none of the job's files, and
its clone from the commit in results/kept/commit, by which that was made.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "results/kept"
LOOK = 20.0  # seconds between two looks at a job


def processor() -> str:
    """The CPU's model as Linux names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def prepare(place: Path, tables: list[Path]) -> None:
    """The clone, its environment and the table, each made where it is missing."""
    clone, python = place / "clone", place / "venv/bin/python"
    if not (clone / ".git").is_dir():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        if (made_at := KEPT / "commit").exists():
            subprocess.run(["git", "checkout", "-q", made_at.read_text().strip()], cwd=clone, check=True)
    if not (place / "venv/ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", "."]
        subprocess.run(install, cwd=clone, check=True)
        (place / "venv/ready").touch()
    if not (place / "tables/nb201.npz").exists():
        made = ["table", "import", *map(str, tables), "--name", "nb201"]
        home = {**os.environ, "BENCHBED_HOME": str(place)}
        subprocess.run([str(python), "-m", "benchbed", *made], cwd=place, env=home, check=True)


def kept_files(place: Path, patterns: list[str]) -> list[Path]:
    """The files below `place` that the patterns name, relative to it, in the order of their names."""
    return sorted({path.relative_to(place) for pattern in patterns for path in place.glob(pattern) if path.is_file()})


def keep(place: Path, file: Path, into: Path = KEPT) -> None:
    """Packs what each job of the queue's file that names `keep` has finished; the same files give the same bytes."""
    into.mkdir(exist_ok=True)
    for job in tomllib.loads(file.read_text())["job"]:
        if found := kept_files(place, job.get("keep", [])):
            file, new = into / f"{job['name']}.tar.xz", into / f"{job['name']}.new"
            with tarfile.open(new, "w:xz", preset=9) as archive:
                for path in found:
                    about = tarfile.TarInfo(str(path))
                    about.size = (place / path).stat().st_size
                    with (place / path).open("rb") as content:
                        archive.addfile(about, content)
            os.replace(new, file)
            print(f"{file}: {len(found):,} files, {file.stat().st_size:,} bytes")


def restore(place: Path, file: Path, kept: Path = KEPT) -> None:
    """Unpacks what was kept of each job of which `place` has nothing."""
    for job in tomllib.loads(file.read_text())["job"]:
        archive = kept / f"{job['name']}.tar.xz"
        if archive.exists() and not kept_files(place, job.get("keep", [])):
            with tarfile.open(archive) as opened:
                opened.extractall(place, filter="data")


def commit_of(place: Path) -> str:
    """That of the queue's clone."""
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=place / "clone", text=True).strip()


def read(place: Path) -> dict[str, Any]:
    path = place / "queue.json"
    return json.loads(path.read_text()) if path.exists() else {"starts": [], "jobs": {}}


def write(place: Path, state: dict[str, Any]) -> None:
    new = place / "queue.json.new"
    new.write_text(json.dumps(state, indent=2) + "\n")
    os.replace(new, place / "queue.json")


def jobs(file: Path, words: dict[str, str]) -> Iterator[tuple[str, float, list[str]]]:
    """(name, estimated hours, command) of each job, in order; {data} and the like are filled in."""
    found = tomllib.loads(file.read_text())
    for job in found["job"]:
        shared = found["shared"] if job.get("shared", True) else ""
        text = f"{job['command']} {shared}".format(**words)
        yield job["name"], float(job["hours"]), shlex.split(text)


def lowest() -> None:
    """nice 19, also where the kernel weighs sessions against each other before it looks at processes (autogroup)."""
    os.nice(19)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")


def work(place: Path, name: str, hours: float, command: list[str], state: dict[str, Any]) -> bool:
    """Runs a job to its end, its progress going to queue.json; whether it succeeded."""
    entry = state["jobs"].setdefault(name, {"state": "new", "spent_hours": 0.0})
    entry |= {"command": shlex.join(command), "estimated_hours": hours}
    if entry["state"] == "done":
        return True
    entry["state"] = "running"
    write(place, state)
    log, before = place / "logs" / f"{name}.log", entry["spent_hours"]
    log.parent.mkdir(exist_ok=True)
    python, home = str(place / "venv/bin/python"), {**os.environ, "BENCHBED_HOME": str(place)}
    home["OMP_WAIT_POLICY"] = "PASSIVE"  # a thread that waits for another must not hold one of two cores
    with open(log, "a") as out:
        began = time.monotonic()
        child = subprocess.Popen(
            [python, "-u", "-m", "benchbed", *command], cwd=place, stdout=out, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, preexec_fn=lowest, start_new_session=True, env=home,
        )  # fmt: skip
        status = None
        while status is None:
            try:
                status = child.wait(LOOK)
            except subprocess.TimeoutExpired:
                pass
            except BaseException:  # Ctrl-C does not reach another session
                child.terminate()
                raise
            entry["spent_hours"] = round(before + (time.monotonic() - began) / 3600, 3)
            lines = log.read_bytes()[-2000:].decode(errors="replace").splitlines()
            entry["last"] = lines[-1] if lines else ""
            write(place, state)
    entry["state"] = "done" if status == 0 else f"failed with {status}"
    write(place, state)
    return status == 0


def show(state: dict[str, Any]) -> None:
    for name, job in state["jobs"].items():
        hours = f"{job['spent_hours']:7.2f} of {job['estimated_hours']:6.1f} h"
        print(f"{name:26} {job['state']:14} {hours}  {job.get('last', '')}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("--data", type=Path, help="the folder of CIFAR-10's files")
    parser.add_argument("--splits", type=Path, help="the folder of NAS-Bench-201's split files")
    parser.add_argument("--nb201", type=Path, nargs="+", default=[], help="the CSV files of NAS-Bench-201's figures")
    parser.add_argument("--jobs", type=Path, default=ROOT / "results/queue.toml")
    parser.add_argument("--status", action="store_true", help="only say how far the queue is")
    parser.add_argument("--keep", action="store_true", help="only pack what is finished into results/kept")
    given = parser.parse_args()
    place = given.place.resolve()
    if given.status:
        show(read(place))
        return 0
    if given.keep:
        keep(place, given.jobs)
        (KEPT / "commit").write_text(commit_of(place) + "\n")
        return 0
    if given.data is None or given.splits is None:
        parser.error("--data and --splits are needed: the folders of CIFAR-10's files and of the split files")
    place.mkdir(parents=True, exist_ok=True)
    prepare(place, given.nb201)
    restore(place, given.jobs)
    state = read(place)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    state["starts"].append({"at": now, "commit": commit_of(place), "processor": processor()})
    words = {"data": str(given.data.resolve()), "splits": str(given.splits.resolve())}
    words |= {"table": str(place / "tables/nb201.npz"), "out": str(place / "runs")}
    words |= {"place": str(place), "clone": str(place / "clone")}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = True
    for name, hours, command in jobs(given.jobs, words):
        good = work(place, name, hours, command, state) and good
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
