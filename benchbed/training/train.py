"""The one way a discrete network is trained: SGD on a cosine, the data in shuffled batches, resumable by the epoch."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..images.augment import Cutout
from ..images.mix import Examples, Mix
from ..runtime import pulse
from ..runtime.finite import all_finite
from ..runtime.overlap import Overlap
from ..runtime.parallel import ALONE, Group
from ..runtime.progress import Reporter
from ..runtime.stage import Stage
from ..task import AnySplit, StoredSplit
from .evaluate import evaluate
from .loss import Loss
from .part import Part
from .recipe import RECIPES, Recipe, check_device, cosine, drop_path_rate, learning_rate
from .recorded import Recorded, check_graph

__all__ = ["RECIPES", "Recipe", "Training", "cosine", "evaluate", "train_on"]


class Within(NamedTuple):
    """`save` is called within an epoch after every so many of its steps."""

    every: int
    save: Callable[[], None]


class Training:
    """One network, its optimiser, its data cursor and its clock.

    The network comes initialised, and is moved to `device`. The order of the images and their augmentation are drawn
    from `generator`, a CPU generator that the training owns from now on, what the network itself draws (dropout, drop
    path) from `noise`, and which images are mixed from `mixing`, which a recipe with mixup or cutmix needs. A network
    that drops paths has the attribute `drop_path`, which every epoch sets; one with an auxiliary head gives (logits,
    auxiliary logits) while it trains. `epoch` runs one epoch; between two epochs, and where `within` is called, `state`
    is everything that the rest depends on.

    In a `group` every process makes the same calls with the same network and generators: each takes its part of every
    batch and the gradients are averaged over the images, so that all step alike. Batch statistics are of a process's
    own part, but with `sync_bn`, and so is what the network draws (dropout, drop path); the first process's running
    statistics are measured with and saved. Raises BenchbedError where the group does not divide the batch, and for what
    the device or the network cannot do.
    """

    def __init__(
        self,
        network: nn.Module,
        split: AnySplit,
        recipe: Recipe,
        generator: torch.Generator,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        device: torch.device | str = "cpu",
        group: Group = ALONE,
        noise: torch.Generator | None = None,
        mixing: torch.Generator | None = None,
    ):
        if len(split) < 2 * group.size:
            what = f"training split of {len(split)} images: at least 2 are needed"
            raise group.refusal(what + (f" a process, of {group.size}" if group.size > 1 else ""))
        check_device(recipe, torch.device(device), group)
        group.divides("batch", recipe.batch)
        for name, images in (("batch", recipe.batch), ("epoch_images", recipe.epoch_images)):
            if images is not None and images < 2 * group.size:
                raise group.refusal(f"{name} = {images}: {group.size} processes need at least {2 * group.size}")
        self.layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        if recipe.sync_bn:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network.to(device)
        nn.utils.convert_conv2d_weight_memory_format(self.network, self.layout)
        self.split = split.to(device)
        self.recipe, self.generator, self.noise, self.mixing = recipe, generator, noise, mixing
        self.augment, self.group, self.device = augment, group, torch.device(device)
        self.cutout = Cutout(recipe.cutout) if recipe.cutout else None
        self.mix = Mix(recipe.mixup, recipe.cutmix) if recipe.mixup or recipe.cutmix else None
        self.average = None if recipe.ema is None else _average(self.network, recipe.ema)
        self.sgd = torch.optim.SGD(
            recipe.groups(self.network), lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov
        )
        self.loss = Loss(recipe.label_smoothing, recipe.auxiliary)
        self.recorded: Recorded | None = None
        if recipe.graph:
            check_graph(self.network)
            self.recorded = Recorded(self.network, self._precision, self.loss)
        # a graph's replay calls no hooks, and several batches are averaged over images that are counted last
        overlaps = group.size > 1 and not recipe.graph and recipe.accumulate == 1
        self.overlap = Overlap(group, list(self.network.parameters())) if overlaps else None
        self.step = 0
        self.order = torch.empty(0, dtype=torch.int64)  # of the images that an order holds after this epoch
        self.part: Part | None = None  # of an epoch that was begun
        self.within: Within | None = None

    @property
    def epoch_images(self) -> int:
        """Images an epoch: what the recipe says, at most all."""
        return min(self.recipe.epoch_images or len(self.split), len(self.split))

    @property
    def batches_per_epoch(self) -> int:
        """The last batch is smaller where the batch does not divide an epoch, and left out where it is one image a
        process, which has no batch statistics."""
        whole, rest = divmod(self.epoch_images, self.recipe.batch)
        return whole + (rest >= 2 * self.group.size)

    @property
    def steps_per_epoch(self) -> int:
        """A step takes `accumulate` batches; the last one those that are left."""
        return -(-self.batches_per_epoch // self.recipe.accumulate)

    @property
    def measured(self) -> nn.Module:
        """The network whose accuracies count: the average of all steps' where the recipe has one."""
        return self.network if self.average is None else self.average.module

    @property
    def epochs_done(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def finished(self) -> bool:
        return self.epochs_done >= self.recipe.epochs

    def epoch(self) -> dict[str, int | float]:
        """One epoch. Gives its number (from 1), mean loss over the images, last learning rate and wall seconds.

        Raises BenchbedError on a loss that is not finite, naming epoch, step, learning rate and batch.
        """
        if self.finished:
            raise RuntimeError(f"all {self.recipe.epochs} epochs are done")
        number, steps = self.epochs_done + 1, self.steps_per_epoch
        self.network.train()
        if self.recipe.drop_path:
            self.network.drop_path = drop_path_rate(self.recipe, number - 1)  # type: ignore[assignment]
        self.part = part = self._begun() if self.part is None else self.part
        start = time.perf_counter() - part.seconds
        with nullcontext() if self.noise is None else part.drawing(self.noise, self.group.rank):
            read = self._read(part)
            while part.steps < steps:
                loss, count = self._step(islice(read, self.recipe.accumulate))
                part.losses.append(loss)
                part.images.append(count)
                if self.within is not None and part.steps < steps and part.steps % self.within.every == 0:
                    part.seconds, part.draws = time.perf_counter() - start, torch.get_rng_state()
                    self.within.save()
        losses, images = (torch.stack(column).cpu() for column in (part.losses, part.images))  # no waiting until here
        self.part = None
        if not losses.isfinite().all():
            at = int((~losses.isfinite()).nonzero()[0])
            rate = learning_rate(self.recipe, (number - 1) * steps + at, steps)
            raise self.group.refusal(
                f"training diverged: loss {losses[at]:g} at epoch {number} of {self.recipe.epochs}, "
                f"step {at + 1} of {steps}, lr {rate:g}, batch {self.recipe.batch}"
            )
        if self.finished and not all_finite(self.network.parameters()):
            raise self.group.refusal(f"training diverged: weights that are not finite after the last of {steps} steps")
        mean = float((losses.double() * images).sum() / images.sum())
        seconds = time.perf_counter() - start
        return {"epoch": number, "loss": mean, "lr": self.sgd.param_groups[0]["lr"], "seconds": seconds}

    def _begun(self) -> Part:
        """An epoch at its begin: its images in order, and the seeds of those that are decoded and augmented."""
        order = self._next_images()
        if not isinstance(self.split, StoredSplit):
            return Part(order.to(self.split.labels.device))
        batches = order.split(self.recipe.batch)[: self.batches_per_epoch]
        drawn = [seeds for chosen in batches if (seeds := self.split.seeds(len(chosen), self.generator)) is not None]
        return Part(order, torch.cat(drawn) if drawn else None)

    def _next_images(self) -> Tensor:
        """int64 (epoch_images,): the indices of this epoch's images, in order."""
        if len(self.order) < self.epoch_images:
            self.order = torch.randperm(len(self.split), generator=self.generator)
        chosen, self.order = self.order[: self.epoch_images], self.order[self.epoch_images :]
        return chosen

    def _read(self, begun: Part) -> Iterator[Examples]:
        """This process's augmented part of each batch that is left, drawn as a single process would.

        Images that are decoded are mixed among those of one process, others among all of the batch.
        """
        left = slice(begun.steps * self.recipe.accumulate, self.batches_per_epoch)
        batches = begun.order.split(self.recipe.batch)[left]
        parts = [self.group.part(len(chosen)) for chosen in batches]
        if isinstance(self.split, StoredSplit):
            none = [None] * len(batches)
            seeds = none if begun.seeds is None else begun.seeds.split(self.recipe.batch)[left]
            mine = [chosen[part] for chosen, part in zip(batches, parts, strict=True)]
            draws = [None if s is None else s[part] for s, part in zip(seeds, parts, strict=True)]
            for images, labels in self.split.batches(mine, draws):
                yield self._mixed(images, labels)
            return
        for (images, labels), part in zip(self.split.batches(batches), parts, strict=True):
            if self.augment is not None:
                images = self.augment(images, self.generator)
            if self.cutout is not None:
                images = self.cutout(images, self.generator)
            yield self._mixed(images, labels).part(part)

    def _mixed(self, images: Tensor, labels: Tensor) -> Examples:
        if self.mix is None:
            return Examples(images, labels)
        if self.mixing is None:
            raise ValueError("mixup and cutmix need a generator of their own, `mixing`")
        return self.mix(images, labels, self.mixing)

    def _step(self, batches: Iterator[Examples]) -> tuple[Tensor, Tensor]:
        """One step on this process's images of the batches; the loss over all processes' and how many those are."""
        rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for part in self.sgd.param_groups:
            part["lr"] = rate
        self.sgd.zero_grad(set_to_none=True)
        mean, count = self._gradients(batches)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(list(self.network.parameters()), self.recipe.clip)
        self.sgd.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        pulse.beat()
        return mean, count

    def _gradients(self, batches: Iterator[Examples]) -> tuple[Tensor, Tensor]:
        """Leaves the gradient of the mean loss over all processes' images; that loss, and how many they are."""
        if self.overlap is not None:
            (batch,) = batches
            self.overlap.begin(len(batch.labels))
            loss = self._loss(batch)
            loss.backward()
            return self.overlap.finish(loss)
        loss, gradients, images = self._backward(batches)
        mean, gradients, count = self.group.mean(loss, gradients, images)
        for weight, gradient in zip(self.network.parameters(), gradients, strict=True):
            weight.grad = gradient
        return mean, count

    def _backward(self, batches: Iterator[Examples]) -> tuple[Tensor, list[Tensor | None], int]:
        """The mean loss over this process's images of the batches, its gradients, and how many they are."""
        if self.recipe.accumulate == 1:
            (batch,) = batches
            if self.recorded is not None:
                laid = batch._replace(images=batch.images.contiguous(memory_format=self.layout))
                return *self.recorded(laid), len(batch.labels)
            loss = self._loss(batch)
            loss.backward()
            return loss.detach(), [w.grad for w in self.network.parameters()], len(batch.labels)
        sums, images = [], 0  # how many images can be read is known after the last batch alone
        for batch in batches:
            total = self._loss(batch) * len(batch.labels)
            total.backward()
            sums.append(total.detach())
            images += len(batch.labels)
        gradients = [w.grad for w in self.network.parameters()]
        for gradient in gradients:
            if gradient is not None:
                gradient /= images
        return torch.stack(sums).sum() / images, gradients, images

    def _loss(self, batch: Examples) -> Tensor:
        with self._precision():
            logits = self.network(batch.images.contiguous(memory_format=self.layout))
        return self.loss(logits, batch.labels, batch.others, (batch.share, 1 - batch.share))

    def _precision(self) -> AbstractContextManager[Any]:
        if not self.recipe.bf16:
            return nullcontext()
        # a cast copy of a weight that is kept would outlive the weight's step inside a graph
        return torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=not self.recipe.graph)

    def state(self) -> dict[str, Any]:
        """A copy of all that the rest of the training depends on: tensors, numbers, strings and dicts."""
        names = {id(p): name for name, p in self.network.named_parameters()}
        momentum = {
            names[id(p)]: slot["momentum_buffer"].detach().clone()
            for p, slot in self.sgd.state.items()
            if slot.get("momentum_buffer") is not None
        }
        network = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        noise = {} if self.noise is None else {"noise": self.noise.get_state()}
        state = {"step": self.step, "network": network, "momentum": momentum, "generator": self.generator.get_state()}
        order = {"order": self.order.clone()} if len(self.order) else {}
        mixing = {} if self.mix is None or self.mixing is None else {"mixing": self.mixing.get_state()}
        average: dict[str, Any] = {}
        if self.average is not None:
            average["average"] = {name: value.detach().clone() for name, value in self.average.state_dict().items()}
        part = {} if self.part is None else {"part": self.part.state()}
        return state | noise | order | mixing | average | part

    def load_state(self, tree: dict[str, Any]) -> None:
        """Goes on from `state`, bit for bit on the CPU at the same thread count."""
        self.network.load_state_dict(tree["network"])
        self.sgd.state.clear()
        for name, p in self.network.named_parameters():
            if name in tree["momentum"]:
                # A copy in the parameter's own memory layout, on its device.
                self.sgd.state[p]["momentum_buffer"] = torch.empty_like(p).copy_(tree["momentum"][name]).detach()
        self.generator.set_state(tree["generator"].cpu())
        if self.noise is not None and "noise" in tree:  # a state from before networks drew
            self.noise.set_state(tree["noise"].cpu())
        if self.mixing is not None and "mixing" in tree:
            self.mixing.set_state(tree["mixing"].cpu())
        if self.average is not None:
            self.average.load_state_dict(tree["average"])
        self.order = tree.get("order", self.order[:0]).cpu()
        self.part = Part.of(tree["part"], self.device) if "part" in tree else None
        self.step = int(tree["step"])


def _average(network: nn.Module, decay: float) -> AveragedModel:
    """A moving average of the network: m = w after the first step, then m = decay m + (1 - decay) w.

    Floating-point buffers, the running statistics of batch norm, are averaged as weights are, as timm's ModelEmaV2 has
    it.
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def train_on(
    training: Training,
    stage: Stage,
    reporter: Reporter,
    name: str,
    epoch: Callable[[], dict[str, Any]] | None = None,
    kept: Callable[[], dict[str, Any]] = dict,
    after: Callable[[int], None] = lambda done: None,
    every: int | None = None,
) -> None:
    """Goes on with a training to its end, an epoch at a time, each saved; `name` is what the reporter calls it.

    epoch: in place of the training's own, gives the line of the history; kept: what is saved beside the training;
    after: is called with the number of epochs done once each has been saved. every: also saved within an epoch, after
    so many of its steps.
    """
    if stage.saved is not None:
        training.load_state(stage.saved["training"])
        step = f", step {training.part.steps} of {training.steps_per_epoch}" if training.part is not None else ""
        reporter.line(f"{name}: goes on after epoch {training.epochs_done} of {training.recipe.epochs}{step}")
    if every is not None and stage.folder is not None:

        def save() -> None:
            stage.lap()
            stage.save({"training": training.state(), **kept()})

        training.within = Within(every, save)
    stage.begin(training.epochs_done)
    reporter.begin(name, training.recipe.epochs, training.epochs_done)
    while not training.finished:
        line = stage.timed(epoch or training.epoch)
        stage.reached(training.epochs_done)
        if stage.folder is not None:  # a state is a copy of all weights
            stage.save({"training": training.state(), **kept()}, line)
        after(training.epochs_done)
        reporter.advance(training.epochs_done)
