"""`benchbed train`: one architecture trained from scratch, in a folder of its own, resumable, with its record last."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from .. import registry
from ..errors import BenchbedError, unknown
from ..objectives.reader import skip_again, skipped
from ..runtime.files import absolute
from ..runtime.folder import Folder, write_json
from ..runtime.machine import made_with, peak_memory
from ..runtime.options import RunOptions
from ..runtime.stage import Stage, Where
from ..space import Architecture
from ..task import StoredSplit, Task, truncated
from ..training.cell import check_learnable, training_of
from ..training.counted import trained_network
from ..training.evaluate import Accuracies, accuracies
from ..training.train import Training, train_on
from ..typed import typed
from .config import OnTask, ScoringOptions, identity
from .dry import IMAGES
from .protocol import PRESETS, answers, chosen, followed, origins_of, renamed, section_of, values_of
from .resolve import check_sizes, file_sha256

# What a finished training's record holds at least: a record without it is damaged.
RECORD_KEYS = ("id", "architecture", "valid_accuracy", "valid_top5", "test_accuracy", "test_top5", "facts", "seconds")
# What `--preset` was called before protocols, for one release.
PRESETS = PRESETS | {
    "imagenet": "imagenet-training",
    "darts-cifar10": "darts-cifar10-evaluation",
    "darts-imagenet": "darts-imagenet-transfer",
}
SECTIONS = ("scoring", "task_options", "space_options")
PLAIN = ("space", "arch", "task", "data", "splits", "protocol", "preset", "epochs", "seed", "device", "out")


class TrainConfig(OnTask):
    """Everything that decides a training's result, but for the content of its task."""

    arch: str
    seed: int
    protocol: str
    origins: dict[str, str] = Field(default={})
    scoring: ScoringOptions
    processes: int = 1  # each has batch statistics of its own

    def id(self, task: Task) -> str:
        """The name of the training's folder."""
        key = [
            self.space_key(),
            task.name,
            task.fingerprint,
            self.arch,
            self.scoring.model_dump(),
            self.seed,
            self.processes,
        ]
        return identity(f"train-{self.space}-{task.name}-s{self.seed}", key)


def resolve(raw: Mapping[str, Any], processes: int = 1) -> TrainConfig:
    """The complete configuration: the protocol's training below, the user's values above.

    Of a protocol's cases for a space it takes the training alone: the architecture says which space it is of.

    Raises BenchbedError, one line, for an unknown name or key, a value out of range and a string that is no
    architecture of the space.
    """
    for key in raw:
        if key not in (*SECTIONS, *PLAIN, "origins") and raw[key]:
            raise unknown("configuration key of train", key, (*SECTIONS, *PLAIN))
    raw = followed(renamed(raw, PRESETS))
    space, task, arch = raw.get("space", "nb201"), str(raw.get("task", "digits")), raw.get("arch")
    if not isinstance(arch, str) or not arch.strip():
        raise BenchbedError("no architecture given: add --arch with a string of the space, as `describe` takes it")
    found = registry.find("space", space)
    registry.find("task", task.partition(":")[0])
    check_sizes(raw, space)
    names = {"space": answers("space", space), "task": (task.partition(":")[0],)}
    protocol = chosen(raw, names, "supernet", run=False)
    base = values_of(protocol, names)
    if raw.get("splits"):  # the files say themselves what is trained on
        base.pop("task_options.split", None)
    if not (recipe := section_of(base, "scoring")):
        raise BenchbedError(f"protocol '{protocol.name}' trains nothing from scratch")
    fixed = protocol.values.get("space_options", {})
    given = {**recipe, **raw.get("scoring", {})}
    if raw.get("epochs") is not None:
        given["epochs"] = raw["epochs"]
    seed = raw.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise BenchbedError(f"seed = {seed!r}: expected an integer of at least 0")
    config = TrainConfig(
        space=space,
        space_options={**fixed, **raw.get("space_options", {})},
        space_sha256=None if registry.is_ours(found) else file_sha256("space", space),
        arch=arch.strip(),
        task=task,
        task_options=section_of(base, "task_options") | raw.get("task_options", {}),
        data=absolute(raw.get("data")),
        splits=absolute(raw.get("splits")),
        seed=seed,
        protocol=protocol.name,
        scoring=typed(ScoringOptions, given, "scoring"),
        processes=processes,
    )
    complete = config.model_dump(exclude={"space_sha256", "protocol", "origins", "processes"})
    origins = dict(origins_of(raw, base, protocol.name, complete))
    return config.model_copy(update={"arch": str(_architecture(config)), "origins": origins})


def _architecture(config: TrainConfig) -> Architecture:
    """Of a string or of a published network's name, where that network has the sizes of this space."""
    space = config.load_space()
    where, found = space.resolve(config.arch)
    return found if where is space else space.parse(config.arch)


def dry_run(config: TrainConfig, options: RunOptions) -> dict[str, Any]:
    """A step on a few images, in a folder that is removed again; under 'dry_run' a line on what was walked."""
    batch, task = IMAGES * config.processes, config.load_task()
    few = {"epochs": 1, "warmup_epochs": 0, "batch": batch}
    short = config.model_copy(update={"scoring": config.scoring.model_copy(update=few)})
    with tempfile.TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        record = _in_folder(short, truncated(task, batch), options._replace(out=Path(scratch), force=None))
    images = min(config.scoring.epoch_images or len(task.train), len(task.train))
    whole, rest = divmod(images, config.scoring.batch)  # a batch of less than two images a process is left out
    steps = config.scoring.epochs * -(-(whole + (rest >= 2 * config.processes)) // config.scoring.accumulate)
    walked = f"1 of {steps:,} steps, on {batch} of {len(task.train):,} images, with the network of the true size"
    line = f"dry run: the training went from its first step to its score; walked {walked}; nothing was kept"
    return {**record, "dry_run": line}


def train(config: TrainConfig, options: RunOptions) -> dict[str, Any]:
    """The record of the training. A finished one is read from its folder, a killed one goes on after its last epoch.

    Raises BenchbedError for what the task, the space or the recipe refuses, and where the loss is not finite.
    """
    task = config.load_task()
    with options.tracked(options.out / config.id(task), config.model_dump()) as finish:
        record = _in_folder(config, task, options)
        finish(record)
    return record


def _in_folder(config: TrainConfig, task: Task, options: RunOptions) -> dict[str, Any]:
    space = config.load_space().for_images(task.shape, task.classes)
    architecture = space.parse(config.arch)
    check_learnable(task, space)
    path = options.out / config.id(task)
    with options.group.folder(path, RECORD_KEYS) as folder:
        fresh = folder.to_clear(options.force)
        if not fresh and (record := folder.record) is not None:
            options.reporter.line(f"done before: {path} (again from the start with --force)")
            return record
        of = config.scoring
        training = training_of(
            space, task, of.recipe(), architecture, channels=of.channels, cells=of.cells, seed=config.seed,
            device=options.device, group=options.group,
        )  # fmt: skip
        if fresh:
            folder.clear(options.force)
        if options.group.leader:
            write_json(path / "config.json", config.model_dump())
        stage = _epochs(training, task, folder, options)
        record = {
            "id": path.name,
            "space": config.space,
            "architecture": str(architecture),
            "facts": space.facts(architecture),
            "network": trained_network(
                training.network, space, architecture, task, channels=of.channels, cells=of.cells
            ),
            "task": task.name,
            "task_facts": {"fingerprint": task.fingerprint, **task.facts},
            "seed": config.seed,
            "config": config.model_dump(),
            **_scored(training, task, architecture, options),
            "seconds": stage.seconds,
            "segments": stage.segments,
            "peak_memory_bytes": peak_memory(options.device),
            **made_with(options.device),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        folder.finish(record)
    return record


def _epochs(training: Training, task: Task, folder: Folder, options: RunOptions) -> Stage:
    """What is left of the training, epoch by epoch; its seconds and segments, those of earlier starts included."""
    splits = {"train": task.train, "valid": task.valid}
    stage = Stage(folder, where=Where("training", "epochs", options.device, options.mixed, options.group))
    before: dict[str, dict[str, str]] = {} if stage.saved is None else stage.saved["skipped"]
    skip_again(splits, before)

    def kept() -> dict[str, Any]:
        nonlocal before
        broken = skipped(options.group, splits)
        for split, images in broken.items():
            for name in sorted(images.keys() - before.get(split, {}).keys()):
                file = cast(StoredSplit, splits[split]).path(name)  # no other split skips any
                options.reporter.line(f"skipped '{file}', which cannot be read: {images[name]}")
        before = broken
        return {"skipped": broken}

    every = options.checkpoint_steps
    train_on(training, stage, options.reporter, "train", lambda: _epoch(training, task, options), kept, every=every)
    return stage


def _scored(training: Training, task: Task, architecture: Architecture, options: RunOptions) -> dict[str, Any]:
    """Validation and test figures of the trained network. Opens the seal."""
    found = {"valid": task.valid.to(options.device), "test": task.seal.open(architecture).to(options.device)}
    figures: dict[str, Any] = {}
    for name, split in found.items():
        figures |= _figures(name, accuracies(training.measured, split, group=options.group))
    return {**figures, "skipped": skipped(options.group, {"train": task.train, **found})}


def _epoch(training: Training, task: Task, options: RunOptions) -> dict[str, Any]:
    """One epoch and its line of the history: loss, validation accuracies, rate, seconds of the training part."""
    line = training.epoch()
    valid = accuracies(training.measured, task.valid.to(options.device), group=options.group)
    options.reporter.line(
        f"epoch {line['epoch']:>3}/{training.recipe.epochs}  loss {line['loss']:.3f}  top-1 {valid.top1:5.2f} %  "
        f"top-5 {valid.top5:5.2f} %  lr {line['lr']:.2g}  {line['seconds']:5.0f} s"
    )
    return {**line, **_figures("valid", valid)}


def _figures(split: str, found: Accuracies) -> dict[str, float]:
    return {f"{split}_accuracy": found.top1, f"{split}_top5": found.top5, f"{split}_loss": found.loss}
