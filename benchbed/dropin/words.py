"""The originals' words: names of evaluation sets, keys of answers, printed lines."""

from typing import Any

from .results import ArchResults


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


def describe(results: ArchResults, extra: object, join: str) -> list[str]:
    """The lines of `query_info_str_by_arch`."""
    names = results.get_dataset_names()
    lines = [results.arch_str, f"datasets : {names}, extra-info : {extra}"]

    def score(dataset: str, evaluated: str) -> str:
        found = results.get_metrics(dataset, evaluated)
        return f"[loss = {found['loss']:.3f}{join}top1 = {found['accuracy']:.2f}%]"

    for dataset in names:
        cost = results.get_compute_costs(dataset)
        seconds = cost["latency"]
        latency = f"{seconds * 1000:.2f}" if seconds is not None and seconds > 0 else None
        lines.append(
            f"{dataset:14s} FLOP={cost['flops']:6.2f} M, Params={cost['params']:.3f} MB, latency={latency} ms."
        )
        shown = [f"train : {score(dataset, 'train')}"]
        if dataset == "cifar10":
            shown.append(f"test  : {score(dataset, 'ori-test')}")
        else:
            shown.append(f"valid : {score(dataset, 'x-valid')}")
            if dataset != "cifar10-valid":
                shown.append(f"test : {score(dataset, 'x-test')}")
        lines.append(f"{dataset:14s} {', '.join(shown)}")
    return lines
