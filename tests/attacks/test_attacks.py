"""Hostile files for every reader: each is refused in one line, by the reader itself, in little memory.

The files are made here (`forge_text`, `forge_binary`), and each construct of a kind goes to every command that reads
that kind (`forge_cases`). The commands run in a child (`attack_child`), one after the other, which a watchdog would
kill: no case may come to that. Every fortieth case runs in the default lane.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MEMORY = 1 << 30  # resident bytes of a command that refuses
WATCHDOG = 60.0  # seconds
EVERY = 40  # which part of the cases runs in the default lane


@pytest.fixture(scope="session")
def cases(finished: Path) -> list[Any]:
    """All cases, those of a reader together."""
    sys.path.insert(0, str(HERE))
    try:
        import forge_cases
    finally:
        sys.path.remove(str(HERE))
    return [case for reader in forge_cases.readers(finished) for case in reader.cases()]


class Child:
    """A process that runs commands; ended, and begun again, where one takes too long."""

    def __init__(self, home: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCHBED_HOME": str(home), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "attack_child.py"), str(ROOT)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, cwd=home, text=True, **pipes)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(self, words: list[str]) -> dict[str, Any] | None:
        """How the command ended; None where the watchdog ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        watchdog = threading.Timer(WATCHDOG, self.process.kill)
        watchdog.start()
        try:
            print(json.dumps(words), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        return json.loads(answer) if answer else None

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def wrong(answer: dict[str, Any] | None) -> str | None:
    """What a refusal must not be, in a few words; None where it is as it must be."""
    if answer is None:
        return "ended by the watchdog, or dead"
    if answer["status"] is None:
        return f"a traceback: {answer['err'].strip().splitlines()[-1][:300]}"
    if answer["status"] != 2:
        return f"status {answer['status']}: {answer['out'][:200]} {answer['err'][:200]}"
    if not answer["err"].startswith("benchbed: ") or answer["err"].count("\n") != 1:
        return f"not one line: {answer['err'][:500]!r}"
    if not answer["err"].rstrip("\n").isprintable():
        return f"characters that a terminal obeys: {answer['err']!r:.300}"
    if answer["peak"] >= MEMORY:
        return f"{answer['peak'] >> 20} MB resident"
    return None


def attack(chosen: list[Any], place: Path) -> list[str]:
    """Runs the cases; a line for each that was not refused as it must be."""
    home = place / "home"
    home.mkdir()
    child, found = Child(home), []
    try:
        for number, case in enumerate(chosen):
            folder = place / str(number)
            folder.mkdir()
            words = case.put(folder)
            before = listed(folder)
            answer = child.run(words)
            if (said := wrong(answer)) is not None:
                found.append(f"{case.name}: {said}")
            elif new := listed(folder) ^ before:
                found.append(f"{case.name}: left or removed {sorted(new)[:3]}")
            if answer is None:
                child.end()
                child = Child(home)
            shutil.rmtree(folder)
    finally:
        child.end()
    return found


def listed(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.name not in (".lock", ".lease")}


def test_some_of_every_kind_are_refused(cases: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [case for case in cases[::EVERY] if not case.name.startswith("foreign")]
    assert "\n".join(attack(chosen, tmp_path)) == ""
    with capsys.disabled():
        print(f"[{len(chosen)} of {len(cases):,} hostile files refused]", end="")
    assert len(cases) >= 600


READERS = (
    "macro", "by-cell", "latency-json", "record-reported", "record-verified", "study-file", "search-configuration",
    "splits", "metadata", "run-configuration", "sweep-study", "tuned-study", "reported-study",
    "training-configuration", "imported-csv", "landscape", "scored", "latency-csv", "latency-yaml", "table-shown",
    "table-queried", "table-exported", "imported-npz", "imported-pth", "imported-pbz2", "imported-folder", "npz-task",
    "cifar10", "svhn", "image-folder", "own-checkpoint", "foreign-checkpoint",
)  # fmt: skip


def test_every_reader_is_attacked(cases: list[Any]) -> None:
    assert {case.reader.name for case in cases} == set(READERS)
    assert len({case.name for case in cases}) == len(cases)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_all_are_refused(cases: list[Any], reader: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [case for case in cases if case.reader.name == reader]
    assert "\n".join(attack(chosen, tmp_path)) == ""
    with capsys.disabled():
        print(f"[{reader}: {len(chosen)}]", end="", flush=True)


