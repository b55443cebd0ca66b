"""The authors' code, run beside ours in float64: what it takes, and every shim.

    BENCHBED_ORIGINALS=FOLDER pytest tests/originals
    BENCHBED_ORIGINALS=FOLDER BENCHBED_ORIGINALS_PAGE=results/originals pytest tests/originals

FOLDER holds clones named as on GitHub, which the user fetches; a test whose clone is missing is skipped and says so.
Nothing of them is copied or committed. The second line also writes the page and its JSON, where all tests were run, in
one process, and none failed.

What is put beside the authors' code so that it runs on a CPU and on today's torch, all of it:

- `.cuda()` of a tensor or a module leaves it where it is, and `.cpu()` of a tensor copies, as from a device.
- Packages that are imported and play no part are stand-ins that do nothing: torchvision, graphviz, tensorboard, thop,
  the reader of NAS-Bench-201's file (`clones.Bystander`). Packages whose __init__.py imports more than is needed
  are entered past it (`clones.empty_package`).
- `Tensor.add_(number, tensor)` and its like, which newer torch has no longer, mean `add_(tensor, alpha=number)`.
- `Tensor.view` of memory that it does not fit, which older torch did not give there, is `reshape`.
- Warnings of their code are not errors.

And for the comparison, on both sides:

- torch's default type is float64, and `Tensor.float()` gives float64: ours rounds gates' gradients and measurements to
  float32 otherwise, and authors' code its accuracies.
- Draws come from one tape, wound back between the two sides (`tape`), or are handed over: what is compared is what is
  made of a draw. DARTS-PT's next edge, drawn at random, is the first that is left.

Scripts that read a command line and write where they are get both, in a temporary folder (`clones.script`). What
darts-pt prints at the end of a projection, a number of parameters, is not counted.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from .ledger import Ledger

LEDGER = Ledger()


@pytest.fixture(autouse=True)
def _as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "cuda", lambda self, *_, **__: self)
    monkeypatch.setattr(nn.Module, "cuda", lambda self, *_, **__: self)
    monkeypatch.setattr(Tensor, "cpu", lambda self, *_, **__: self.clone())
    for name in ("add", "add_", "sub", "sub_"):
        monkeypatch.setattr(Tensor, name, _old(getattr(Tensor, name)))
    monkeypatch.setattr(Tensor, "view", _viewed(Tensor.view))


def _old(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Tensor, first: Any, *second: Any, **named: Any) -> Any:
        return method(self, second[0], alpha=first) if second else method(self, first, **named)

    return call


def _viewed(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Tensor, *shape: Any, **named: Any) -> Any:
        try:
            return method(self, *shape, **named)
        except RuntimeError:
            return self.reshape(*shape)

    return call


@pytest.fixture(autouse=True)
def _double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on exponential draws come from one tape, on whatever tensors; calling this winds it back."""
    drawn = torch.empty(4096).exponential_(generator=torch.Generator().manual_seed(7))
    place = [0]

    def exponential(self: Tensor, *_: Any, **__: Any) -> Tensor:
        found = drawn[place[0] : place[0] + self.numel()]
        place[0] += self.numel()
        with torch.no_grad():
            return self.copy_(found.view(self.shape))

    monkeypatch.setattr(Tensor, "exponential_", exponential)
    return lambda: place.__setitem__(0, 0)


@pytest.fixture
def ledger() -> Ledger:
    """What was compared with what, and how far apart it is."""
    return LEDGER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if item.path.parent == here]
    for item in mine:
        item.add_marker(pytest.mark.filterwarnings("ignore"))
    LEDGER.partial |= {item.path for item in mine} != set(here.glob("test_*.py"))


def pytest_deselected(items: list[pytest.Item]) -> None:
    LEDGER.partial |= any(item.path.parent == Path(__file__).parent for item in items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    LEDGER.note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    LEDGER.write()
