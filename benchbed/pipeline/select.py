"""The second stage of a run, in a folder of its own and resumable: from a finished search to one architecture."""

from pathlib import Path
from typing import Any

import torch

from .. import registry
from ..errors import BenchbedError
from ..latency.penalty import within_limit
from ..objective import Decisions
from ..runtime.folder import Folder
from ..runtime.machine import peak_memory
from ..runtime.progress import Reporter
from ..runtime.stage import Stage, Where
from ..selector import Context, Selection, Selector
from ..training.search_loop import NonFiniteLoss, train_epoch
from .budget import Meter
from .build import Parts, whole
from .search import _check_finite, _diverged


def run_selection(
    parts: Parts,
    search_checkpoint: Path,
    folder: Folder,
    reporter: Reporter,
    mixed: bool = False,
    sha256: str | None = None,
) -> tuple[Selection, dict[str, Any]]:
    """Runs the configured selector on the finished search; (selection, what the record says of it).

    Begins from the search's final state, so that every selector starts from the same supernet and the same draws;
    `sha256` is what the search's record says of that state. Raises BenchbedError where the checkpoint holds another,
    and as `run_search` does where a selection was begun elsewhere.
    """
    config = parts.config
    selector_class = registry.load("selector", config.selector.name)
    selector: Selector = selector_class(selector_class.Options(**config.selector.options))
    stage = Stage(folder, where=Where("selection", "steps", parts.objective.device, mixed, parts.group))
    steps = 0
    if (saved := stage.saved) is None:
        spent = parts.restore(search_checkpoint, sha256)  # begins where the search stopped counting
    else:
        spent = saved
        if sha256 is not None and saved.get("search", sha256) != sha256:
            raise BenchbedError(
                f"{folder.path} was begun on another state of its search, which was made anew since: remove it, so "
                "that the selection begins anew"
            )
        with whole(folder.path / "checkpoint.pt"):
            parts.load_state(saved["parts"])
            if "selection" in saved:
                kept = saved["selection"]
                chosen = parts.space.architecture_of(tuple(kept["choices"]))
                return Selection(chosen, kept["scores"].numpy(), kept["notes"]), saved["figures"]
            selector.load_state(saved["selector"])
            steps = int(saved["steps"])
        reporter.line(f"select {config.selector.name}: goes on after step {steps}")
    stage.begin(steps)
    meter = Meter(config.budget, parts.objective.steps_per_epoch, spent.get("budget"))
    context = selection_context(parts, folder, reporter, meter)
    reporter.begin(f"select {config.selector.name}", selector.steps(parts.space), steps)
    while True:
        try:
            selection = stage.timed(lambda: selector.step(context))
            _check_finite(parts, f"selection step {steps + 1}")
        except NonFiniteLoss as error:
            raise _diverged(error, parts, folder, getattr(selector.options, "tune_lr_factor", None)) from None
        steps += 1
        stage.reached(steps)
        tree = {"parts": parts.state(), "selector": selector.state(), "steps": steps, "search": sha256,
                **meter.spent()}  # fmt: skip
        reporter.advance(steps)
        if selection is not None:
            selection = within_limit(selection, parts.searcher.probabilities(), parts.cost, config.cost)
            selection = selection._replace(notes={**selection.notes, **meter.spent()})
            break
        stage.save(tree)
    memory = peak_memory(parts.objective.device)
    figures: dict[str, Any] = {"seconds": stage.seconds, "state_sha256": parts.digest(), "peak_memory_bytes": memory}
    figures["segments"] = stage.segments
    choices, scores = list(selection.architecture.choices), torch.from_numpy(selection.scores)
    kept = {"choices": choices, "scores": scores, "notes": selection.notes}
    stage.save({**tree, "selection": kept, "figures": figures})
    return selection, figures


def selection_context(parts: Parts, folder: Folder, reporter: Reporter, meter: Meter) -> Context:
    """What a selector works on; its history goes to the folder, its tuning takes what the search left of the budget."""

    def log(values: dict[str, Any]) -> None:
        folder.log(values)
        if "operation" in values:
            reporter.line(f"decided {values['position']}: {values['operation']}")
        elif "kept" in values:
            reporter.line(f"decided {values['node']}: keeps {', '.join(values['kept'])}")

    def tune(decisions: Decisions, epoch: int, epochs: int, lr_factor: float, train_alpha: bool) -> None:
        if "weights" not in parts.objective.provides:
            return  # nothing to tune
        if meter.left <= 0:
            meter.untuned += 1
            reporter.line(f"tuning epoch {epoch + 1}/{epochs}  left out: budget {meter.limit} is spent")
            return
        objective = parts.objective.decided(decisions)
        if epoch == 0:
            objective.new_optimiser(lr_factor, epochs, "constant")
        # the searcher's clock stands at the end of its search: no warm-up comes again
        clock = parts.config.epochs - 1
        before = meter.steps
        meter.begin()
        means = train_epoch(
            parts.problem_on(objective), parts.searcher, clock, clock + 1, train_alpha, tuning=True, go_on=meter.go_on
        )
        meter.untuned += meter.steps - before < objective.steps_per_epoch
        folder.log({"tuning_epoch": epoch + 1, **means})
        reporter.line(f"tuning epoch {epoch + 1}/{epochs}  loss {means['loss']:.3f}")

    return Context(parts.space, parts.searcher, parts.objective, parts.streams, tune, log)
