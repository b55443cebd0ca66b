"""The tests elsewhere that need a CUDA device and skip without one, on the simulated device."""

import importlib
from typing import Any

import pytest
import torch

from benchbed.objectives import capture

FILES = ("objectives.test_capture", "images.test_augment")
NEEDS = "needs a CUDA device"


def needs_a_device(test: object) -> bool:
    marks = getattr(test, "pytestmark", [])
    return any(mark.name == "skipif" and NEEDS in mark.kwargs.get("reason", "") for mark in marks)


def test_there_are_some_in_each_file() -> None:
    assert [file for file in FILES if not found[file]] == []


def stale(self: Any, inputs: capture.Inputs) -> capture.Outputs:
    """A replay that forgets to copy the labels of its batch."""
    for buffer, value in zip(self.buffers, inputs, strict=True):
        if buffer.dtype != torch.int64:
            buffer.copy_(value)
    outputs: capture.Outputs = self._replay()
    return outputs


@pytest.mark.parametrize("fault", ["a stale label", "a missing zero", "a sync in the graph"])
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("..objectives.test_capture", __package__)
    if fault == "a stale label":
        monkeypatch.setattr(capture.StaticStep, "__call__", stale)
    elif fault == "a missing zero":  # a recording then adds to the gradients of the one before
        monkeypatch.setattr(torch.nn.Module, "zero_grad", lambda self, set_to_none: None)
    else:
        plain = capture._loss

        def looks(*inputs: Any) -> torch.Tensor:
            loss = plain(*inputs)
            assert loss.detach().isfinite().item()
            return loss

        monkeypatch.setattr(capture, "_loss", looks)
    refused = RuntimeError if "sync" in fault else AssertionError
    with pytest.raises(refused):
        module.test_a_cuda_graph_gives_what_plain_steps_give(module._dense, False)


found: dict[str, list[str]] = {}
for file in FILES:
    module = importlib.import_module(f"..{file}", __package__)
    tests = {name: value for name, value in vars(module).items() if needs_a_device(value)}
    found[file] = sorted(tests)
    globals().update(tests)
