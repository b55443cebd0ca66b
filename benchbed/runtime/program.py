"""A program of the user's that answers lines: kept while it runs, started again where it ended after an answer."""

import shlex
import subprocess
import tempfile
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from ..errors import BenchbedError

PATIENCE = 1.0  # seconds for a program to end after its input has

Process = subprocess.Popen[str]


class Program:
    """Its words, how long an answer may take in seconds, and what errors call it.

    The process is this object's: it is started at the first question and ended with the object.
    """

    def __init__(self, words: list[str], timeout: float, name: str):
        self.timeout, self.words = timeout, words
        self.name = f"{name} {shlex.join(words)}"
        self._running: _Running | None = None

    def ask(self, line: str) -> str:
        """One line for one line.

        Raises BenchbedError, one line with the last that the program wrote to its error output, where it cannot be
        started, ends without an answer, answers more than once or not in time; the next question starts it anew.
        """
        before = self._running
        answer = self._answer(before, line) if before is not None else None
        if answer is None:  # none runs, or it ended after it had answered: it takes one question at a time
            answer = self._answer(self._start(), line)
        if answer is None:
            raise self._failed("ended with exit status 0 without an answer")
        return answer

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._running is not None:
            self._running.end()
        self._running = None

    def _answer(self, running: "_Running", line: str) -> str | None:
        """None where it ended as a program does that has done its work."""
        if not running.answers.empty():
            if running.answers.get():
                raise self._failed("answered more than one line to a question")
            self._ended(running, "")  # between two questions: its end is told once
            return None
        running.questions.put(line)
        try:
            answer = running.answers.get(timeout=self.timeout)
        except Empty:
            raise self._failed(f"gave no answer within {self.timeout:g} s") from None
        if answer.endswith("\n"):
            return answer
        self._ended(running, answer)
        return None

    def _ended(self, running: "_Running", answer: str) -> None:
        """Returns where it ended as a program does that has done its work. answer: what of a line it had written."""
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(PATIENCE)
        status = running.process.poll()
        if status == 0 and not answer:
            self.close()
            return
        ended = "closed its output" if status is None else f"ended with exit status {status}"
        raise self._failed(f"{ended} {f'within the line {answer[:100]!r}' if answer else 'without an answer'}")

    def _failed(self, how: str) -> BenchbedError:
        said = self._running.said() if self._running is not None else ""
        self.close()
        return BenchbedError(f"{self.name} {how}{': ' + said if said else ''}")

    def _start(self) -> "_Running":
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  a pipe would fill up
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        try:
            process = subprocess.Popen(self.words, encoding="utf-8", errors="replace", **pipes)
        except OSError as error:
            errors.close()
            raise BenchbedError(f"{self.name} cannot be started: {error.strerror}") from None
        self._running = _Running(process, errors)
        return self._running


class _Running:
    """A process, its error output, and a thread on each of its pipes: either may block for as long as it likes."""

    def __init__(self, process: Process, errors: IO[str]):
        self.process, self.errors = process, errors
        self.questions: SimpleQueue[str | None] = SimpleQueue()
        self.answers: SimpleQueue[str] = SimpleQueue()
        Thread(target=_write, args=(process, self.questions), daemon=True).start()
        Thread(target=_read, args=(process, self.answers), daemon=True).start()
        self.end = weakref.finalize(self, _end, process, errors, self.questions)

    def said(self) -> str:
        """The last line of its error output."""
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or [""])[-1][:200]


def _write(process: Process, questions: "SimpleQueue[str | None]") -> None:
    """Each question as it comes; None ends the program's input."""
    assert process.stdin is not None
    with suppress(OSError):  # it has ended, which its output says too
        while (line := questions.get()) is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()
    with suppress(OSError):
        process.stdin.close()


def _read(process: Process, answers: "SimpleQueue[str]") -> None:
    """Each line as it comes; at the end an empty one."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(line)
    answers.put("")


def _end(process: Process, errors: IO[str], questions: "SimpleQueue[str | None]") -> None:
    """Its input ends; if it does not, it is killed."""
    questions.put(None)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    errors.close()
