"""The papers' protocols against the references, and what every one of them must have.

The expected values were read from shared/reference (darts-pt.md and proxylessnas.md), whose section stands beside them,
and not from the files.
"""

import itertools
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetOptions
from benchbed.pipeline.config import ScoringOptions
from benchbed.pipeline.resolve import resolve
from benchbed.protocols.load import Protocol, load, protocols
from benchbed.selection.schedule import schedule_on
from benchbed.spaces.load import load_space
from benchbed.training.recipe import Recipe

PAPERS = [p.name for p in protocols() if p.paper != "ours" and p.values.get("searcher")]
TRAININGS = ("darts-cifar10-evaluation", "darts-imagenet-transfer")

DARTS_ALPHA = {"searcher.alpha_lr": 3e-4, "searcher.alpha_beta1": 0.5, "searcher.alpha_beta2": 0.999,
               "searcher.alpha_weight_decay": 1e-3}  # fmt: skip
RECIPE_H = {"scoring.epochs": 200, "scoring.batch": 256, "scoring.lr": 0.1, "scoring.lr_min": 0.0,
            "scoring.momentum": 0.9, "scoring.nesterov": True, "scoring.weight_decay": 5e-4,
            "scoring.schedule": "cosine", "scoring.cutout": 0, "scoring.channels": 16, "scoring.cells": 5}  # fmt: skip
NB201 = {"supernet.channels": 16, "supernet.cells": 5, "supernet.lr": 0.025, "supernet.lr_min": 0.001,
         "supernet.nesterov": True, "supernet.momentum": 0.9, "supernet.weight_decay": 5e-4, "supernet.batch": 64,
         "supernet.clip": 5.0, "task_options.split": "official", **RECIPE_H}  # fmt: skip
# darts-pt.md 3.4: as NAS-Bench-201's, but weight decay 3e-4, no Nesterov; 1.3: stepped an epoch
PT_WEIGHTS = {"supernet.channels": 16, "supernet.lr": 0.025, "supernet.lr_min": 0.001, "supernet.weight_decay": 3e-4,
              "supernet.nesterov": False, "supernet.momentum": 0.9, "supernet.clip": 5.0, "supernet.batch": 64,
              "supernet.schedule": "cosine-epoch", "supernet.eval_batch": 64,
              "task_options.split": "halves"}  # fmt: skip
OFFICIAL = {"selector.interval": 5, "selector.order": "random", "selector.criterion": "acc", "selector.mask": "as-is",
            "selector.topology": "non-cumulative", "selector.transform": "train", "selector.batch_norm": "batch",
            "selector.schedule": "official", "selector.tune_lr_factor": 0.1, "selector.race": "none"}  # fmt: skip
DARTS_EVAL = {"scoring.epochs": 600, "scoring.batch": 96, "scoring.lr": 0.025, "scoring.lr_min": 0.0,
              "scoring.momentum": 0.9, "scoring.weight_decay": 3e-4, "scoring.clip": 5.0, "scoring.cutout": 16,
              "scoring.drop_path": 0.2, "scoring.auxiliary": 0.4, "scoring.nesterov": False}  # fmt: skip
BIG, SMALL = {"scoring.channels": 36, "scoring.cells": 20}, {"scoring.channels": 16, "scoring.cells": 8}
PROXYLESS_ADAM = {"searcher.alpha_beta1": 0.0, "searcher.alpha_beta2": 0.999, "searcher.alpha_weight_decay": 0.0,
                  "searcher.alpha_init": 1e-3}  # fmt: skip
IMAGENET = {"supernet.batch": 256, "supernet.lr": 0.025, "supernet.lr_min": 0.0, "supernet.schedule": "cosine-step",
            "supernet.momentum": 0.9, "supernet.nesterov": True, "supernet.weight_decay": 4e-5,
            "supernet.eval_batch": 1000, "epochs": 40 + 120, "task_options.valid": 50_000, "searcher.alpha_lr": 1e-3,
            "searcher.warmup": 40 / 160, "cost.regulariser": "mul#log", "cost.scale": 0.2, "cost.exponent": 0.3,
            "cost.weight": 0.1, "cost.reward_exponent": 0.1, "scoring.epochs": 300, "scoring.lr": 0.05,
            "scoring.batch": 256, "scoring.nesterov": True, "scoring.weight_decay": 4e-5,
            "scoring.decay_vectors": False, "scoring.label_smoothing": 0.1, **PROXYLESS_ADAM}  # fmt: skip
REINFORCE = {"supernet.valid_batch": 1000, "searcher.samples": 10, "searcher.baseline": "official"}
GRADIENT = {"supernet.valid_batch": 256, "searcher.every": 5, "searcher.mode": "echo", "searcher.dead": "dropped"}

# protocol, what runs where it is not the protocol's own, section of the reference, what that says
EXPECTED: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    ("nb201-darts-v1", {}, "darts-pt.md 2.6", {"epochs": 50, "searcher.order": 1, **DARTS_ALPHA, **NB201}),
    ("nb201-darts-v2", {}, "darts-pt.md 2.6", {"epochs": 50, "searcher.order": 2, "searcher.epsilon": 0.01,
                                               **DARTS_ALPHA, **NB201}),
    ("nb201-gdas", {}, "darts-pt.md 2.6", {"epochs": 250, "searcher.tau_start": 10.0, "searcher.tau_end": 0.1,
                                           "searcher.gradient": "ones", **DARTS_ALPHA, **NB201}),
    ("nb201-rsps", {}, "darts-pt.md 2.6", {"epochs": 250, "selector": "best-of", "selector.samples": 100,
                                           "supernet.eval_batch": 512, **NB201}),
    # read in the clone, AutoDL-Projects f46486e: configs/nas-benchmark/algos/*.config, scripts-search/.../*.sh
    ("nb201-setn", {}, "SETN.config, SETN.sh", {"epochs": 250, "selector": "best-of", "selector.samples": 100,
                                               **DARTS_ALPHA, **NB201, "supernet.clip": "none"}),
    ("nb201-enas", {}, "ENAS.config, ENAS.sh", {
        "epochs": 250, "selector": "best-of", "selector.samples": 100, "searcher.controller_lr": 1e-3,
        "searcher.controller_beta1": 0.0, "searcher.controller_eps": 1e-3, "searcher.updates": 50,
        "searcher.samples": 20, "searcher.entropy_weight": 1e-4, "searcher.decay": 0.99,
        **NB201, "supernet.batch": 128, "supernet.lr": 0.05, "supernet.lr_min": 5e-4,
        "supernet.weight_decay": 2.5e-4}),
    ("darts-pt-nb201", {}, "darts-pt.md 3.3, 3.4, 3.6", {"epochs": 100, "supernet.cells": 5, "searcher.order": 1,
                                                         "selector.tune_alpha": True, **DARTS_ALPHA, **PT_WEIGHTS,
                                                         **OFFICIAL, **RECIPE_H}),
    ("darts-pt-nb201", {"searcher": "blank"}, "darts-pt.md 3.4", {"epochs": 100, "searcher.alpha_init": 1e-3,
                                                                  "selector.tune_alpha": False, **OFFICIAL}),
    ("darts-pt-nb201", {"task": "cifar100"}, "darts-pt.md 8.10", {"task_options.split": "halves"}),
    ("drnas-nb201", {}, "methods.md 2.4", {"epochs": 100, "searcher.reg": "l2", "searcher.kl_scale": 1e-3,
                                           "selector": "magnitude", **DARTS_ALPHA, **PT_WEIGHTS, **RECIPE_H}),
    ("drnas-nb201", {"searcher": "snas"}, "methods.md 2.6", {"searcher.tau_start": 10.0, "searcher.tau_end": 1.09,
                                                             "searcher.reinmax": False, **DARTS_ALPHA}),
    # methods.md, section 3, has lambda's default; the rest was read in the clone, Lambda-DARTS c7ac3ba
    ("lambda-darts-nb201", {}, "NAS-Bench201/scripts-search/algos/DARTS-V1.sh, DARTS.config", {
        "epochs": 100, "searcher.alpha_lr": 1e-4, "searcher.alpha_weight_decay": 1e-3, "supernet.weight_decay": 3e-4,
        "searcher.modifiers": {"lambda-darts": {"weight": 0.25, "epsilon": 1e-4, "derivative": "difference",
                                                "measure": "cosine"}},
        "supernet.nesterov": False, "supernet.schedule": "cosine-epoch", "task_options.split": "official", **RECIPE_H}),
    ("fair-darts-cifar10", {}, "methods.md 2.6", {
        "epochs": 50, "searcher.alpha_lr": 3e-3, "searcher.zero_one": "l2", "searcher.zero_one_weight": 10.0,
        "searcher.threshold": 0.85, "supernet.channels": 16, "supernet.cells": 8, **DARTS_EVAL, **BIG}),
    ("beta-darts-nb201", {}, "methods.md 2.5", {
        "epochs": 100, "searcher.modifiers": {"beta-darts": {"weight": 50.0, "literal_100": False}},
        "searcher.order": 1, "selector": "magnitude", **DARTS_ALPHA, **PT_WEIGHTS, **RECIPE_H}),
    ("darts-pt-darts", {}, "darts-pt.md 3.3, 3.4", {"epochs": 50, "space": "darts-s5", "supernet.cells": 8,
                                                    "seeds": "0:4", **DARTS_ALPHA, **PT_WEIGHTS, **OFFICIAL,
                                                    **DARTS_EVAL, **BIG}),
    ("darts-pt-darts", {"searcher": "sdarts-rs"}, "darts-pt.md 3.4", {"searcher.radius_start": 0.03,
                                                                      "searcher.radius_end": 0.3, **DARTS_ALPHA}),
    ("darts-pt-darts", {"selector": "perturb-magnitude"}, "darts-pt.md 3.4", {"selector.interval": 5}),
    *((("darts-pt-s1-s4", {"space": space, "task": task}, "darts-pt.md 3.4",
        {"epochs": 50, "supernet.cells": 8, **PT_WEIGHTS, **OFFICIAL, **DARTS_EVAL, **size}))
      for space in ("darts-s1", "darts-s2", "darts-s3", "darts-s4")
      for task, size in (("cifar10", BIG), ("cifar100", SMALL), ("svhn", SMALL))),
    ("darts-cifar10-search", {}, "darts-pt.md 1.1 to 1.5", {
        "epochs": 50, "supernet.cells": 8, "searcher.order": 2, "searcher.epsilon": 0.01, "selector": "magnitude",
        **DARTS_ALPHA, **{k: x for k, x in PT_WEIGHTS.items() if k != "supernet.eval_batch"}, **DARTS_EVAL, **BIG}),
    ("pc-darts-darts", {}, "methods.md 2.3; PC-DARTS b74702f, train_search.py, model_search.py, train.py", {
        "epochs": 50, "space": "darts", "supernet.partial": 4, "supernet.batch": 256, "supernet.lr": 0.1,
        "supernet.lr_min": 0.0, "searcher.alpha_lr": 6e-4, "searcher.warmup": 0.3, "searcher.edges": "softmax",
        "searcher.alpha_beta1": 0.5, "searcher.alpha_weight_decay": 1e-3, "selector": "magnitude", **DARTS_EVAL,
        "scoring.drop_path": 0.3, **BIG}),
    ("darts-minus-darts", {}, "methods.md 2.6; DARTS- adb81a8, args.py and run_darts_minus.sh", {
        "epochs": 50, "space": "darts", "supernet.cells": 8, "searcher.order": 1, "searcher.beta": 1.0,
        "searcher.decay": "linear", "selector": "magnitude", **DARTS_ALPHA, **PT_WEIGHTS, **DARTS_EVAL, **BIG}),
    ("darts-cifar10-evaluation", {}, "darts-pt.md 1.5", {**DARTS_EVAL, **BIG, "task_options.split": "whole"}),
    ("darts-imagenet-transfer", {}, "darts-pt.md 1.5", {
        "scoring.channels": 48, "scoring.cells": 14, "scoring.epochs": 250, "scoring.batch": 128, "scoring.lr": 0.1,
        "scoring.gamma": 0.97, "scoring.momentum": 0.9, "scoring.weight_decay": 3e-5, "scoring.label_smoothing": 0.1,
        "scoring.auxiliary": 0.4, "scoring.drop_path": 0.0, "scoring.clip": 5.0,
        "scoring.schedule": "exponential", "space_options.stem": "imagenet"}),
    ("proxyless-cifar10", {}, "proxylessnas.md 1.7", {
        "epochs": 200, "searcher.alpha_lr": 6e-3, "searcher.mode": "two", "searcher.dead": "dropped",
        "scoring.epochs": 300, "scoring.lr": 0.1, "scoring.batch": 64, "scoring.weight_decay": 1e-4,
        "scoring.nesterov": True, "scoring.cutout": 0, "supernet.batch": 64, "supernet.lr": 0.1,
        "supernet.weight_decay": 1e-4, "supernet.nesterov": True, **PROXYLESS_ADAM}),
    ("proxyless-cifar10", {"searcher": "reinforce"}, "proxylessnas.md 1.7, 2", {
        "searcher.alpha_lr": 1e-2, "searcher.samples": 10, "searcher.baseline": "official"}),
    ("shapley-darts", {}, "methods.md 2.8; Shapley-NAS 0649727, train_search.py, train.py", {
        "epochs": 50, "space": "darts-s5", "supernet.cells": 8, "supernet.channels": 16, "supernet.batch": 256,
        "supernet.lr": 0.1, "supernet.lr_min": 0.0, "supernet.momentum": 0.9, "supernet.weight_decay": 3e-4,
        "supernet.valid_batch": 1024, "searcher.permutations": 10, "searcher.truncation": 0.5, "searcher.warmup": 0.5,
        "searcher.step": 0.1, "searcher.momentum": 0.8, "searcher.estimate": "lower", "searcher.batches": "each",
        "selector": "magnitude", **DARTS_EVAL, "scoring.batch": 64, "scoring.drop_path": 0.3, **BIG}),
    ("proxyless-imagenet-mobile", {}, "proxylessnas.md 1.7, 3.2", {"cost.target": 80.0, **IMAGENET, **GRADIENT}),
    ("proxyless-imagenet-mobile", {"searcher": "reinforce"}, "proxylessnas.md 1.7, 2", {**IMAGENET, **REINFORCE}),
    ("proxyless-imagenet-gpu", {}, "proxylessnas.md 2, 3.2", {"searcher": "reinforce", **IMAGENET, **REINFORCE}),
    ("proxyless-imagenet-cpu", {}, "proxylessnas.md 2, 3.2", {"searcher": "reinforce", **IMAGENET, **REINFORCE}),
]  # fmt: skip

# What none of the papers does, and what is off unless a user asks for it.
OFF = {"supernet.partial"} | {f"scoring.{key}" for key in ("ema", "mixup", "cutmix", "accumulate", "graph", "sync_bn")}
OFF |= {"selector.by", "selector.sha256", "selector.pool"}  # of best-of: a proxy that ranks before it measures


def named(protocol: Protocol, **other: str) -> dict[str, tuple[str, ...]]:
    """By kind, what runs: what is asked for, else the protocol's own."""
    own = {kind: protocol.values[kind] for kind in ("searcher", "selector", "space", "task") if kind in protocol.values}
    return {kind: (name,) for kind, name in {**own, **other}.items()}


def combinations(protocol: Protocol) -> list[dict[str, str]]:
    """Every pairing that the protocol says it is for."""
    a, own = protocol.applies, protocol.values
    selectors = a.selectors or (own["selector"],)
    kinds = ("searcher", "selector", "space", "task")
    pairings = itertools.product(a.searchers, selectors, a.spaces, a.tasks)
    return [dict(zip(kinds, found, strict=True)) for found in pairings]


@pytest.mark.parametrize(
    ("name", "other", "section", "expected"), EXPECTED, ids=["-".join([n, *o.values()]) for n, o, *_ in EXPECTED]
)
def test_the_values_are_those_of_the_reference(
    name: str, other: dict[str, str], section: str, expected: dict[str, Any]
) -> None:
    found = load(name).values_for(named(load(name), **other))
    values = {key: found[key].value for key in expected if key in found}
    assert values == expected, section


def test_every_protocol_of_a_paper_is_compared() -> None:
    assert {name for name, *_ in EXPECTED} == {*PAPERS, *TRAININGS}


@pytest.mark.parametrize("name", PAPERS)
def test_it_is_complete_for_whatever_it_is_for(name: str) -> None:
    protocol = load(name)
    for run in combinations(protocol):
        found = protocol.values_for(named(protocol, **run))
        searcher, selector = (registry.load(kind, run[kind]).Options for kind in ("searcher", "selector"))
        wanted = {"space", "task", "searcher", "selector", "epochs", "seeds"}
        for section, model in (("supernet", SupernetOptions), ("scoring", ScoringOptions), ("searcher", searcher),
                               ("selector", selector)):  # fmt: skip
            wanted |= {f"{section}.{key}" for key in model.model_fields} - OFF
        assert wanted <= found.keys(), run
        assert {key for key in found if key.partition(".")[0] in ("searcher", "selector")} <= wanted, run


@pytest.mark.parametrize("name", [*PAPERS, *TRAININGS])
def test_paper_and_sources_are_named_and_everything_that_differs_is_a_sentence(name: str) -> None:
    protocol = load(name)
    assert any(venue in protocol.paper for venue in ("ICLR", "CVPR", "ECCV"))
    assert all(value.source.strip() for value in protocol.values_for(named(protocol)).values())
    assert all(text[0].isupper() and text.rstrip().endswith(".") for text in protocol.differs.values())


def test_what_the_reference_knows_from_memory_alone_is_marked() -> None:
    """proxylessnas.md: [P] is from memory, [T] a third party's; its section 1.7 marks the CIFAR-10 search so."""
    for searcher in ("proxyless", "reinforce"):
        found = load("proxyless-cifar10").values_for(named(load("proxyless-cifar10"), searcher=searcher))
        for key in ("epochs", "searcher.alpha_lr"):
            assert found[key].source.endswith("(unverified)"), key
        assert not found["scoring.epochs"].source.endswith("(unverified)")  # [C]: the released run configuration


@pytest.mark.parametrize("name", PAPERS)
def test_it_resolves_for_whatever_it_is_for_without_any_data(name: str, tmp_path: Path) -> None:
    protocol = load(name)
    given: dict[str, Any] = {"protocol": name}
    if "cost" in protocol.values:  # the latency table is the user's
        with pytest.raises(BenchbedError, match=r"^cost\.t\w+ is missing: .*--latency TABLE"):
            resolve({**given, "space": "mbconv", "task": "imagenet"}, protocol.values["searcher"], "magnitude", 0)
        given["cost"] = {"table": "macs", **({} if "target" in protocol.values["cost"] else {"target": 300.0})}
    for run in combinations(protocol):
        raw = {**given, "space": run["space"], "task": run["task"]}
        config = resolve(raw, run["searcher"], run["selector"], 0)
        found = {key: value.value for key, value in protocol.values_for(named(protocol, **run)).items()}
        assert (config.protocol, config.epochs) == (name, found["epochs"])
        for section in ("supernet", "scoring", "searcher", "selector"):
            made = getattr(config, section)
            options = made.options if section in ("searcher", "selector") else dict(made)
            for key, value in options.items():
                if (whole := f"{section}.{key}") in OFF and whole not in found:
                    selector = registry.load("selector", run["selector"]).Options
                    models = {"supernet": SupernetOptions, "scoring": Recipe, "selector": selector}
                    assert value == models[section].model_fields[key].default
                    continue
                wanted = found[f"{section}.{key}"]
                assert value == (None if wanted == "none" else wanted), (run, section, key)


def test_the_schedules_of_selection_are_the_released_ones() -> None:
    """darts-pt.md 3.3: 25 epochs with decisions at 0, 5, ..., 20, 24; 81 with events at 0, 5, ..., 80."""
    for name, epochs, starts in (("darts-pt-nb201", 25, [0, 5, 10, 15, 20, 24]),
                                 ("darts-pt-darts", 81, list(range(0, 81, 5)))):  # fmt: skip
        found = load(name).values_for(named(load(name)))
        space = load_space(found["space"].value, {})
        plan = schedule_on(space, found["selector.interval"].value, found["selector.schedule"].value)
        assert (plan.epochs, list(plan.starts)) == (epochs, starts)
