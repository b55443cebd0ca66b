"""The headline's script, rehearsed: three steps of everything, stopped and carried to another folder in between."""

import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch._dynamo  # noqa: F401 - it comes with the first optimiser, and an alarm would leave it half imported

from benchbed.pipeline import search
from benchbed.tables import store

from .conftest import script

SMALL = ["supernet.channels=2", "supernet.cells=1", "supernet.batch=8", "supernet.valid_batch=8"]
SMALL += ["task_options.train=24", "task_options.valid=24", "task_options.test=24"]


@pytest.fixture(scope="module")
def headline() -> ModuleType:
    return script("headline")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    arrays = {f"accuracy/cifar10_{split}_200": rng.uniform(20, 95, (5,) * 6) for split in ("valid", "test")}
    figures = [["cifar10", split, 200] for split in ("valid", "test")]
    meta = {
        "format": store.FORMAT,
        "space": "nb201",
        "fingerprint": store.fingerprint("nb201", arrays),
        "figures": figures,
        "seeds": {},
    }
    store.write(tmp_path / "drawn.npz", meta, arrays)
    return tmp_path / "drawn.npz"


def test_rehearsal(headline: ModuleType, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    common = ["--task", "digits", "--table", str(table), "--epochs", "1", *settings]
    archive = ["--archive", str(tmp_path / "headline.zip")]
    assert headline.main([str(tmp_path / "first"), *common, "--minutes", "0.05", *archive]) == 75
    assert "the same command goes on" in capsys.readouterr().out
    assert headline.main([str(tmp_path / "second"), *common, *archive]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[:2] for row in rows] == [[f"| {a}", b] for a, b, _ in headline.PAIRS]
    assert [row.split(" | ")[4] for row in rows] == ["54.30", "88.11", "93.80", "-", "-"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "second").glob("*/record.json")]
    perturbed = [r for r in records if r["selector"] == "perturb"]
    assert {r["config"]["selector"]["options"]["schedule"] for r in perturbed} == {"official"}
    assert all(r["table"]["dataset"] == "cifar10" for r in records)
    with zipfile.ZipFile(tmp_path / "headline.zip") as packed:  # of finished runs, records and histories alone
        names = packed.namelist()
    assert sum(name.endswith("record.json") for name in names) == len(headline.PAIRS) + 3
    assert not [name for name in names if name.endswith(".pt")]


@pytest.fixture
def given(headline: ModuleType, table: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a headline of one search of four epochs and its two runs."""
    settings = [word for setting in SMALL for word in ("--set", setting)]
    monkeypatch.setattr(headline, "PAIRS", headline.PAIRS[:2])
    return ["--task", "digits", "--table", str(table), "--epochs", "4", *settings]


def test_it_goes_on_from_an_archive_at_the_epoch_that_it_holds(
    headline: ModuleType, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headline, "PAIRS", headline.PAIRS[:1])
    plain, begun = search.train_epoch, list[int]()

    def two_epochs(*arguments: Any, **named: Any) -> Any:
        begun.append(arguments[2])
        if len(begun) == 3:
            raise KeyboardInterrupt
        return plain(*arguments, **named)

    monkeypatch.setattr(search, "train_epoch", two_epochs)
    archive = ["--archive", str(tmp_path / "headline.zip")]
    assert headline.main([str(tmp_path / "one"), *given, *archive]) == 75
    assert headline.main([str(tmp_path / "two"), *given, *archive]) == 0
    assert begun == [0, 1, 2, 2, 3]
    monkeypatch.setattr(search, "train_epoch", plain)
    assert headline.main([str(tmp_path / "whole"), *given]) == 0
    states = [json.loads(next(tmp_path.glob(f"{one}/searches/*/record.json")).read_text())["state_sha256"]
              for one in ("two", "whole")]  # fmt: skip
    assert states[0] == states[1]


def test_the_search_travels_until_each_of_its_runs_has_what_it_needs(
    headline: ModuleType, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint at most: the search's before the second run has one of its own, and none at the end."""
    configurations, run = headline.configurations, headline.run
    runs, checkpoints = list[Any](), list[list[str]]()

    def noted(*arguments: Any) -> Any:
        runs.extend(configurations(*arguments))
        return runs

    def then_look(config: Any, task: Any, options: Any) -> Any:
        record = run(config, task, options)
        files, _ = headline.travelling(options.out, runs, task)
        checkpoints.append([name for name in files if name.endswith(".pt")])
        return record

    monkeypatch.setattr(headline, "configurations", noted)
    monkeypatch.setattr(headline, "run", then_look)
    assert headline.main([str(tmp_path / "out"), *given, "--epochs", "1"]) == 0
    assert [len(names) for names in checkpoints] == [1, 0]
    assert checkpoints[0][0].startswith("searches/darts-")


def test_a_device_that_is_not_there_is_refused_in_a_line(headline: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^headline: device 'meta' cannot be used: "):
        headline.main([str(tmp_path / "runs"), "--device", "meta"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_an_archive_that_is_none_is_refused_in_a_line(
    content: bytes, headline: ModuleType, given: list[str], tmp_path: Path
) -> None:
    (tmp_path / "headline.zip").write_bytes(content)
    with pytest.raises(SystemExit, match=r"^headline: --archive .*headline\.zip cannot be unpacked: "):
        headline.main([str(tmp_path / "out"), *given, "--archive", str(tmp_path / "headline.zip")])
    assert not (tmp_path / "out").exists()
