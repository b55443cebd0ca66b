"""The originals' words: names of evaluation sets, keys of answers, printed lines."""

from typing import Any

from .cells import Results
from .means import HOW, MeanResults
from .refusals import say_once


def named(name: str, metrics: dict[str, Any], epochs: object) -> dict[str, Any]:
    """Metrics under the keys of `get_more_info`; what a table of means lacks is left out."""
    found = {f"{name}-{key}": metrics[key] for key in ("loss", "accuracy") if key in metrics}
    if "all_time" in metrics:
        total = metrics["all_time"]
        found[f"{name}-per-time"] = None if total is None else total / epochs
        found[f"{name}-all-time"] = total
    return found


def remap_dataset_set_names(dataset: str, metric_on_set: str, verbose: bool = False) -> tuple[str, str]:
    """The official data set and evaluation set of a data set and 'train', 'valid' or 'test'; others stay."""
    if dataset == "cifar10":
        return {"valid": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")}.get(
            metric_on_set, (dataset, metric_on_set)
        )
    if dataset in ("cifar100", "ImageNet16-120"):
        return dataset, {"valid": "x-valid", "test": "x-test"}.get(metric_on_set, metric_on_set)
    return dataset, metric_on_set


def describe(results: Results, extra: object, join: str, sized: bool = False) -> list[str]:
    """The lines of `query_info_str_by_arch`; `sized`: in the words of the size space.

    What a table of means lacks is `n/a`, and one line on stderr says so.
    """
    names = results.get_dataset_names()
    lines = [results.arch_str, f"datasets : {names}, extra-info : {extra}"]
    for dataset in names:
        cost = results.get_compute_costs(dataset)
        seconds = cost.get("latency")
        latency = f"{seconds * 1000:.2f}" if seconds is not None and seconds > 0 else None
        lines.append(
            f"{dataset:14s} FLOP={cost['flops']:6.2f} M, Params={cost['params']:.3f} MB, latency={latency} ms."
        )
        shown = [f"{label} : {_score(results, dataset, name, join)}" for label, name in _shown(dataset, sized)]
        lines.append(f"{dataset:14s} {', '.join(shown)}")
    return lines


def _shown(dataset: str, sized: bool) -> list[tuple[str, str]]:
    """(label, evaluation set) of what is printed of a data set."""
    if dataset == "cifar10":
        return [("train", "train"), ("test ", "ori-test")]
    if dataset != "cifar10-valid":
        return [("train", "train"), ("valid", "x-valid"), ("test", "x-test")]
    return [("train", "train"), ("valid", "x-valid"), *([("test", "ori-test")] if sized else [])]


def _score(results: Results, dataset: str, evaluated: str, join: str) -> str:
    if isinstance(results, MeanResults):
        found = results.known(dataset, evaluated)
        say_once(f"losses {results.table.fingerprint}", f"table {results.table.name} has no losses and no training "
                 f"accuracies: n/a stands for what is missing in printed text ({HOW})")  # fmt: skip
    else:
        found = results.get_metrics(dataset, evaluated)
    loss = f"{found['loss']:.3f}" if "loss" in found else "n/a"
    top1 = f"{found['accuracy']:.2f}%" if "accuracy" in found else "n/a"
    return f"[loss = {loss}{join}top1 = {top1}]"
