"""Programs that answer lines, well and badly; each is a real process."""

import shlex
import subprocess
import sys
import time

import pytest

from benchbed.errors import BenchbedError
from benchbed.runtime.program import Program

LOOP = "import sys\nfor line in sys.stdin: print(line.strip() + '!', flush=True)"
ONCE = "print(input() + '!')"


def program(text: str, timeout: float = 30.0) -> Program:
    return Program([sys.executable, "-c", text], timeout, "program")


@pytest.mark.parametrize(("text", "processes"), [(LOOP, 1), (ONCE, 3)])
def test_each_line_is_answered_whether_it_stays_or_answers_once(text: str, processes: int) -> None:
    made, seen = program(text), set()
    for word in ("one", "zwei", "trois ½"):
        assert made.ask(word) == word + "!\n"
        assert made._running is not None
        seen.add(made._running.process.pid)
    assert len(seen) == processes
    made.close()


def test_a_program_whose_end_was_seen_before_the_next_question_is_started_again() -> None:
    made = program(ONCE)
    assert made.ask("one") == "one!\n"
    assert made._running is not None
    made._running.process.wait(30)
    until = time.monotonic() + 30
    while made._running.answers.empty() and time.monotonic() < until:  # the thread that reads has told its end
        time.sleep(0.01)
    assert not made._running.answers.empty()
    assert made.ask("two") == "two!\n"
    made.close()


def test_a_line_that_no_pipe_holds_is_taken() -> None:
    made, long = program(LOOP), "x" * 5_000_000
    assert made.ask(long) == long + "!\n"
    made.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit('no key\\nis set')", "ended with exit status 1 without an answer: is set"),
        ("pass", "ended with exit status 0 without an answer"),
        ("print('half', end='')", "ended with exit status 0 within the line 'half'"),
        ("import os, time; os.close(1); time.sleep(60)", "closed its output without an answer"),
        ("import os; os.kill(os.getpid(), 9)", "ended with exit status -9 without an answer"),
    ],
)
def test_what_ends_without_an_answer_is_one_line(text: str, said: str) -> None:
    with pytest.raises(BenchbedError) as found:
        program(text).ask("?")
    assert str(found.value) == f"program {shlex.join([sys.executable, '-c', text])} {said}"


@pytest.mark.parametrize("text", ["import time; time.sleep(60)", "import time; input(); time.sleep(60)"])
def test_what_is_late_is_ended(text: str) -> None:
    made = program(text, timeout=0.5)
    made._start()
    assert made._running is not None
    process = made._running.process
    with pytest.raises(BenchbedError, match="gave no answer within"):
        made.ask("x" * 1_000_000)
    assert process.poll() == -9


def test_a_second_answer_is_not_taken_for_the_next_questions() -> None:
    made = program("import sys\nfor line in sys.stdin: print('a\\nb', flush=True)")
    assert made.ask("?") == "a\n"
    until = time.monotonic() + 30
    while made._running is not None and made._running.answers.empty() and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(BenchbedError, match="answered more than one line to a question"):
        made.ask("?")
    assert made._running is None


def test_after_a_failure_it_is_started_anew() -> None:
    made = program("import sys\nif input() == 'bad': sys.exit(3)\nprint('good')")
    with pytest.raises(BenchbedError, match="exit status 3"):
        made.ask("bad")
    assert made.ask("fine") == "good\n"
    made.close()


def test_it_ends_with_its_owner() -> None:
    made = program(LOOP)
    made.ask("?")
    assert made._running is not None
    process: subprocess.Popen[str] = made._running.process
    del made
    assert process.wait(30) == 0


def test_what_cannot_be_started_is_one_line() -> None:
    with pytest.raises(BenchbedError, match=r"^program /no/such cannot be started: No such file or directory$"):
        Program(["/no/such"], 1.0, "program").ask("?")
