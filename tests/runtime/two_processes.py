"""What test_parallel.py runs once alone and once as two processes: trains and searches, and writes what came out.

python two_processes.py FOLDER      under torchrun's variables, or without them
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from benchbed.cost import without_cost
from benchbed.layers.mixed import mixed
from benchbed.layers.plan import Run
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.registry import load
from benchbed.runtime.overlap import Overlap
from benchbed.runtime.parallel import joined
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams, seeded
from benchbed.task import Seal, Split, Task
from benchbed.testing.objective_suite import dense_gates, one_hot_gates
from benchbed.testing.toys import ToySpace
from benchbed.training.evaluate import accuracies
from benchbed.training.recipe import Recipe
from benchbed.training.search_loop import train_epoch
from benchbed.training.train import Training


class SmoothSpace(ToySpace):
    supernet = "two_processes:Smooth"
    sized_by = ()


class Smooth(nn.Module):
    """A supernet without batch statistics, twice differentiable everywhere."""

    def __init__(self, classes: int, in_channels: int):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3)
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(4, 4, 1 + 2 * (k % 2), padding=k % 2) for k in range(len(p.operations)))
            for p in ToySpace.positions
        )
        self.head = nn.Linear(4, classes)

    def forward(self, images, gates, plan):
        x = torch.tanh(self.stem(images))
        for i, layer in enumerate(self.layers):
            held = [layer[k] for k, _ in plan[i]]
            parts = [(how, gates[i, k], op) for (k, how), op in zip(plan[i], held, strict=True)]
            source = x.detach() if all(how in (Run.PROBED, Run.ECHOED) for _, how in plan[i]) else x
            x = torch.tanh(mixed(source, parts, lambda x=x: torch.zeros_like(x)))
        return self.head(x.mean((2, 3)))


class TwoHeads(nn.Module):
    """A network with an auxiliary one beside it, whose logits training sees."""

    def __init__(self, main, auxiliary):
        super().__init__()
        self.main, self.auxiliary = main, auxiliary

    def forward(self, images):
        return (self.main(images), self.auxiliary(images)) if self.training else self.main(images)


def made_task() -> Task:
    g = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 52, 3, 8, 8, generator=g), torch.randint(3, (2, 52), generator=g)

    def noise(images: Tensor, generator: torch.Generator) -> Tensor:
        return images + 0.1 * torch.randn(images.shape, generator=generator)

    train, valid = (Split(images[i], labels[i]) for i in range(2))
    return Task("made", 3, (3, 8, 8), train, valid, Seal(lambda: valid), "0", augment=noise)


def trained(group, **options) -> dict:
    """Two epochs of a network without batch statistics; the last batch of each, 4 images, is not a full one."""
    task = made_task()
    with seeded(torch.Generator().manual_seed(5)):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3))
        network = TwoHeads(network, nn.Sequential(nn.Flatten(), nn.Linear(192, 3)))
    given = {"label_smoothing": 0.1, "clip": 0.7, "warmup_epochs": 1, "cutout": 4, "auxiliary": 0.4, **options}
    recipe = Recipe(epochs=2, batch=16, lr=0.3, **given)
    generator, mixing = (torch.Generator().manual_seed(seed) for seed in (6, 7))
    training = Training(network, task.train, recipe, generator, task.augment, group=group, mixing=mixing)
    losses = [training.epoch()["loss"] for _ in range(2)]
    found = accuracies(training.measured, task.valid, batch=7, group=group)
    return {"losses": losses, "found": list(found), "weights": dict(training.measured.state_dict())}


class Exact(nn.Module):
    """In float64, without batch statistics; `idle` takes no part."""

    def __init__(self):
        super().__init__()
        self.conv, self.idle = nn.Conv2d(3, 4, 3), nn.Linear(7, 9)
        self.head = nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(144, 20), nn.Tanh(), nn.Linear(20, 3))
        self.double()

    def forward(self, images):
        return self.head(self.conv(images.double()))


class Watched(Overlap):
    """Notes how many buckets were on their way when a backward pass had ended."""

    early: list[int]

    def finish(self, loss):
        self.early.append(len(self.sent))
        return super().finish(loss)


def exact(group) -> dict:
    """Three epochs of four steps in float64; the last has 9 images, which two processes cannot share equally."""
    with seeded(torch.Generator().manual_seed(5)):
        network = Exact()
    recipe = Recipe(epochs=3, batch=14, lr=0.3, clip=0.7, epoch_images=51, label_smoothing=0.1)
    training = Training(network, made_task().train, recipe, torch.Generator().manual_seed(6), group=group)
    early: list[int] = []
    if group.size > 1:
        training.overlap = Watched(group, list(network.parameters()), bucket=1000)
        training.overlap.early = early
    losses = [training.epoch()["loss"] for _ in range(3)]
    buckets = 0 if training.overlap is None else len(training.overlap.buckets)
    weights = {name: w.detach() for name, w in network.named_parameters()}
    idle = network.idle.weight.grad is None
    return {"exact": {"losses": losses, "weights": weights}, "early": early, "buckets": buckets, "idle": idle}


def with_statistics(group) -> dict:
    """A network with batch norm: its buffers differ between processes until they are measured with."""
    task = made_task()
    with seeded(torch.Generator().manual_seed(5)):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    training = Training(network, task.train, Recipe(epochs=1, batch=16, lr=0.1), torch.Generator(), group=group)
    training.epoch()
    own = network[1].running_mean.clone()
    found = accuracies(network, task.valid, group=group)
    return {"own": own, "shared": network[1].running_mean.clone(), "found": list(found), "head": network[4].weight}


def functions(group) -> dict:
    """Everything that an objective computes, on a supernet without batch statistics, after two steps."""
    options = SupernetOptions(batch=16, valid_batch=8, eval_batch=9, lr=0.2)
    objective = SupernetObjective(SmoothSpace(), made_task(), options, Streams(3), epochs=2, group=group)
    for seed in range(2):
        objective.weight_step(one_hot_gates(objective, seed), objective.batch("train"))
    dense, path, batch = dense_gates(objective), one_hot_gates(objective, 7), objective.batch("valid")
    result = {"images": len(batch.labels)}
    for keep in ("outputs", "nothing"):
        result[f"gate loss {keep}"], result[f"gate gradient {keep}"] = objective.gate_gradient(path, batch, None, keep)
    point = dense.clone().requires_grad_()
    loss = objective.loss(point, batch)
    (first,) = torch.autograd.grad(loss, point, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.arange(12.0).view_as(first)).sum(), point)
    result |= {"loss": loss.detach(), "gradient": first.detach(), "hessian product": second}
    ahead, _ = objective.lookahead(dense, batch)
    result["ahead"] = {k: v.detach() for k, v in ahead.items()}
    mixed_second = torch.autograd.grad(objective.loss(point, batch, ahead), [point, *ahead.values()])
    result["at ahead"] = [g.detach() for g in mixed_second]
    result["batch"] = list(objective.measure(torch.stack([dense, path]), batch))
    result["validation"] = list(objective.measure(torch.stack([dense, path])))
    result["weights"] = {k: v.detach() for k, v in objective.weights().items()}
    return result


def search(space, searcher: str, group, **given) -> dict:
    """Two epochs; alphas and weights after them."""
    streams = Streams(4)
    options = SupernetOptions(channels=2, cells=1, batch=16, valid_batch=8, eval_batch=26)
    objective = SupernetObjective(space, made_task(), options, streams, epochs=2, group=group)
    kind = load("searcher", searcher)
    strategy = kind(space, kind.Options(alpha_lr=0.1, **given), streams)
    means = [train_epoch(without_cost(objective), strategy, epoch, 2) for epoch in range(2)]
    weights = {k: v.detach() for k, v in objective.weights().items()}
    return {"p": strategy.probabilities(), "means": means, "weights": weights}


def gloo_threads() -> int:
    """How many threads of this process are gloo's."""
    return sum("gloo" in (task / "comm").read_text() for task in Path("/proc/self/task").iterdir())


def main() -> None:
    with joined("cpu") as (group, _):
        result = {
            "trained": trained(group),
            "mixed": trained(group, mixup=0.4, cutmix=1.0, accumulate=3, ema=0.5),
            "float64": exact(group),
            "with statistics": with_statistics(group),
            "functions": functions(group),
            "two": search(SmoothSpace(), "proxyless", group, mode="two", warmup=0.0),
            "echo": search(SmoothSpace(), "proxyless", group, mode="echo", warmup=0.0),
            "darts": search(SmoothSpace(), "darts", group),
            "reinforce": search(SmoothSpace(), "reinforce", group, warmup=0.0),
            "nb201": search(NB201(), "proxyless", group, mode="full", warmup=0.0),
        }
        during = gloo_threads()
    result["gloo's threads"] = [during, gloo_threads()]
    torch.save(result, Path(sys.argv[1]) / f"{group.rank}-of-{group.size}.pt")


if __name__ == "__main__":
    main()
