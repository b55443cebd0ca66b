"""The supernet objective: gates mix the operations of an over-parameterised network trained on a task.

In a group of processes (torchrun) all draw the same gates and batches. Each runs its part of a batch, and losses,
gate gradients, weight gradients and measures are means over the images of all parts, the same in every process. Batch
norm takes its statistics of a process's part; on a network without batch statistics everything is what one process
computes on the whole batch.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..errors import BenchbedError
from ..layers.plan import Plan, Run, plan
from ..objective import Batch, Keep, Layers, Measure, Objective, OperationGradients, Outcomes, Tree, View, Weights
from ..objectives.reader import Broken, skip_again, skipped
from ..runtime import pulse
from ..runtime.parallel import ALONE, Group
from ..space import Space
from ..streams import Streams, derive, seeded
from ..supernet import Supernet, compile_steps
from ..task import AnySplit, Split, StoredSplit, Task
from .averaging import averaging
from .capture import Outputs, Recordings, Step, added, gate_gradients, weight_gradients
from .cursor import Cursor
from .layers import layer_gradients, layer_product
from .noise import advance, held
from .norms import Forward, Statistics, answered, average, gather
from .operations import OperationWeights
from .options import SupernetOptions as SupernetOptions
from .options import check_batches, import_class, partial_of
from .reader import StoredReader
from .split import choices_at, put_back, refuse_other, split_network, trained_alone, whole_of

PROBES: dict[Keep, Run] = {"outputs": Run.PROBED, "nothing": Run.ECHOED, "ones": Run.ONES}
CALIBRATION = 4  # batches of supernet.eval_batch training images that statistics of batch norm are gathered on


class SupernetObjective(Objective):
    """Loss and accuracy of gates on the task, by shared weights that `weight_step` trains."""

    provides = frozenset({"weights", "operations", "layers", "splits", "network", "images"})

    def __init__(
        self,
        space: Space,
        task: Task,
        options: SupernetOptions,
        streams: Streams,
        epochs: int,
        device: torch.device | str = "cpu",
        group: Group = ALONE,
    ):
        self.space, self.options, self.device, self.group = space, options, torch.device(device), group
        for name, size in (("supernet.batch", options.batch), ("supernet.valid_batch", options.valid_batch)):
            group.divides(name, size)
        check_batches(options, task)
        if options.graph and self.device.type != "cuda":
            raise BenchbedError(f"supernet option graph=true: needs a CUDA device, this one is '{self.device.type}'")
        if options.compile and self.device.type != "cpu":
            raise BenchbedError(
                f"supernet option compile=true: needs the CPU, this device is '{self.device.type}'; it takes graph=true"
            )
        self.splits = {"train": self._placed(task.train), "valid": self._placed(task.valid)}
        self.augment, self.streams = task.augment, streams
        self.cursors = {
            "train": Cursor(len(task.train), options.batch, streams.generator("data-train")),
            "valid": Cursor(len(task.valid), options.valid_batch, streams.generator("data-valid")),
        }
        self.steps_per_epoch = self.cursors["train"].batches
        self._measure_on(len(task.valid))
        self.readers = {
            name: StoredReader(split, self.cursors[name], streams.generator(f"augmentation-{name}"), group)
            for name, split in self.splits.items()
            if isinstance(split, StoredSplit)
        }
        with seeded(streams.generator("initialisation")):
            network = self._supernet(task)
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.noise: torch.Generator | None = None  # of a network that draws
        if getattr(network, "draws", False):
            if options.graph:
                raise BenchbedError("supernet option graph=true: networks of this space draw noise, and no graph does")
            self.noise = cast(Any, network).noise = streams.generator("noise")
        if options.compile:
            compile_steps(network)
        self.everything, self.bf16 = torch.from_numpy(space.mask), options.bf16
        self.extra: Weights = {}  # that the next weight step adds to its gradients
        self.view, self.gathered = View(), dict[bytes, Statistics]()
        self._hold(network, ())
        self._begin(options.lr, options.lr_min, epochs, options.schedule)

    def _hold(self, network: nn.Module, split_at: tuple[int, ...]) -> None:
        """The network is this from now on, split at these positions."""
        self.network: nn.Module = network
        self.split_at = split_at
        self.recordings = Recordings(network, self._precision) if self.options.graph else None
        self.operations = OperationWeights(network, self.everything)
        lacking = set() if self.operations.of else {"operations"}
        if not isinstance(network, Supernet) or network.layered(self.everything.float()) is None:
            lacking.add("layers")
        if getattr(network, "draws", False):  # an echo of a sub-supernet would draw other noise
            lacking.add("splits")
        self.provides = type(self).provides - lacking

    def _supernet(self, task: Task) -> nn.Module:
        """The over-parameterised network, initialised by torch's own generator."""
        sizes = self.space.sizes(self.options.channels, self.options.cells) | partial_of(self.space, self.options)
        network: nn.Module = import_class(self.space.supernet)(**sizes, classes=task.classes, in_channels=task.shape[0])
        return network

    def _placed(self, split: AnySplit) -> AnySplit:
        split = split.to(self.device)
        if isinstance(split, StoredSplit):
            return split
        return Split(split.images.contiguous(memory_format=torch.channels_last), split.labels)

    # -- the weights' optimiser ------------------------------------------------------------------------------------

    def _begin(self, lr: float, lr_min: float, epochs: int, schedule: str) -> None:
        o = self.options
        self.plan_of_lr: dict[str, Any] = {"lr": lr, "lr_min": lr_min, "epochs": epochs, "schedule": schedule}
        self.steps = 0
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), lr=lr, momentum=o.momentum, nesterov=o.nesterov, weight_decay=o.weight_decay
        )

    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        lr = self.options.lr * lr_factor
        self._begin(lr, min(self.options.lr_min, lr), epochs, "constant" if schedule == "constant" else "cosine-epoch")

    def learning_rate(self) -> float:
        """The rate of the next weight step."""
        p = self.plan_of_lr
        if p["schedule"] == "constant":
            return float(p["lr"])
        done = self.steps / self.steps_per_epoch
        if p["schedule"] == "cosine-epoch":
            done = math.floor(done)
        rate: float = p["lr_min"] + (p["lr"] - p["lr_min"]) * (1 + math.cos(math.pi * done / p["epochs"])) / 2
        return rate

    # -- functions of gates ----------------------------------------------------------------------------------------

    def batch(self, split: Literal["train", "valid"]) -> Batch:
        if split in self.readers:
            return self.readers[split].next()
        ((images, labels),) = self.splits[split].batches([self.cursors[split].next()])
        if self.augment is not None:
            images = self.augment(images, self.streams.generator(f"augmentation-{split}"))
        mine = self.group.part(len(labels))
        return Batch(images[mine].contiguous(memory_format=torch.channels_last), labels[mine])

    def _precision(self) -> AbstractContextManager[Any]:
        # the cache would keep a cast copy of a weight across a step that changes the weight inside a captured graph
        if self.options.bf16:
            return torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False)
        return nullcontext()

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        assert batch is not None
        steps = plan(gates, self.everything if gates.requires_grad else None, probe=Run.GATED)
        if self.group.size > 1:
            mean = averaging(self.group, len(batch.labels), self.device)
            gates = mean.replica(gates.to(self.device))
            weights = {name: mean.replica(w) for name, w in (weights or self.weights()).items()}
        inputs = (batch.images, gates.to(self.device), steps)
        with torch.autocast(self.device.type, enabled=False), held(self.noise):  # finite differences need float32
            if weights is None:
                return F.cross_entropy(self.network(*inputs), batch.labels)
            loss = F.cross_entropy(functional_call(self.network, weights, inputs), batch.labels)
        return loss if self.group.size == 1 else mean.value(loss)

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        assert batch is not None
        need = self.everything if need is None else need
        steps = plan(gates, need, PROBES[keep])
        if not bool(need.any()):
            with torch.no_grad(), self._precision(), held(self.noise):
                logits = self.network(batch.images, gates.detach().to(self.device), steps)
                loss = F.cross_entropy(logits.float(), batch.labels)
            return self.group.mean(loss, [], len(batch.labels))[0].cpu(), torch.zeros_like(gates)
        with held(self.noise):
            loss, (gradient,) = self._run(gate_gradients, steps, gates, batch)
        if gradient is None:  # nothing that was asked for reaches the output: every path is dead
            return loss.cpu(), torch.zeros_like(gates)
        packed = torch.cat([loss.reshape(1), gradient.to(loss.dtype).flatten()]).cpu()  # one wait for the device
        return packed[0], packed[1:].view_as(need).float() * need

    def _run(self, step: Step, steps: Plan, gates: Tensor, batch: Batch) -> Outputs:
        inputs = (batch.images, batch.labels, gates.detach().to(self.device))
        if self.recordings is None:
            loss, gradients = step(self.network, self._precision, steps, inputs)
        else:
            loss, gradients = self.recordings.run(step, steps, inputs)
        loss, gradients, _ = self.group.mean(loss, gradients, len(batch.labels))
        return loss, gradients

    def seen(self, view: View) -> "SupernetObjective":
        twin = copy(self)
        twin.view, twin.gathered = view, {}
        twin._measure_on(min(view.images or len(self.splits["valid"]), len(self.splits["valid"])))
        return twin

    def _measure_on(self, images: int) -> None:
        self.validation_images = images
        self.parts = -(-images // self.options.eval_batch)

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        flat = gates.reshape(-1, *gates.shape[-2:])
        totals = torch.zeros(2, len(flat), dtype=torch.float64, device=self.device)
        count = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.no_grad(), self._precision(), held(self.noise):
            forwards = self._forwards(flat)
            for images, labels in [batch] if batch is not None else self._validation():
                count += len(labels)
                for k, forward in enumerate(forwards):
                    pulse.beat()
                    with held(self.noise):  # the same for all gates
                        logits = forward(images).float()
                    totals[0, k] += F.cross_entropy(logits, labels, reduction="sum")
                    totals[1, k] += (logits.argmax(1) == labels).sum()
                advance(self.noise)
        totals, count = self.group.sum(totals), self.group.sum(count)
        means = (totals / count).cpu().float().reshape(2, *gates.shape[:-2])
        return Measure(means[0], 100 * means[1], int(count))

    def _validation(self) -> Iterator[Batch]:
        """What the view has of validation in nearly equal parts: a last part of few images would have statistics of
        its own.

        Each process of a group takes whole parts in turn, so that their batch statistics are those of one process.
        """
        yield from self._parts(range(self.group.rank, self.parts, self.group.size))

    def _parts(self, numbers: Iterable[int]) -> Iterator[Batch]:
        numbers = list(numbers)
        slices = [Group(i, self.parts).part(self.validation_images) for i in numbers]
        seed, split = self.view.augmentation, self.splits["valid"]
        generators = [torch.Generator().manual_seed(derive(seed or 0, f"part-{i}")) for i in numbers]
        spread = _spread(self.validation_images, len(split))
        chosen = [spread[part] for part in slices]
        if seed is not None and isinstance(split, StoredSplit):
            found = split.batches(chosen, [split.seeds(len(c), g) for c, g in zip(chosen, generators, strict=True)])
        elif len(spread) < len(split):
            found = split.batches(chosen)
        else:
            found = split.in_order(slices)
        for (images, labels), generator in zip(found, generators, strict=True):
            if seed is not None and self.augment is not None:
                images = self.augment(images, generator)
            yield Batch(images.contiguous(memory_format=torch.channels_last), labels)

    def _forwards(self, flat: Float[Tensor, "K P O"]) -> list[Forward]:
        """The network at each set of gates, its norms as the view has them."""
        if self.view.norm == "batch":
            return [self._at(g) for g in flat]
        if self.view.norm == "recalibrated":
            keys = [g.detach().numpy().tobytes() for g in flat]
            if new := {key: self._at(g) for key, g in zip(keys, flat, strict=True) if key not in self.gathered}:
                found = gather(list(new.values()), self._calibration(), self.noise)
                self.gathered.update(zip(new, found, strict=True))
            return [answered(self._at(g), self.gathered[key]) for key, g in zip(keys, flat, strict=True)]
        if b"" not in self.gathered:
            assert self.view.gates is not None
            whole = self.view.gates.reshape(-1, *flat.shape[1:])
            found = gather([self._at(g, whole=True) for g in whole], self._calibration(), self.noise)
            self.gathered[b""] = average(found)
        return [answered(self._at(g, whole=True), self.gathered[b""]) for g in flat]

    def _at(self, gates: Float[Tensor, "P O"], whole: bool = False) -> Forward:
        """images to logits. whole: run what has gate zero too, so that any gates call the same norms in one order."""
        moved, steps = gates.to(self.device), plan(gates, self.everything, Run.GATED) if whole else plan(gates)
        return lambda images: self.network(images, moved, steps)

    def _calibration(self) -> Iterator[Tensor]:
        """Training images, unaugmented, evenly spread over the split, in the same few batches always."""
        size, images = self.options.eval_batch, len(self.splits["train"])
        count = min(images, CALIBRATION * size)
        spread, parts = _spread(count, images), -(-count // size)
        chosen = [spread[Group(i, parts).part(count)] for i in range(parts)]
        for found, _ in self.splits["train"].batches(chosen):
            yield found.contiguous(memory_format=torch.channels_last)

    def outcomes(self, gates: Tensor, part: int) -> Outcomes:
        """In a group every process measures the whole part, and all go by the first one's figures."""
        flat, figures = gates.reshape(-1, *gates.shape[-2:]), list[Tensor]()
        with torch.no_grad(), self._precision(), held(self.noise):
            forwards = self._forwards(flat)
            ((images, labels),) = self._parts([part])
            for _ in range(part // self.group.size):
                advance(self.noise)  # to where `measure` takes this part
            for forward in forwards:
                pulse.beat()
                with held(self.noise):  # the same for all gates
                    logits = forward(images).float()
                loss = F.cross_entropy(logits, labels, reduction="none")
                figures.append(torch.stack([loss, (logits.argmax(1) == labels).float()]))
        found = torch.stack(figures, 1)  # (2, K, n)
        self.group.spread([found])
        found = found.cpu().reshape(2, *gates.shape[:-2], -1)
        return Outcomes(found[0], found[1])

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        """A candidate that did not run has no gradient, hence no decay and no momentum (ProxylessNAS' own rule)."""
        assert batch is not None
        paths = gates.reshape(-1, *gates.shape[-2:])
        loss, gradients = added(self._run(weight_gradients, plan(path), path, batch) for path in paths)
        for weight, gradient in zip(self.network.parameters(), gradients, strict=True):
            weight.grad = None if self.operations.still(weight) else gradient
        for name, weight in self.network.named_parameters() if self.extra else ():
            if weight.grad is not None and name in self.extra:
                weight.grad = weight.grad + self.extra[name]
        self.extra = {}
        if self.options.clip is not None:
            for alone in trained_alone(self.network):
                nn.utils.clip_grad_norm_(alone.parameters(), self.options.clip)
        self.optimiser.param_groups[0]["lr"] = self.learning_rate()
        self.optimiser.step()
        self.steps += 1
        return loss

    def operation_gradients(self, gates: Tensor, batch: Batch | None) -> OperationGradients:
        assert batch is not None
        with held(self.noise):
            _, gradients = self._run(weight_gradients, plan(gates), gates, batch)
        return self.operations.gradients(list(self.network.parameters()), gradients)

    def freeze(self, operations: Tensor) -> None:
        self.operations.freeze(operations)

    def split(self, positions: tuple[int, ...]) -> Float[Tensor, "K P O"]:
        refuse_other(self.split_at, positions, self.space)
        if positions != self.split_at:
            self.network.zero_grad(set_to_none=True)
            steps, frozen = self.steps, self.operations.frozen
            self._hold(split_network(self.network, self.space, positions), positions)
            self.operations.freeze(frozen)
            self._begin(**self.plan_of_lr)
            self.steps = steps
        return choices_at(self.space, positions)

    def layered(self, gates: Tensor) -> Layers:
        found = cast(Supernet, self.network).layered(gates)
        assert found is not None
        return found

    def layer_gradients(self, gates: Layers, batch: Batch | None) -> tuple[Layers, Weights]:
        assert batch is not None
        mask = self.layered(self.everything.float())
        with held(self.noise):
            loss, own, others = layer_gradients(cast(Supernet, self.network), gates, mask, batch)
        _, (by_gates, *by_weights), _ = self.group.mean(loss, [own, *others], len(batch.labels))
        assert by_gates is not None
        return by_gates.cpu() * mask, self._named(by_weights)

    def layer_product(self, gates: Layers, batch: Batch | None, along: Layers) -> Weights:
        assert batch is not None
        network, mask = cast(Supernet, self.network), self.layered(self.everything.float())
        with held(self.noise):
            loss, found = layer_product(network, gates, mask, batch, along)
        return self._named(self.group.mean(loss, found, len(batch.labels))[1])

    def _named(self, gradients: Iterable[Tensor | None]) -> Weights:
        return {name: g for name, g in zip(self.weights(), gradients, strict=True) if g is not None}

    def add_gradient(self, extra: Weights) -> None:
        self.extra = extra

    def weights(self) -> dict[str, Tensor]:
        return dict(self.network.named_parameters())

    def lookahead(self, gates: Tensor, batch: Batch | None) -> tuple[dict[str, Tensor], float]:
        weights, rate, o = self.weights(), self.learning_rate(), self.options
        gradients = torch.autograd.grad(self.loss(gates.detach(), batch), list(weights.values()), allow_unused=True)
        ahead: dict[str, Tensor] = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            if self.operations.still(weight):
                continue
            ahead[name] = weight.detach().clone()
            if gradient is not None:
                buffer = self.optimiser.state.get(weight, {}).get("momentum_buffer")
                step = gradient + o.weight_decay * weight.detach()
                ahead[name] -= rate * (step if buffer is None else step + o.momentum * buffer)
        return {name: weight.requires_grad_() for name, weight in ahead.items()}, rate

    # -- state -----------------------------------------------------------------------------------------------------

    def state(self) -> Tree:
        return {
            "network": deepcopy(self.network.state_dict()),
            "optimiser": deepcopy(self.optimiser.state_dict()),
            "plan_of_lr": dict(self.plan_of_lr),
            "steps": self.steps,
            "cursors": {name: cursor.state() for name, cursor in self.cursors.items()},
            **({"skipped": self.skipped()} if self.readers else {}),
            **({"frozen": self.operations.frozen.clone()} if self.operations.frozen.any() else {}),
            **({"split": list(self.split_at)} if self.split_at else {}),
        }

    def load_state(self, tree: Tree) -> None:
        if (split_at := tuple(tree.get("split", ()))) != self.split_at:
            self._hold(split_network(whole_of(self.network), self.space, split_at), split_at)
        put_back(self.network, tree["network"])
        self._begin(**tree["plan_of_lr"])
        self.optimiser.load_state_dict(deepcopy(tree["optimiser"]))  # torch keeps the very tensors it is given
        self.steps = tree["steps"]
        for name, cursor in self.cursors.items():
            cursor.load_state(tree["cursors"][name])
        skip_again(self.splits, tree.get("skipped", {}))
        self.operations = OperationWeights(self.network, self.everything)
        self.operations.freeze(tree.get("frozen", torch.zeros_like(self.everything)))

    def skipped(self) -> Broken:
        """The images that could not be read so far, by split. Collective where there are many processes."""
        return skipped(self.group, self.splits)


def _spread(count: int, of: int) -> Tensor:
    """The indices of `count` of `of` images, evenly spread and in order; all of them where they are as many."""
    return torch.arange(count) * of // count
