"""The headline's script, rehearsed: three steps of everything, stopped and carried to another folder in between."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

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
    assert headline.main([str(tmp_path / "first"), *common, "--minutes", "0.05"]) == 75
    assert "the same command goes on" in capsys.readouterr().out
    there = tmp_path / "first"
    there.mkdir(exist_ok=True)
    assert headline.main([str(tmp_path / "second"), *common, "--from", str(there)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[:2] for row in rows] == [[f"| {a}", b] for a, b, _ in headline.PAIRS]
    assert [row.split(" | ")[4] for row in rows] == ["54.30", "88.11", "93.80", "-", "-"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "second").glob("*/record.json")]
    perturbed = [r for r in records if r["selector"] == "perturb"]
    assert {r["config"]["selector"]["options"]["schedule"] for r in perturbed} == {"official"}
    assert all(r["table"]["dataset"] == "cifar10" for r in records)
    assert max(path.stat().st_size for path in (tmp_path / "second").rglob("*")) < headline.LARGEST
