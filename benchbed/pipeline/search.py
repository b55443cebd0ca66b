"""The first stage of a run, in a folder of its own and resumable: the supernet or the table is searched."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoints.nb201 import take_over
from ..errors import BenchbedError
from ..objective import View
from ..objectives.supernet import SupernetObjective
from ..runtime.finite import all_finite
from ..runtime.folder import AGAIN, Folder
from ..runtime.machine import peak_memory
from ..runtime.progress import Reporter
from ..runtime.stage import Stage, Where
from ..searcher import Clock, EvaluationMode
from ..space import Architecture
from ..streams import derive
from ..training.search_loop import NonFiniteLoss, train_epoch
from .budget import Meter
from .build import Parts

# What a finished stage's record holds at least: a record without it is damaged.
SEARCH_KEYS = ("supernet_accuracy", "evaluation", "state_sha256", "seconds", "peak_memory_bytes")
REPORT_PATHS = 8  # sampled paths behind the accuracy of an epoch's line
FINAL_PATHS = 32  # and behind a finished supernet's


def run_search(
    parts: Parts, folder: Folder, reporter: Reporter, snapshots: Collection[int] = (), mixed: bool = False
) -> dict[str, Any]:
    """Trains the supernet and the searcher, an epoch at a time; the record of the finished search.

    A finished search costs nothing again. A killed one goes on from its last epoch. Its state after each number of
    epochs in `snapshots` is kept; a finished search keeps no more. Raises BenchbedError where it was begun under what
    may give other bits (`benchbed.runtime.stage`), and not `mixed`.
    """
    if (record := folder.record) is not None:
        return _checked(folder.path / "record.json", record)
    config, epochs = parts.config, parts.config.epochs
    stage = Stage(folder, where=Where("search", "epochs", parts.objective.device, mixed, parts.group))
    done, meter = _begun(parts, stage, reporter)
    total = parts.objective.steps_per_epoch
    reporter.begin(f"search {config.searcher.name}", epochs * total, done * total)
    for epoch in range(done, epochs):
        if meter.left <= 0 or parts.searcher.done():
            break
        done = epoch + 1
        if epoch in snapshots:
            folder.keep(epoch)  # here, before the next epoch: a kill between saving and keeping loses nothing

        def show(clock: Clock, loss: float) -> None:
            reporter.advance(clock.epoch * total + clock.step + 1, f"epoch {clock.epoch + 1} loss {loss:.3f}")

        try:
            meter.begin()
            epoch_of = partial(train_epoch, parts.problem, parts.searcher, epoch, epochs)
            means = stage.timed(partial(epoch_of, on_step=show, go_on=meter.go_on))
            _check_finite(parts, f"epoch {epoch + 1}")
        except NonFiniteLoss as error:
            raise _diverged(error, parts, folder) from None
        line = _line(parts, stage, epoch + 1, means)
        stage.reached(done)
        stage.save({"epochs": done, "parts": parts.state(), **meter.spent()}, line)
        reporter.epoch(line)
        reporter.line(
            f"epoch {epoch + 1:>3}/{epochs}  loss {means['loss']:.3f}  accuracy {line['accuracy']:5.2f} %  "
            f"{stage.seconds:5.0f} s  {line['architecture']}"
        )
    if meter.limit is not None and meter.steps < epochs * total and meter.left <= 0 and config.foreign is None:
        reporter.line(f"search {config.searcher.name}: cut in epoch {done} of {epochs}, budget {meter.limit} is spent")
    if parts.searcher.done() and done < epochs:
        reporter.line(f"search {config.searcher.name}: ended itself after epoch {done} of {epochs}")
    record = _record(parts, stage, meter)
    folder.finish(record)
    return record


def _line(parts: Parts, stage: Stage, epoch: int, means: Mapping[str, float]) -> dict[str, Any]:
    """An epoch's line of the history; the accuracy is taken now, and is in the stage's seconds."""
    supernet = parts.config.supernet
    shown = None if supernet is None else supernet.history_images
    shown = None if shown is None else min(shown, parts.objective.validation_images)
    accuracy = stage.timed(partial(supernet_accuracy, parts, parts.searcher.evaluation, REPORT_PATHS, shown))
    return {
        "epoch": epoch,
        **means,
        "accuracy": accuracy,
        **({} if shown is None else {"accuracy_images": shown}),
        **parts.expected_cost(),
        **parts.searcher.progress(),
        "architecture": str(argmax_architecture(parts)),
        "probabilities": [[round(x, 6) for x in row] for row in parts.searcher.probabilities().tolist()],
        "seconds": stage.seconds,
    }


def _record(parts: Parts, stage: Stage, meter: Meter) -> dict[str, Any]:
    """What a finished search keeps."""
    record = {
        "config": parts.config.search_key(),
        "supernet_accuracy": supernet_accuracy(parts, parts.searcher.evaluation, FINAL_PATHS),
        "supernet_mixture_accuracy": supernet_accuracy(parts, "mixture", 1),
        "supernet_sampled_accuracy": supernet_accuracy(parts, "sampled", FINAL_PATHS),
        "evaluation": parts.searcher.evaluation,
        **parts.expected_cost(),
        **parts.searcher.progress(),
        "state_sha256": parts.digest(),
        **meter.spent(),
        "seconds": stage.seconds,
        "peak_memory_bytes": peak_memory(parts.objective.device),
        "segments": stage.segments,
    }
    if isinstance(parts.objective, SupernetObjective) and (broken := parts.objective.skipped()):
        record["skipped"] = broken
    if curve := parts.searcher.anytime():
        record["anytime"] = [list(point) for point in curve]
    return record


def _checked(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """A finished search's record. Raises BenchbedError for a figure that is none: a run's record takes it over."""
    for key in ("supernet_accuracy", "seconds", "peak_memory_bytes"):
        if isinstance(record[key], bool) or not isinstance(record[key], int | float):
            raise BenchbedError(f"{path} is damaged ({key} = {record[key]!r:.60}): {AGAIN}")
    return record


def _begun(parts: Parts, stage: Stage, reporter: Reporter) -> tuple[int, Meter]:
    """The epochs done of the search in the folder, restored, and what is spent of the budget.

    A foreign supernet has all epochs behind it.
    """
    config, saved = parts.config, stage.saved
    stage.begin(0 if saved is None else int(saved["epochs"]))
    meter = Meter(config.budget, parts.objective.steps_per_epoch, (saved or {}).get("budget"))
    if config.foreign is not None and saved is None:
        assert parts.objective.network is not None
        take_over(config.foreign, parts.objective.network, parts.searcher)
        reporter.line(f"search {config.searcher.name}: the supernet of {config.foreign.file}")
        stage.save({"epochs": config.epochs, "parts": parts.state()})
        return config.epochs, meter
    if saved is None:
        return 0, meter
    parts.load_state(saved["parts"])
    reporter.line(f"search {config.searcher.name}: goes on after epoch {saved['epochs']} of {config.epochs}")
    return int(saved["epochs"]), meter


def _check_finite(parts: Parts, when: str) -> None:
    """The last step's loss is from before that step, and samples of a searcher hide its NaN: look at the values."""
    values = {"weights": parts.objective.weights().values(), "probabilities": [parts.searcher.probabilities()]}
    for name, tensors in values.items():
        if not all_finite(tensors):
            raise NonFiniteLoss(f"the {name} are not finite after {when}")


def _diverged(error: NonFiniteLoss, parts: Parts, folder: Folder, tuning: float | None = None) -> BenchbedError:
    """tuning: the factor of the rate that a selector tunes at; None in a search.

    What is blamed: the rate of alpha where the probabilities are not finite and the weights are; both rates where
    neither is, for each would spoil the other; else the rate of the weights.
    """
    o, kept = parts.config.supernet, folder.path / "checkpoint.pt"
    where = f"the last good checkpoint is {kept}" if kept.exists() else "no epoch was finished"
    settings = [f"searcher {parts.config.searcher.name}"]
    blamed = []
    alpha_lr = parts.config.searcher.options.get("alpha_lr")
    if tuning is None and alpha_lr is not None and not all_finite([parts.searcher.probabilities()]):
        settings.append(f"searcher.alpha_lr={alpha_lr}")
        blamed.append("searcher.alpha_lr")
    if o is not None:
        if tuning is not None:
            settings += [f"selector {parts.config.selector.name}", f"selector.tune_lr_factor={tuning}"]
        settings += [f"supernet.lr={o.lr}", f"supernet.clip={o.clip}", f"supernet.batch={o.batch}"]
        if not blamed or not all_finite(parts.objective.weights().values()):
            blamed.append("supernet.lr" if tuning is None else "selector.tune_lr_factor")
    advice = f"; try a smaller {' or '.join(blamed)}" if blamed else ""
    return parts.group.refusal(f"{error}: {', '.join(settings)}, seed {parts.config.seed}; {where}{advice}")


def supernet_accuracy(parts: Parts, mode: EvaluationMode, paths: int, images: int | None = None) -> float:
    """Validation accuracy in percent at the searcher's evaluation gates; sampled: the mean over `paths` paths.

    images: how many of validation are looked at, None: all. The paths come from a stream of their own, the same at
    every call: looking changes nothing.
    """
    generator = torch.Generator().manual_seed(derive(parts.config.seed, "report"))
    uniforms = torch.rand(paths, len(parts.searcher.mask), generator=generator)
    gates = parts.searcher.evaluation_gates(parts.searcher.mask, mode, uniforms)
    objective = parts.objective if images is None else parts.objective.seen(View(images=images))
    return float(objective.measure(gates).accuracy.mean())


def argmax_architecture(parts: Parts) -> Architecture:
    """The architecture of the greatest probabilities now: what the search leans to, shown while it runs."""
    gates = parts.searcher.probabilities() * parts.searcher.strength()[:, None]
    p = np.where(parts.space.selectable, gates.numpy(), -1.0)
    return parts.space.architecture_of(parts.space.keep_strongest(p.argmax(1).tolist(), p.max(1).tolist()))
