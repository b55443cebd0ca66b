"""What a trained network gets right: top-1, top-5 and loss on a split."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BenchbedError
from ..runtime import pulse
from ..runtime.parallel import ALONE, Group
from ..task import AnySplit


class Accuracies(NamedTuple):
    """In percent, and the mean cross-entropy; `images`: how many were measured."""

    top1: float
    top5: float
    loss: float
    images: int


@torch.inference_mode()
def accuracies(network: nn.Module, split: AnySplit, batch: int = 512, group: Group = ALONE) -> Accuracies:
    """The network's accuracies on the split, in float32 with running batch statistics; its mode is put back.

    An image is right at top-5 where fewer than five classes have a greater logit than its own. Each process of the
    group measures its part, with the first one's batch statistics. Raises BenchbedError on an empty split.
    """
    if len(split) == 0:
        raise BenchbedError("accuracy of a split without images: at least 1 is needed")
    group.spread(list(network.buffers()))
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    right = torch.zeros(3, dtype=torch.int64, device=device)  # at top-1, at top-5, of all
    total = torch.zeros((), dtype=torch.float64, device=device)
    mine = group.part(len(split))
    parts = [slice(start, min(start + batch, mine.stop)) for start in range(mine.start, mine.stop, batch)]
    for images, labels in split.in_order(parts):
        labels = labels.to(device)
        logits = network(images.to(device)).float()
        right[0] += (logits.argmax(1) == labels).sum()
        right[1] += _among(logits, labels, 5)
        right[2] += len(labels)
        total += F.cross_entropy(logits, labels, reduction="sum")
        pulse.beat()
    network.train(training)
    top1, top5, count = group.sum(right).cpu().tolist()
    if count == 0:
        raise BenchbedError("accuracy of a split of which no image can be read")
    return Accuracies(100.0 * top1 / count, 100.0 * top5 / count, float(group.sum(total)) / count, count)


def _among(logits: Tensor, labels: Tensor, first: int) -> Tensor:
    """How many images have fewer than `first` classes above their own."""
    own = logits.gather(1, labels[:, None])
    return ((logits > own).sum(1) < first).sum()


def evaluate(network: nn.Module, split: AnySplit, batch: int = 512, group: Group = ALONE) -> float:
    """Top-1 accuracy in percent: see `accuracies`."""
    return accuracies(network, split, batch, group).top1
