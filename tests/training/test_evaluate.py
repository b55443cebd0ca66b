import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchbed.task import Split
from benchbed.training.evaluate import accuracies, evaluate


class Given(nn.Module):
    """Logits that lie in the image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x[:, 0, 0] * self.weight


@pytest.fixture
def split():
    g = torch.Generator().manual_seed(0)
    return Split(torch.randn(40, 1, 1, 9, generator=g), torch.randint(9, (40,), generator=g))


@pytest.mark.parametrize("batch", [7, 40, 100])
def test_top_1_top_5_and_loss(split, batch):
    logits = split.images[:, 0, 0]
    ranked = logits.argsort(1, descending=True)
    hits = ranked == split.labels[:, None]
    found = accuracies(Given(), split, batch)
    assert found.top1 == 100 * hits[:, 0].sum().item() / 40
    assert found.top5 == 100 * hits[:, :5].sum().item() / 40
    assert 0 < found.top1 < found.top5 < 100
    assert found.loss == pytest.approx(F.cross_entropy(logits, split.labels).item(), rel=1e-5)
    assert found.images == 40
    assert evaluate(Given(), split, batch) == found.top1


def test_four_classes_are_always_among_five(split):
    few = Split(split.images[..., :4], split.labels % 4)
    assert accuracies(Given(), few).top5 == 100.0
