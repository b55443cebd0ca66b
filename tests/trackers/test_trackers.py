"""Trackers: what they are handed of a run, in this process and in workers; and three libraries for real, on disk."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.build import task_of
from benchbed.pipeline.dry import dry_run
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run as run_one
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.tracker import Tracker
from benchbed.trackers import tracking
from benchbed.trackers.tracking import Tracking, load

RAW: dict[str, Any] = {"objective": "table", "table": "nb201-digits", "dataset": "digits", "epochs": 3, "steps": 2}


class Kept(Tracker):
    """Writes down what it is handed, beside the runs."""

    def __init__(self, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(run, folder, config)
        self.put("begin", config["searcher"]["name"])

    def put(self, *words: Any) -> None:
        with open(self.folder.parent / f"{self.run}.told", "a") as file:
            file.write(json.dumps(words) + "\n")

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self.put("scalars", stage, step, dict(values))

    def decision(self, step: int, words: str) -> None:
        self.put("decision", step, words)

    def picture(self, png: bytes) -> None:
        self.put("picture", png[:4].hex())

    def finish(self, record: Mapping[str, Any]) -> None:
        self.put("finish", record["id"], record["test_accuracy"])

    def close(self) -> None:
        self.put("close")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Tracking:
    monkeypatch.setitem(tracking.OURS, "kept", f"{__name__}:Kept")
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__, sys.modules[Kept.__module__]))
    return Tracking(("kept",))


def run(out: Path, track: Tracking | None, selector: str = "perturb", **more: Any) -> Any:
    raw = {**RAW, **({"selector": {"draws": 2}} if selector == "perturb" else {}), **more}
    (one,) = run_all(expand(raw, ["darts"], [selector], [0]), RunOptions(out, torch.device("cpu"), track=track))
    return one


def told(out: Path, run_id: str) -> list[Any]:
    return [json.loads(line) for line in (out / f"{run_id}.told").read_text().splitlines()]


def test_a_run_is_told_by_epoch_decision_picture_and_record(kept: Tracking, tmp_path: Path) -> None:
    one = run(tmp_path, kept)
    lines = told(tmp_path, one.id)
    history = [json.loads(x) for x in (tmp_path / "searches" / one.search / "history.jsonl").read_text().splitlines()]
    assert lines[0] == ["begin", "darts"]
    assert [x[:3] for x in lines[1:4]] == [["scalars", "search", n] for n in (1, 2, 3)]
    assert lines[1][3]["accuracy"] == history[0]["accuracy"]
    assert set(lines[1][3]) == {"accuracy", "loss", "arch_loss", "seconds"}
    assert [x[:2] for x in lines[4:10]] == [["decision", n] for n in range(1, 7)]
    assert all("->" in words for _, _, words in lines[4:10])
    assert lines[10:] == [["picture", "89504e47"], ["finish", one.id, one.test_accuracy], ["close"]]


def test_what_was_done_before_is_not_told_again_and_a_shared_search_is(kept: Tracking, tmp_path: Path) -> None:
    one = run(tmp_path, None)
    assert run(tmp_path, kept) == one
    assert not list(tmp_path.glob("*.told"))
    other = run(tmp_path, kept, "magnitude")
    assert other.search == one.search
    lines = told(tmp_path, other.id)
    assert [x[:3] for x in lines if x[0] == "scalars"] == [["scalars", "search", n] for n in (1, 2, 3)]
    assert lines[-2][:2] == ["finish", other.id]


def test_decisions_of_a_selection_that_was_interrupted_go_on_with_their_numbers(
    kept: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbed.runtime.folder import Folder

    class Interrupt(Exception):
        pass

    saved, save = [], Folder.save

    def interrupted(self: Folder, tree: dict[str, Any]) -> None:
        save(self, tree)
        saved.append(len((self.path / "history.jsonl").read_text().splitlines()))
        if self.path.parent.name != "searches" and saved[-1] == 3:
            raise Interrupt

    monkeypatch.setattr(Folder, "save", interrupted)
    with pytest.raises(Interrupt):
        run(tmp_path, kept)
    monkeypatch.setattr(Folder, "save", save)
    one = run(tmp_path, kept)
    assert [x[1] for x in told(tmp_path, one.id) if x[0] == "decision"] == [1, 2, 3, 4, 5, 6]


def test_tracking_changes_no_result(kept: Tracking, tmp_path: Path) -> None:
    one, other = run(tmp_path / "a", None), run(tmp_path / "b", kept)
    assert (one.id, one.scores, one.state_sha256, one.test_accuracy) == (
        other.id, other.scores, other.state_sha256, other.test_accuracy
    )  # fmt: skip


def test_a_failure_closes_the_tracker(kept: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbed.pipeline import search

    def fails(*_: Any, **__: Any) -> None:
        raise BenchbedError("it fails")

    monkeypatch.setattr(search, "train_epoch", fails)
    with pytest.raises(BenchbedError, match="it fails"):
        run(tmp_path, kept, "magnitude")
    (file,) = tmp_path.glob("*.told")
    assert json.loads(file.read_text().splitlines()[-1]) == ["close"]


def test_a_run_that_is_refused_is_told_to_nobody(kept: Tracking, tmp_path: Path) -> None:
    (config,) = expand(RAW, ["darts"], ["magnitude"], [0])
    refused = config.model_copy(update={"space_options": {"nonsense": 1}})
    with pytest.raises(BenchbedError, match="nonsense"):
        run_one(refused, task_of(config), RunOptions(tmp_path / "out", torch.device("cpu"), track=kept))
    assert not (tmp_path / "out").exists()


def test_names_that_are_none(command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchbedError, match=r"unknown tracker 'tensorbord'.*did you mean 'tensorboard'"):
        load("tensorbord")
    monkeypatch.setitem(tracking.OURS, "none", "json:JSONDecoder")
    with pytest.raises(BenchbedError, match=r"is not a subclass of benchbed\.tracker\.Tracker"):
        load("none")
    outcome = command("run", "--searcher", "darts", "--selector", "magnitude", "--track", "nonsense", "--out", tmp_path)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "unknown tracker 'nonsense'" in outcome.err


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_library_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch.utils.tensorboard", "tensorboard", "wandb", "mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BenchbedError, match=rf"tracker '{name}' needs {name}: pip install 'benchbed\[{name}\]'"):
        run(tmp_path, Tracking((name,)))


# -- the libraries, where they are installed ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_holds_the_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    one = run(tmp_path, Tracking(("tensorboard",)))
    events = EventAccumulator(str(tmp_path / one.id / "tensorboard"))
    events.Reload()
    history = [json.loads(x) for x in (tmp_path / "searches" / one.search / "history.jsonl").read_text().splitlines()]
    found = events.Scalars("search/accuracy")
    assert [e.step for e in found] == [1, 2, 3]
    assert [e.value for e in found] == pytest.approx([x["accuracy"] for x in history], rel=1e-6)
    assert events.Scalars("record/test_accuracy")[0].value == pytest.approx(one.test_accuracy, rel=1e-6)
    assert events.Images("architecture")[0].width > 100
    assert "decisions/text_summary" in events.Tags()["tensors"]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_holds_the_run_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    one = run(tmp_path, Tracking(("mlflow",)))
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("benchbed")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["searcher.name"] == "darts"
    assert found.data.metrics["record/test_accuracy"] == one.test_accuracy
    assert [m.step for m in client.get_metric_history(found.info.run_id, "search/accuracy")] == [1, 2, 3]
    assert {a.path for a in client.list_artifacts(found.info.run_id)} == {"architecture.png", "record.json"}
    options = RunOptions(tmp_path, torch.device("cpu"), "anew", track=Tracking(("mlflow",)))
    run_all(expand({**RAW, "selector": {"draws": 2}}, ["darts"], ["perturb"], [0]), options)
    assert len(client.search_runs([experiment.experiment_id])) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_holds_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own, in Go, writes the file; nothing leaves the machine."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    one = run(tmp_path, Tracking(("wandb",)))
    (file,) = (tmp_path / one.id).rglob("*.wandb")
    until = time.monotonic() + 60  # the library's own process writes a little later
    while b"test_accuracy" not in file.read_bytes() and time.monotonic() < until:
        time.sleep(0.2)
    for key in ("search/accuracy", "search/epoch", "test_accuracy", "searcher", one.id):
        assert key.encode() in file.read_bytes()  # its format is the library's own; texts stand in it as they are
    (table,) = (tmp_path / one.id).rglob("*.table.json")
    decisions = json.loads(table.read_text())["data"]
    assert [step for step, _ in decisions] == [1, 2, 3, 4, 5, 6]
    assert {words.split(": ")[1] for _, words in decisions} == {p.split("~")[0] for p in one.architecture.split("|")
                                                               if "~" in p}  # fmt: skip
    (png,) = (tmp_path / one.id).rglob("*.png")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_dry_run_is_not_told(kept: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Kept, "__init__", lambda self, run, *_: begun.append(run))
    options = RunOptions(tmp_path, torch.device("cpu"), track=kept)
    assert dry_run(expand(RAW, ["darts"], ["magnitude"], [0]), options)
    assert begun == []
