"""The network of one pair of DARTS cells, with the auxiliary head and the drop path of its published training.

Liu et al., ICLR 2019, section 3 and the authors' code: batch norm is affine with running statistics, a pooling has none
after it, weights start from torch's defaults. A cell has two inputs, each brought to its C channels by ReLU, 1x1
convolution and norm (at half the size by `FactorizedReduce` where the cell before was a reduction).

What the network draws in training (drop path, noise) follows from a seed that the initial weights' generator gives and
from the number of forward passes, both part of its state, so a training that goes on draws what it would have drawn.
Drop path's draws of a pass are one tensor, made and copied to the device once: a path takes its slice.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BenchbedError, unknown
from ...streams import derive
from .costs import KERNELS, MULTIPLIER, STEM_MULTIPLIER, STEMS, CellShape, cell_shapes
from .genotype import INPUTS, NODES
from .space import EDGES, OPERATIONS

Norm = Callable[[int], nn.Module]  # channels to a batch norm: with running statistics, or a supernet's
Operations = Sequence[Sequence[str]]  # of each of the 28 positions
ALL = (OPERATIONS,) * (2 * len(EDGES))
AUXILIARY_SIDE = 8  # pixels of the features that the auxiliary head is made for, at the least; 7 with the other stem


def relu_conv_norm(c_in: int, c_out: int, norm: Norm) -> nn.Sequential:
    """ReLU, 1x1 convolution, norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out))


def shifted(x: Tensor) -> Tensor:
    """x without its first row and column: with zeros for one more row and column where a side is odd."""
    height, width = x.shape[2:]
    return F.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]


class FactorizedReduce(nn.Module):
    """(n, c_in, h, w) to (n, c_out, ceil(h/2), ceil(w/2)): ReLU, two 1x1 convolutions of stride 2, joined, norm.

    The second sees the input shifted by a pixel, so that together they see half of all pixels.
    """

    def __init__(self, c_in: int, c_out: int, norm: Norm):
        super().__init__()
        self.conv_a = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.conv_b = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        joined = torch.cat([self.conv_a(x), self.conv_b(shifted(x))], 1)
        normalised: Tensor = self.norm(joined)
        return normalised


class Noise(nn.Module):
    """S4's operation: N(0, 1) in the (strided) shape of its input, which it does not look at.

    In training from `generator`, which the network hands over; in evaluation the same draws every time, by `number`,
    which is another one for each noise of a network.
    """

    generator: torch.Generator | None = None
    number = 0

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        sides = [-(-side // self.stride) for side in x.shape[2:]]
        generator = self.generator if self.training else torch.Generator().manual_seed(self.number)
        return torch.randn(*x.shape[:2], *sides, generator=generator).to(x)


def operation_of(name: str, channels: int, stride: int, norm: Norm = nn.BatchNorm2d) -> nn.Module | None:
    """An operation at `channels`; None for `none`, which is zero. Raises BenchbedError for an unknown name."""
    if name in KERNELS:
        kernel, separable = KERNELS[name], name.startswith("sep")
        layers: list[nn.Module] = []
        for step in (stride, 1) if separable else (stride,):
            dilation = 1 if separable else 2
            pad = dilation * (kernel // 2)
            depthwise = nn.Conv2d(channels, channels, kernel, step, pad, dilation, groups=channels, bias=False)
            layers += [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), norm(channels)]
        return nn.Sequential(*layers)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "noise":
        return Noise(stride)
    if name != "none":
        raise unknown("darts operation", name, (*OPERATIONS, "noise"))
    return None


def stem_of(stem: str, in_channels: int, channels: int, norm: Norm) -> nn.ModuleList:
    """The convolutions before the cells: their outputs are the first cell's inputs, the only one's both."""
    if stem == "cifar":
        width = STEM_MULTIPLIER * channels
        conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        return nn.ModuleList([nn.Sequential(conv, norm(width))])
    half = channels // 2
    first = nn.Sequential(
        nn.Conv2d(in_channels, half, 3, 2, 1, bias=False), norm(half), nn.ReLU(),
        nn.Conv2d(half, channels, 3, 2, 1, bias=False), norm(channels),
    )  # fmt: skip
    second = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, 2, 1, bias=False), norm(channels))
    return nn.ModuleList([first, second])


def through_stem(stem: nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor]:
    """The two inputs of the first cell."""
    first = stem[0](x)
    return first, (stem[1](first) if len(stem) > 1 else first)


def preprocessing_of(shape: CellShape, norm: Norm) -> nn.ModuleList:
    """What brings a cell's two inputs to its channels and to one size."""
    kind = FactorizedReduce if shape.after_reduction else relu_conv_norm
    return nn.ModuleList(
        [kind(shape.before, shape.channels, norm), relu_conv_norm(shape.previous, shape.channels, norm)]
    )


def check_sizes(channels: int, cells: int, classes: int, in_channels: int, stem: str) -> None:
    """Raises BenchbedError that names a size out of range."""
    least = {"channels": 2, "cells": 3, "classes": 1, "in_channels": 1}
    given = {"channels": channels, "cells": cells, "classes": classes, "in_channels": in_channels}
    for name, value in given.items():
        if value < least[name]:
            why = ", so that both kinds of cell are there" if name == "cells" else ""
            raise BenchbedError(f"{name} of {value}: a DARTS network needs at least {least[name]}{why}")
    if stem not in STEMS:
        raise unknown("stem of a DARTS network", stem, STEMS)


class DartsCell(nn.Module):
    """One cell: two tensors to (n, 4C, h, w). `names`: its 14 edges' operations, None where one is dropped."""

    def __init__(self, shape: CellShape, names: Sequence[str | None]):
        super().__init__()
        self.channels, self.reduction = shape.channels, shape.reduction
        self.preprocessing = preprocessing_of(shape, nn.BatchNorm2d)
        self.edges = nn.ModuleDict()
        for (source, node), name in zip(EDGES, names, strict=True):
            stride = 2 if shape.reduction and source < INPUTS else 1
            operation = None if name is None else operation_of(name, shape.channels, stride)
            if operation is not None:
                self.edges[f"{source}->{node}"] = operation

    def forward(self, before: Tensor, previous: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
        """`drop`: what the output of every operation but an identity goes through."""
        states = [module(x) for module, x in zip(self.preprocessing, (before, previous), strict=True)]
        height, width = (-(-side // (1 + self.reduction)) for side in states[1].shape[2:])
        for node in NODES:
            total = None
            for source in range(node):
                name = f"{source}->{node}"
                if name in self.edges:
                    operation = self.edges[name]
                    term = operation(states[source])
                    term = term if isinstance(operation, nn.Identity) else drop(term)
                    total = term if total is None else total + term
            if total is None:
                total = previous.new_zeros(len(previous), self.channels, height, width)
            states.append(total)
        return torch.cat(states[INPUTS:], 1)


class AuxiliaryHead(nn.Module):
    """Features of 8x8 (7x7 with the ImageNet stem) to logits, after the second reduction; weighed 0.4 in the loss."""

    def __init__(self, channels: int, classes: int, stem: str):
        super().__init__()
        self.side = AUXILIARY_SIDE if stem == "cifar" else AUXILIARY_SIDE - 1
        stride = 3 if stem == "cifar" else 2
        # the authors' head for ImageNet has no norm here, by a slip that they kept (quark0/darts, cnn/model.py)
        last = [nn.BatchNorm2d(768)] if stem == "cifar" else []
        self.features = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(5, stride, padding=0, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False), *last, nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < self.side:
            raise BenchbedError(
                f"auxiliary head: features of {x.shape[2]}x{x.shape[3]} where at least {self.side}x{self.side} are "
                "needed: train on larger images, or set scoring.auxiliary = 0"
            )
        # the published head ends in one pixel; of larger images its features are averaged
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


def dropping(kept: Tensor | None) -> Callable[[Tensor], Tensor]:
    """What the outputs of a pass's paths go through, one after another: their slices of `kept`, or nothing."""
    if kept is None or len(kept) == 0:
        return lambda term: term
    cast: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = {}  # copied once for each, not path by path
    number = iter(range(len(kept)))

    def drop(term: Tensor) -> Tensor:
        to = (term.device, term.dtype)
        if to not in cast:
            cast[to] = kept.to(*to, non_blocking=True).unbind()
        return term * cast[to][next(number)]

    return drop


class DartsNetwork(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes); with `auxiliary`, in training, to (logits, auxiliary).

    `choices`: the operation of each edge by its number in `operations`, normal cell first, -1 where it is dropped.
    `channels` is C, `cells` is L. Two attributes are for the training: `auxiliary` says whether there is an auxiliary
    head; `drop_path`, 0 to below 1, is the probability with which the output of an operation other than an identity is
    left out, a draw a sample, the others scaled by 1 / (1 - drop_path). It may be set at any time, and does nothing in
    evaluation. `draws` says whether a pass in training draws what cannot be drawn before it, noise; paths can
    (`drawn`). Raises BenchbedError where the choices or a size do not fit.
    """

    def __init__(
        self,
        choices: tuple[int, ...],
        channels: int = 36,
        cells: int = 20,
        classes: int = 10,
        in_channels: int = 3,
        stem: str = "cifar",
        operations: Operations = ALL,
        auxiliary: bool = False,
    ):
        super().__init__()
        check_sizes(channels, cells, classes, in_channels, stem)
        names = _names(choices, operations)
        shapes = cell_shapes(channels, cells, stem)
        self.auxiliary, self.drop_path = auxiliary, 0.0
        self.stem = stem_of(stem, in_channels, channels, nn.BatchNorm2d)
        self.cells = nn.ModuleList(
            DartsCell(shape, names[len(EDGES) :] if shape.reduction else names[: len(EDGES)]) for shape in shapes
        )
        self.auxiliary_after = 2 * cells // 3
        head = AuxiliaryHead(MULTIPLIER * shapes[self.auxiliary_after].channels, classes, stem) if auxiliary else None
        self.auxiliary_head = head
        self.classifier = nn.Linear(MULTIPLIER * shapes[-1].channels, classes)
        self.noises = [module for module in self.modules() if isinstance(module, Noise)]
        for number, noise in enumerate(self.noises):
            noise.number = number
        self.draws = bool(self.noises)
        self.paths = sum(not isinstance(edge, nn.Identity) for cell in self._cells() for edge in cell.edges.values())
        self.seed, self.passes = int(torch.randint(2**31, ())), 0

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """`kept`: what `drawn` gave for this pass, on the device of the images; None: drawn here."""
        if self.training and kept is None:
            generator = self._generator()
            for noise in self.noises:
                noise.generator = generator
            kept = self._kept(len(x), generator)
        drop = dropping(kept if self.training else None)
        auxiliary = None
        before, previous = through_stem(self.stem, x)
        for number, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous, drop)
            if number == self.auxiliary_after and self.training and self.auxiliary_head is not None:
                auxiliary = self.auxiliary_head(previous)
        logits: Tensor = self.classifier(previous.mean((2, 3)))
        return logits if auxiliary is None else (logits, auxiliary)

    def drawn(self, images: int) -> Tensor:
        """Draws for the next pass in training, on so many images, what `forward` takes as `kept`.

        By what each path's output is multiplied: (paths, images, 1, 1, 1), with no paths where none is dropped.
        """
        return self._kept(images, self._generator())

    def _kept(self, images: int, generator: torch.Generator) -> Tensor:
        paths = self.paths if self.drop_path > 0 else 0
        kept = torch.rand(paths, images, 1, 1, 1, generator=generator) >= self.drop_path
        return kept / (1 - self.drop_path)

    def _cells(self) -> Iterator[DartsCell]:
        for cell in self.cells:
            assert isinstance(cell, DartsCell)
            yield cell

    def _generator(self) -> torch.Generator:
        """Of this forward pass in training."""
        self.passes += 1
        return torch.Generator().manual_seed(derive(self.seed, f"pass-{self.passes}"))

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.seed, self.passes])

    def set_extra_state(self, state: Tensor) -> None:
        self.seed, self.passes = state.tolist()


def _names(choices: tuple[int, ...], operations: Operations) -> list[str | None]:
    """The operations by name. Raises BenchbedError where the numbers are no DARTS cells."""
    positions = 2 * len(EDGES)
    if len(choices) != positions or len(operations) != positions:
        raise BenchbedError(f"{len(choices)} choices name no DARTS cells: {positions} numbers, 14 a cell")
    for i, (k, names) in enumerate(zip(choices, operations, strict=True)):
        if not -1 <= k < len(names):
            raise BenchbedError(f"choice {k} at position {i} of a DARTS network: expected -1 to {len(names) - 1}")
    return [None if k < 0 else names[k] for k, names in zip(choices, operations, strict=True)]
