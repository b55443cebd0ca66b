"""Selectors on snapshots: what a snapshot is, when a search has collapsed, and the command."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.folder import load_checkpoint, snapshot_path
from benchbed.runtime.options import RunOptions
from benchbed.studies.trajectory import Point, collapse, curves, markdown

CPU = torch.device("cpu")


# -- snapshots ---------------------------------------------------------------------------------------------------------


def search_of(out: Path) -> Path:
    (search,) = (out / "searches").iterdir()
    return search


def test_snapshots_change_neither_a_searchs_name_nor_its_end(tiny: dict[str, Any], tmp_path: Path) -> None:
    configs = expand({**tiny, "epochs": 3}, ["darts"], ["magnitude"], [0])
    run_all(configs, RunOptions(tmp_path / "plain", CPU))
    run_all(configs, RunOptions(tmp_path / "kept", CPU, snapshots=(1, 2, 3)))
    plain, kept = search_of(tmp_path / "plain"), search_of(tmp_path / "kept")
    assert plain.name == kept.name
    ends = [json.loads((search / "record.json").read_text())["state_sha256"] for search in (plain, kept)]
    assert ends[0] == ends[1]
    assert not (plain / "snapshots").exists()
    assert sorted(p.name for p in (kept / "snapshots").iterdir()) == ["epoch-0001.pt", "epoch-0002.pt"]
    lines = [json.loads(line) for line in (kept / "history.jsonl").read_text().splitlines()]
    for epoch in (1, 2):
        tree = load_checkpoint(snapshot_path(kept, epoch))["tree"]
        assert tree["epochs"] == epoch
        p = tree["parts"]["searcher"]["alpha"].softmax(1)
        torch.testing.assert_close(p, torch.tensor(lines[epoch - 1]["probabilities"]), atol=2e-6, rtol=0)


def test_a_search_killed_between_saving_and_keeping_keeps_all(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbed.runtime.folder import Folder

    configs = expand({**tiny, "epochs": 3}, ["darts"], ["magnitude"], [0])
    options = RunOptions(tmp_path, CPU, snapshots=(2,))
    with monkeypatch.context() as patch:

        def dying(folder: Folder, epoch: int) -> None:
            raise KeyboardInterrupt

        patch.setattr(Folder, "keep", dying)
        with pytest.raises(KeyboardInterrupt):
            run_all(configs, options)
    run_all(configs, options)
    assert load_checkpoint(snapshot_path(search_of(tmp_path), 2))["tree"]["epochs"] == 2


def test_force_forgets_them(tiny: dict[str, Any], tmp_path: Path) -> None:
    configs = expand(tiny, ["darts"], ["magnitude"], [0])
    run_all(configs, RunOptions(tmp_path, CPU, snapshots=(1,)))
    run_all(configs, RunOptions(tmp_path, CPU, force="anew"))
    assert not snapshot_path(search_of(tmp_path), 1).exists()


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([0.2, 0.9, 0.5, 0.8, 1.0], 4), ([0.9, 0.9], 1), ([0.9, 0.7], None), ([0.75], 1), ([], None)],
)
def test_a_collapse_lasts_to_the_end(shares: list[float], expected: int | None) -> None:
    assert collapse(list(enumerate(shares, 1)), 0.75) == expected


def test_the_page_pairs_the_change_by_seed() -> None:
    accuracies = {
        ("magnitude", 1): [70, 60],
        ("magnitude", 5): [60, 52],
        ("perturb", 1): [70, 60],
        ("perturb", 5): [72, 60],
    }
    points = [
        Point(seed, epoch, selector, "cell", accuracy, 0.5)
        for (selector, epoch), both in accuracies.items()
        for seed, accuracy in enumerate(both)
    ]
    page = "\n".join(markdown(points, {0: [(1, 0.2), (5, 0.8)], 1: [(1, 0.2), (5, 0.4)]}, 0.75))
    assert "| magnitude | 65.00" in page
    assert "| -9.00 (-21.71 to +3.71) |" in page  # of two values: 12.7062 times half their distance
    assert "| +1.00 (-11.71 to +13.71) |" in page
    assert "1 of 2 searches: seed 0 at epoch 5" in page
    assert "read in the paper's double-blind submission" in page
    assert [(c.name, [(x, i.mean) for x, i in c.points]) for c in curves(points)] == [
        ("magnitude", [(1, 65), (5, 56)]),
        ("perturb", [(1, 65), (5, 66)]),
    ]


def test_a_space_that_does_not_tell_has_no_collapse() -> None:
    page = "\n".join(markdown([Point(0, 1, "magnitude", "k3e6", 50.0, None)], {}, 0.75))
    assert "no collapse is marked" in page
    assert "parameter-free operations |" not in page


# -- the study ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_where_a_shorter_search_would_be_for_a_rule_without_a_clock(
    tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    """At a constant learning rate the first two epochs of four are those of two, and so is what is selected."""
    flat = {**tiny, "supernet": {**tiny["supernet"], "lr_min": 0.1, "lr": 0.1}, "selector": {"interval": 1}}
    names = {"selector": ["perturb", "magnitude"], "seeds": [0]}
    long = made("trajectory", tmp_path / "long", {**flat, "epochs": 4}, at=[2, 4], **names)
    short = made("trajectory", tmp_path / "short", {**flat, "epochs": 2}, at=[2], **names)
    assert [p for p in long.rows if p.epoch == 2] == short.rows


def test_the_command(command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", "trajectory", "--seeds", "1:2", "--at", "2,1", "--selector", "magnitude,random", "--out", out]
    done = command(*words, "--quiet", *tiny_flags)
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in (out / "trajectory.jsonl").read_text().splitlines()]
    assert [(x["seed"], x["selector"], x["epoch"]) for x in lines] == [
        (1, selector, epoch) for selector in ("magnitude", "random") for epoch in (1, 2)
    ]
    records = [json.loads(p.read_text()) for p in out.glob("*-s1-*/record.json")]
    by_run = {(r["seed"], r["selector"]): (r["architecture"], r["test_accuracy"]) for r in records}
    for line in lines:
        if line["epoch"] == 2:  # the end of a search is the ordinary run
            assert (line["architecture"], line["accuracy"]) == by_run[line["seed"], line["selector"]]
    histories = {
        json.loads((p.parent / "config.json").read_text())["seed"]: p for p in out.glob("searches/*/history.jsonl")
    }
    for line in lines:
        if line["selector"] == "magnitude":
            epochs = [json.loads(text) for text in histories[line["seed"]].read_text().splitlines()]
            assert line["architecture"] == epochs[line["epoch"] - 1]["architecture"]
    assert (out / "trajectory.md").read_text() in done.out
    ElementTree.fromstring((out / "trajectory.svg").read_bytes())
    made = sorted(p.stat().st_mtime_ns for p in out.rglob("record.json"))
    assert command(*words, "--quiet", *tiny_flags).out == done.out
    assert sorted(p.stat().st_mtime_ns for p in out.rglob("record.json")) == made, "made once"
    (snapshot,), (epochs_of,) = out.glob("trajectory/random-e1-*/record.json"), out.glob("searches/*/history.jsonl")
    kept = snapshot.read_text()
    shutil.rmtree(out / "jobs")  # as if killed before the measurement was kept
    snapshot.write_text(kept[:-5])
    told = command(*words, "--quiet", *tiny_flags)
    assert told.status == 2
    assert re.fullmatch(f"benchbed: {re.escape(str(snapshot))} is not valid JSON .*: remove .* again\n", told.err)
    snapshot.write_text(kept)
    epochs_of.write_text(epochs_of.read_text()[:-5])  # the checkpoint holds it too
    assert command(*words, "--quiet", *tiny_flags).out == done.out


def test_what_is_refused(refused: Callable[..., str], tiny_flags: list[str]) -> None:
    words = ["study", "trajectory", "--seeds", "0:1", *tiny_flags]
    assert "--at 3: the searches have epochs 1 to 2" in refused(*words, "--at", "1,3")
    assert "at.0 = '1.5': input should be a valid integer" in refused(*words, "--at", "1.5")
    assert "collapse = 2.0: input should be less than or equal to 1" in refused(*words, "--at", "1", "--collapse", 2)
    assert "unknown selector 'pertub'" in refused(*words, "--at", "1", "--selector", "pertub")


def test_a_search_that_kept_nothing_is_made_once_more_for_its_snapshots(
    tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    how = {"selector": "magnitude", "seeds": [0], "at": [1, 2]}
    plain, kept = tmp_path / "plain", tmp_path / "kept"
    run_all(expand(tiny, ["darts"], ["magnitude"], [0]), RunOptions(plain, CPU))
    before = {p: p.stat().st_mtime_ns for p in plain.rglob("*.*") if p.is_file() and p.name != ".lock"}
    found = made("trajectory", plain, tiny, **how)
    again = made("trajectory", kept, tiny, **how)
    assert (found.rows, found.page) == (again.rows, again.page)
    assert all(p.stat().st_mtime_ns == when for p, when in before.items())
    assert not (kept / "trajectory" / "searches").exists()
    record = next(plain.glob("searches/*/record.json"))
    changed = json.loads(record.read_text()) | {"state_sha256": "0"}
    record.write_text(json.dumps(changed))  # as if another machine had made it
    shutil.rmtree(plain / "jobs")
    with pytest.raises(BenchbedError, match="searched once more it ended elsewhere: give another --out"):
        made("trajectory", plain, tiny, **how)
