"""The objective of a surrogate on a list, against the surrogate itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed.builder.fit import fit
from benchbed.errors import BenchbedError
from benchbed.objectives.asked import AskedObjective
from benchbed.spaces.classes import drawn
from benchbed.spaces.darts.space import Darts
from benchbed.tables.importing import import_table


@pytest.fixture
def objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AskedObjective:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    rows = [f'"{one.text}",{40 + n},{50 + n},{10 + n % 3}' for n, one in enumerate(drawn(Darts(), 30))]
    (tmp_path / "t.csv").write_text("\n".join(["arch,mine_valid_9,mine_test_9,mine_train_seconds_9", *rows]) + "\n")
    import_table([tmp_path / "t.csv"], "t", space="darts", partial=True)
    return AskedObjective(fit("t", "s", None, None, "random-forest:trees=10", 3, 0, False), "mine")


def test_single_architectures_have_the_surrogates_figures_and_seconds(objective: AskedObjective) -> None:
    *known, new = drawn(Darts(), 31)
    for n, one in enumerate(known[:4]):
        assert objective.evaluate(one, 9) == (40 + n, 10 + n % 3)
    value, seconds = objective.evaluate(new, 9)
    assert value == objective.table.query(new, "mine", "valid", 9)
    assert seconds == pytest.approx(np.mean([10 + n % 3 for n in range(30)]))
    with pytest.raises(BenchbedError, match="after 8 epochs"):
        objective.evaluate(new, 8)


def test_gates_count_as_the_architecture_of_their_greatest_entries(objective: AskedObjective) -> None:
    space = Darts()
    several = drawn(space, 33)[29:]
    gates = torch.stack([torch.from_numpy(space.gates(one)) for one in several])
    wanted = torch.tensor([objective.table.query(one, "mine", "valid", 9) for one in several])
    assert torch.allclose(objective.measure(gates).accuracy, wanted.float())
    assert torch.allclose(objective.measure(0.9 * gates + 0.001).accuracy, wanted.float())
    assert float(objective.loss(gates[0], None)) == pytest.approx(1 - float(wanted[0]) / 100)


def test_there_is_no_gradient(objective: AskedObjective) -> None:
    with pytest.raises(BenchbedError, match="table s is asked architecture by architecture: it has no gradient"):
        objective.gate_gradient(torch.ones(28, 8), None)
