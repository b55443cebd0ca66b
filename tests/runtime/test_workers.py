"""The pool's own decisions, with an executor that is a script: what is tried again, what is final, who gets what."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchbed.errors import BenchbedError
from benchbed.runtime import board as board_module
from benchbed.runtime import workers as module
from benchbed.runtime.board import Board, Job, span
from benchbed.runtime.executor import Event, Executor
from benchbed.runtime.progress import Reporter
from benchbed.runtime.workers import Outcome, Scheduler

Answer = Callable[[int, str], list[Event]]


class Scripted(Executor):
    """Answers each run by `answer(worker, run)`; by default it is done."""

    def __init__(self, answer: Answer | None = None, ready: bool = True) -> None:
        self.answer = answer or done
        self.ready, self.hired, self.closed = ready, 0, False
        self.alive: set[int] = set()
        self.sent: list[tuple[int, str]] = []
        self._events: list[Event] = []

    def hire(self) -> int:
        self.hired += 1
        self.alive.add(self.hired)
        self._events.append(Event(self.hired, "ready" if self.ready else "dead", reason="status 1"))
        return self.hired

    def send(self, worker: int, message: dict[str, Any]) -> None:
        assert worker in self.alive
        self.sent.append((worker, message["id"]))
        self._events += self.answer(worker, message["id"])

    def events(self, timeout: float) -> list[Event]:
        """One event a call: the others are still on their way."""
        return [self._events.pop(0)] if self._events else []

    def dismiss(self, worker: int, patience: float = 10.0) -> None:
        self.alive.remove(worker)

    def close(self) -> None:
        self.closed = True


def reply(worker: int, run: str, status: str, **rest: Any) -> list[Event]:
    return [Event(worker, "reply", {"id": run, "status": status, "seconds": 1.0, **rest})]


def done(worker: int, run: str) -> list[Event]:
    return reply(worker, run, "done", result={"id": run})


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., Outcome]:
    """`go(crew, {"search": ["run", ...]}, workers, retries)`"""

    def go(crew: Executor, searches: dict[str, list[str]], workers: int = 1, retries: int = 2) -> Outcome:
        runs = [Job(run, search, {}, run) for search, names in searches.items() for run in names]
        with Board(Reporter(quiet=True), len(runs), 0, workers) as board:
            return Scheduler(crew, workers, board, retries, notes=tmp_path).run(runs)

    return go


def test_the_runs_of_a_search_are_one_worker_s_in_order(go: Callable[..., Outcome]) -> None:
    crew = Scripted()
    made = go(crew, {"s": ["a", "b", "c"], "t": ["d", "e"]}, workers=2)
    by_worker = {w: [run for worker, run in crew.sent if worker == w] for w in (1, 2)}
    assert sorted(by_worker.values()) == [["a", "b", "c"], ["d", "e"]]
    assert list(made.results) == [run for _, run in crew.sent]
    assert made.results["a"] == {"id": "a"}
    assert crew.closed
    assert crew.hired == 2


def test_no_more_workers_than_searches(go: Callable[..., Outcome]) -> None:
    crew = Scripted()
    go(crew, {"s": ["a", "b", "c"]}, workers=8)
    assert crew.hired == 1


def dies(times: int, victim: str = "b") -> Answer:
    left = [times]

    def answer(worker: int, run: str) -> list[Event]:
        if run == victim and left[0]:
            left[0] -= 1
            return [Event(worker, "dead", reason="signal 9")]
        return done(worker, run)

    return answer


def test_a_dead_worker_s_run_is_tried_again_and_the_search_goes_on(go: Callable[..., Outcome]) -> None:
    crew = Scripted(dies(2))
    made = go(crew, {"s": ["a", "b", "c"]})
    assert crew.sent == [(1, "a"), (1, "b"), (2, "b"), (3, "b"), (3, "c")]
    assert made.results.keys() == {"a", "b", "c"}
    assert made.failures == {}


def test_a_run_that_kills_every_worker_fails_alone(go: Callable[..., Outcome], tmp_path: Path) -> None:
    made = go(Scripted(dies(99)), {"s": ["a", "b", "c"], "t": ["d"]}, retries=1)
    assert made.results.keys() == {"a", "c", "d"}
    assert made.failures["b"] == ("b", "its worker died (signal 9)", 2)
    assert (tmp_path / "failures.jsonl").read_text().count("\n") == 1


def test_a_refusal_is_final(go: Callable[..., Outcome]) -> None:
    def answer(worker: int, run: str) -> list[Event]:
        return reply(worker, run, "refused", reason="diverged") if run == "a" else done(worker, run)

    crew = Scripted(answer)
    made = go(crew, {"s": ["a", "b"]})
    assert crew.sent == [(1, "a"), (1, "b")]
    assert made.failures["a"] == ("a", "diverged", 1)


def test_a_refusal_after_a_crash_is_the_second_attempt(go: Callable[..., Outcome]) -> None:
    def answer(worker: int, run: str) -> list[Event]:
        crash = reply(worker, run, "crashed", reason="broken", details="")
        return crash if worker == 1 else reply(worker, run, "refused", reason="diverged")

    assert go(Scripted(answer), {"s": ["a"]}).failures["a"] == ("a", "diverged", 2)


def test_a_crash_is_tried_again_in_a_new_process(go: Callable[..., Outcome], tmp_path: Path) -> None:
    def answer(worker: int, run: str) -> list[Event]:
        return reply(worker, run, "crashed", reason="CUDA error", details="Traceback ...")

    crew = Scripted(answer)
    made = go(crew, {"s": ["a"]}, retries=1)
    assert crew.sent == [(1, "a"), (2, "a")]
    assert crew.alive == set()
    assert made.failures["a"].reason == "CUDA error"
    assert "Traceback ..." in (tmp_path / "failures.jsonl").read_text()


def test_a_folder_that_another_process_holds_is_waited_for(
    go: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go first, and waiting is no attempt."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    left = [7]

    def answer(worker: int, run: str) -> list[Event]:
        if run == "a" and left[0]:
            left[0] -= 1
            return reply(worker, run, "held", reason="a is held by process 7: wait for it")
        return done(worker, run)

    crew = Scripted(answer)
    made = go(crew, {"s": ["a", "b"], "t": ["c"]}, retries=0)
    assert [run for _, run in crew.sent[:2]] == ["a", "c"]
    assert made.results.keys() == {"a", "b", "c"}


def test_workers_that_all_die_at_once_end_the_sweep(go: Callable[..., Outcome]) -> None:
    crew = Scripted(ready=False)
    with pytest.raises(BenchbedError, match=r"6 workers died one after the other \(status 1\)"):
        go(crew, {"s": ["a"]})
    assert crew.closed


def test_what_every_worker_refuses_ends_the_sweep(go: Callable[..., Outcome]) -> None:
    def answer(worker: int, run: str) -> list[Event]:
        return [Event(worker, "refused", reason="device 'cuda' cannot be used")]

    crew = Scripted(answer)
    with pytest.raises(BenchbedError, match="device 'cuda'"):
        go(crew, {"s": ["a"]})
    assert crew.closed


def test_ctrl_c_ends_the_workers(go: Callable[..., Outcome]) -> None:
    def answer(worker: int, run: str) -> list[Event]:
        raise KeyboardInterrupt

    crew = Scripted(answer)
    with pytest.raises(KeyboardInterrupt):
        go(crew, {"s": ["a"]})
    assert crew.closed


def test_the_time_left_is_of_what_is_left() -> None:
    board = Board(Reporter(quiet=True), total=10, before=2, workers=2)
    run = Job("a", "s", {}, "a x b")
    for _ in range(2):
        board.done(run, 30.0, {})
    board.failed(run, "no luck")
    assert board.words == "4 of 10 runs done, 1 failed, 0 at work, about 75 s left"  # 5 x 30 s on 2 workers
    assert [span(5), span(120), span(7500)] == ["5 s", "2 min", "2 h 05 min"]


def test_the_live_view_shows_how_far_each_worker_is_and_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(board_module.time, "monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), width=120)
    reporter = Reporter(quiet=True)
    board = Board(reporter, total=3, before=0, workers=2)
    board.begin(1, Job("a", "s", {}, "darts x [perturb], seed 3"))
    board.begin(2, Job("b", "t", {}, "random x best-of"))
    board.beat(1, {"stage": "search darts", "total": 100, "done": 0, "saves": 1})
    for done in (10, 25):
        clock[0] += 30
        at = {"stage": "search darts", "total": 100, "done": done, "saves": done // 10, "epoch": 2, "accuracy": 41.5}
        board.beat(1, at)
    console.print(board._table())
    shown = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert shown == [
        "worker at work on since at accuracy left",
        "1 darts x [perturb], seed 3 60 s search darts 25 %, epoch 2 41.50 % 3 min",
        "2 random x best-of 60 s",
        "0 of 3 runs done, 2 at work",
    ]
    clock[0] += 45
    assert board.end(1) == 45  # since its last save
    board.again(Job("a", "s", {}, "x"), "its worker died (signal 9)", 45.0)
    board.failed(Job("b", "t", {}, "x"), "diverged")
    assert board.words == "0 of 3 runs done, 1 failed, 1 tried again (45 s of work lost), 1 at work"
