"""Every registered searcher against the contract, and the suite against searchers that break it."""

from collections import Counter
from collections.abc import Iterable
from pickle import UnpicklingError
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbed import registry
from benchbed.modifier import Modified
from benchbed.searcher import masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.searchers.proxyless import ProxylessNAS
from benchbed.searchers.random import RandomSampling
from benchbed.testing import searcher_suite
from benchbed.testing.searcher_suite import CHECKS, around, check_searcher, quick

BRIEF = {"budget": 150.0, "fidelity": 1}  # of the table-only searchers: 150 evaluations

# Options under which a searcher learns a toy within the suite's budget. One that is not named runs with its defaults.
QUICK: dict[str, list[dict[str, Any]]] = {
    "blank": [{"alpha_init": 1e-3}],  # the exactly uniform default is the same for every seed
    "darts": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "darts-minus": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "drnas": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0, "reg": reg} for reg in ("l2", "kl")],
    "enas": [{"updates": 4, "samples": 8, "controller_lr": 0.03}],
    "fair-darts": [{"alpha_init": 1e-3, "alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "gdas": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],  # gradient=sampled: tests/searchers/test_gdas.py
    "local-search": [BRIEF],
    "optuna": [{**BRIEF, "sampler": sampler} for sampler in ("tpe", "nsgaii")],
    "pc-darts": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0, "warmup": 0.0}],
    "proxyless": [{"alpha_lr": 0.05, "warmup": 0.0, "mode": mode} for mode in ("two", "full", "echo")]
    + [{"alpha_lr": 0.05, "warmup": 0.0, "mode": "two", "paid": "all"}],
    "random-search": [BRIEF],
    "regularised-evolution": [{**BRIEF, "population": 5}],
    "reinforce-search": [
        {"budget": 400.0, "fidelity": 1, "alpha_lr": 0.1, "result": result} for result in ("best", "policy")
    ],
    "reinforce": [
        {"alpha_lr": 0.05, "warmup": 0.0, "baseline": baseline} for baseline in ("ema", "leave-one-out", "official")
    ],
    "sdarts-adv": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "sdarts-rs": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "setn": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "sgas": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0, "criterion": criterion} for criterion in (1, 2)],
    "shapley": [{"warmup": 0.0, "mask": "renormalised"}],
    "shrink": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0}],
    "snas": [{"alpha_lr": 0.05, "alpha_weight_decay": 0.0, "reinmax": reinmax} for reinmax in (False, True)],
}
LEARNING = (searcher_suite.check_better_operation_wins, searcher_suite.check_cheapest_wins)


def shared_out(subjects: list[Any], names: list[str]) -> list[Any]:
    """Every check of every subject. They take turns: all but one subject of each check is under the slow marker.

    What is to be learned falls to a subject that learns.
    """
    learners = [i for i, name in enumerate(names) if not {"Blank", "RandomSampling"} & set(name.split("+"))]

    def turn(j: int) -> int:
        return learners[j % len(learners)] if CHECKS[j] in LEARNING else j % len(subjects)

    return [
        pytest.param(subject, check, id=f"{name}-{check.__name__}", marks=() if turn(j) == i else (pytest.mark.slow,))
        for i, (subject, name) in enumerate(zip(subjects, names, strict=True))
        for j, check in enumerate(CHECKS)
    ]


# The options of one searcher share out the checks.
SUBJECTS = [
    [(p.name, options) for options in QUICK.get(p.name) or [quick(registry.load("searcher", p.name))]]
    for p in registry.plugins("searcher")
]
SEARCHERS = [one for same in SUBJECTS for one in shared_out(same, [f"{name}-{i}" for i, (name, _) in enumerate(same)])]


@pytest.mark.parametrize(("subject", "check"), SEARCHERS)
def test_contract(subject, check):
    name, options = subject
    if "budget" in options and check not in LEARNING:
        options = {**options, "budget": 60.0}
    check(registry.load("searcher", name), options)


# Every modifier around every searcher that it fits and that has none; but two together, which are in the list below.
PLAIN = [
    kind for p in registry.plugins("searcher") if not issubclass(kind := registry.load("searcher", p.name), Modified)
]
MODIFIED = {p.name: [*around(registry.load("modifier", p.name), PLAIN)] for p in registry.plugins("modifier")}
TOGETHER = [registry.load("searcher", name) for name in ("gdas+sdarts-rs+sgas", "proxyless+shrink+sdarts-adv")]


@pytest.mark.parametrize(
    ("kind", "check"),
    [one for kinds in (*MODIFIED.values(), TOGETHER) for one in shared_out(kinds, [kind.__name__ for kind in kinds])],
)
def test_contract_under_modifiers(kind, check):
    check(kind, quick(kind))


def at_once(subjects: Iterable[Any]) -> Counter[str]:
    return Counter(check.__name__ for _, check in (one.values for one in subjects if not one.marks))


def test_what_is_shared_out_misses_no_check() -> None:
    """Once for each searcher and each modifier; what is to be learned falls to a searcher that learns."""
    assert set(at_once(SEARCHERS).values()) == {len(SUBJECTS)}
    for kinds in (*MODIFIED.values(), TOGETHER):
        shared = shared_out(kinds, [kind.__name__ for kind in kinds])
        assert at_once(shared) == Counter(check.__name__ for check in CHECKS)
        for kind, check in (one.values for one in shared if not one.marks):
            assert check not in LEARNING or not {"Blank", "RandomSampling"} & set(kind.__name__.split("+"))


def test_the_modifiers_fit_what_they_are_defined_for():
    found = {kind.__name__ for kinds in MODIFIED.values() for kind in kinds}
    learners = ("DARTS", "DrNAS", "FairDARTS", "GDAS", "PCDARTS", "ProxylessNAS", "Reinforce", "SETN", "SNAS")
    for modifier in ("BetaDecay", "Decisions", "Shrinking"):  # they decide by alpha, or change its gradient
        fitted = {name.removesuffix(f"+{modifier}") for name in found if name.endswith(f"+{modifier}")}
        assert fitted == {*learners, "DARTSMinus"}
    for modifier in ("Smoothing", "Adversary"):  # they need weight steps
        assert {f"{name}+{modifier}" for name in (*learners, "Blank", "RandomSampling")} <= found
        assert f"RandomSearch+{modifier}" not in found


def test_a_whole_subject_passes_in_one_call():
    check_searcher(RandomSampling, {})


# -- the suite finds what is broken ----------------------------------------------------------------------------------

DARTS_OPTIONS, PROXYLESS_OPTIONS = QUICK["darts"][0], QUICK["proxyless"][0]


class Padded(DARTS):
    def probabilities(self) -> Tensor:
        return self.alpha.detach().softmax(1)


class Attached(DARTS):
    def weight_gates(self, objective, batch, clock):
        return self.arch_gates()[2]


class Biased(ProxylessNAS):
    def sample(self, n, generator=None):
        drawn = super().sample(n, generator)
        return drawn.flip(0)[:1].expand(n, -1, -1).clone()


class Global(ProxylessNAS):
    def weight_gates(self, objective, batch, clock):
        torch.rand(1)
        return self.sample(1)[0]


class Aliasing(DARTS):
    def state(self):
        return {"alpha": self.alpha.detach(), "optimiser": self.optimiser.state_dict()}


class Forgetful(DARTS):
    def load_state(self, tree):
        with torch.no_grad():
            self.alpha.copy_(tree["alpha"])


class Cooling(DARTS):
    """Its temperature is that of the last architecture step, and no state has it."""

    tau = 1.0

    def arch_step(self, problem, batch, clock):
        self.tau = 1 / (1 + clock.epoch)
        return super().arch_step(problem, batch, clock)

    def weight_gates(self, objective, batch, clock):
        return masked_softmax(self.alpha.detach() / self.tau, self.mask)


class Unsaveable(DARTS):
    def state(self):
        return {**super().state(), "space": self.space}


class Meddling(DARTS):
    def arch_step(self, problem, batch, clock):
        with torch.no_grad():
            for w in problem.objective.weights().values():
                w *= 1.001
        return super().arch_step(problem, batch, clock)


class Ascending(DARTS):
    def arch_step(self, problem, batch, clock):
        flipped = problem._replace(penalise=lambda loss, p: -problem.penalise(loss, p))
        return super().arch_step(flipped, batch, clock)


class Costless(DARTS):
    def arch_step(self, problem, batch, clock):
        return super().arch_step(problem._replace(penalise=lambda loss, p: loss), batch, clock)


class Renormalising(DARTS):
    def evaluation_gates(self, allowed, mode, uniforms):
        gates = super().evaluation_gates(allowed, mode, uniforms)
        return gates / gates.sum(-1, keepdim=True)


BROKEN = [
    (Padded, DARTS_OPTIONS, "check_probabilities", "padding has probability"),
    (Attached, DARTS_OPTIONS, "check_steps_move_their_own", "carries a graph"),
    (Global, PROXYLESS_OPTIONS, "check_steps_move_their_own", "global generator"),
    (Meddling, DARTS_OPTIONS, "check_steps_move_their_own", "changed the weights"),
    (Biased, PROXYLESS_OPTIONS, "check_samples", "standard errors"),
    (Aliasing, DARTS_OPTIONS, "check_state", "changes as the search goes on"),
    (Forgetful, DARTS_OPTIONS, "check_state", "not what was saved"),
    (Cooling, DARTS_OPTIONS, "check_weights_alone", "draws otherwise"),
    (DARTS, {**DARTS_OPTIONS, "alpha_init": 0.0}, "check_seeds", "another seed gives the same"),
    (Ascending, DARTS_OPTIONS, "check_better_operation_wins", "has no loss, but"),
    (Costless, DARTS_OPTIONS, "check_cheapest_wins", "is the cost ignored"),
    (Renormalising, DARTS_OPTIONS, "check_evaluation_gates", "mixture is not"),
]


@pytest.mark.parametrize(("broken", "options", "check", "text"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_the_suite_names_what_is_broken(broken, options, check, text):
    with pytest.raises(AssertionError, match=text):
        getattr(searcher_suite, check)(broken, options)


def test_a_state_that_a_checkpoint_could_not_load_is_found():
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        searcher_suite.check_state(Unsaveable, DARTS_OPTIONS)
