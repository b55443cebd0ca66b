"""What a step costs on the device: no more launches, bytes, syncs and copies than its budget.

A budget is what the code needed when it was written, rounded up by a percent or so: a step that needs more has lost
something, one that needs much less has a new budget. C=16, N=5; bytes are those of 64 images.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from device import Device, each
from steps import cost, mixture, objective, path

from benchbed.objectives.supernet import SupernetObjective


def weight_step(made: SupernetObjective) -> None:
    made.weight_step(mixture(), made.batch("train"))


def darts(made: SupernetObjective) -> None:
    """Both halves of a first-order step."""
    made.gate_gradient(mixture(), made.batch("valid"))
    made.weight_step(mixture(), made.batch("train"))


def one_path(made: SupernetObjective) -> None:
    made.weight_step(path(), made.batch("train"))


def two_paths(made: SupernetObjective) -> None:
    """ProxylessNAS' architecture step: two operations a position, one of which flows."""
    need = torch.zeros(6, 5, dtype=torch.bool)
    need[:, 1] = need[:, 3] = True
    gates = torch.zeros(6, 5)
    gates[:, 3] = 1.0
    made.gate_gradient(gates, made.batch("valid"), need)


ROOT = Path(__file__).resolve().parents[2]
BUDGETS = [  # step, its options, launches, gigabytes, its row in docs/gpu.md
    pytest.param(darts, {}, 3_120, 18.3, "DARTS, both halves", marks=pytest.mark.slow),
    (darts, {"bf16": True}, 3_150, 9.2, "the same in bfloat16"),
    (weight_step, {"bf16": True}, 1_520, 4.3, ""),
    (one_path, {}, 440, 1.95, "weights of one path (ProxylessNAS, random)"),
    (two_paths, {}, 770, 4.25, "gate gradient of two operations a position (ProxylessNAS)"),
]


@pytest.mark.parametrize(("step", "options", "launches", "gigabytes", "row"), BUDGETS)
def test_a_step_keeps_to_its_budget_and_the_page_says_what_it_costs(
    step: Callable[[SupernetObjective], None],
    options: dict[str, bool],
    launches: int,
    gigabytes: float,
    row: str,
    device: Device,
) -> None:
    found = cost(device, step, **options)
    if row:
        counted = f"| {row} | {found.launches:,} | {found.gigabytes:.1f} GB | {found.syncs} |"
        assert counted in (ROOT / "docs" / "gpu.md").read_text().splitlines()
    most = list(each(device.launches))[:8]
    assert 0.9 * launches < found.launches <= launches, (found, most)
    assert 0.9 * gigabytes < found.gigabytes <= gigabytes, (found, most)


@pytest.mark.parametrize(("step", "syncs", "copies"), [(darts, 1, 2), (one_path, 0, 1)])
def test_a_step_waits_for_the_device_no_more_often_than_it_must(
    step: Callable[[SupernetObjective], None], syncs: int, copies: int, device: Device
) -> None:
    """A sync for the loss and the gate gradient; copies that wait, of gates."""
    found = cost(device, step)
    assert (found.syncs, found.copies) == (syncs, copies), [*each(device.syncs), *each(device.copies)]


def test_a_hidden_sync_is_found_with_its_line(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    made = objective("cuda", 2)
    network = made.network
    plain = network.forward

    def looks(*inputs: object) -> torch.Tensor:
        logits = plain(*inputs)
        float(logits.detach().abs().max())
        return logits

    monkeypatch.setattr(network, "forward", looks)
    device.reset()
    one_path(made)
    assert [line for line in each(device.syncs) if "_local_scalar_dense" in line]


def test_a_tensor_of_the_host_in_a_step_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = objective("cuda", 2)
    batch = made.batch("train")
    with pytest.raises(RuntimeError, match="on the same device"):
        made.weight_step(mixture(), batch._replace(labels=batch.labels.cpu()))
