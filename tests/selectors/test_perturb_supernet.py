"""Perturbation on a supernet: what measuring leaves alone, how tuning steps, races, and what is refused."""

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.selectors.perturb import Options, Perturb
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.selector_suite import Bench
from benchbed.testing.tree import difference, through_file


def bench_of(eval_batch: int = 20, valid: int = 60) -> Bench:
    generator = torch.Generator().manual_seed(0)
    train = Split(torch.randn(24, 3, 4, 4, generator=generator), torch.arange(24) % 4)
    images = torch.randn(valid, 3, 4, 4, generator=generator)
    labels = torch.arange(valid) % 4
    task = Task("noise", 4, (3, 4, 4), train, Split(images, labels), Seal(lambda: train), fingerprint="noise")
    options = SupernetOptions.model_validate(
        {"channels": 2, "cells": 1, "batch": 12, "valid_batch": 12, "eval_batch": eval_batch}
    )
    streams = Streams(0)
    return Bench(NB201(), SupernetObjective(NB201(), task, options, streams, epochs=1), streams)


def perturb(**options) -> Perturb:
    return Perturb(Options(**options))


@pytest.mark.parametrize("race", [None, 0.1])
def test_measuring_moves_no_buffer_weight_cursor_or_stream(race):
    """The official code measures in training mode: its running averages drift while it scores."""
    bench = bench_of()
    before = through_file(bench.state())
    bench.run(perturb(interval=0, race=race))
    after = bench.state()
    for tree in (before, after):
        tree["streams"].pop("selection", None)
    assert difference(after, before) is None
    assert not dict(bench.objective.network.named_buffers())


@pytest.mark.parametrize("schedule", ["official", "even"])
def test_tuning_steps_at_a_tenth_of_the_rate_constant_through_all_epochs(schedule):
    bench, rates = bench_of(), []
    step = bench.objective.optimiser.__class__.step

    def noted(optimiser, *args):
        rates.append(optimiser.param_groups[0]["lr"])
        return step(optimiser, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", noted)
        bench.run(perturb(interval=2, schedule=schedule))
    assert rates == [pytest.approx(0.0025)] * (10 * 2)  # ten epochs of two batches: the whole split each


def looked(bench: Bench) -> list:
    """The views that the bench's objective is asked for."""
    views, seen = [], type(bench.objective).seen

    def noted(objective, view):
        views.append(view)
        return seen(objective, view)

    bench.objective.seen = noted.__get__(bench.objective)
    return views


def test_by_default_validation_is_looked_at_as_it_is():
    bench = bench_of()
    views = looked(bench)
    bench.run(perturb(interval=0))
    assert views == []


@pytest.mark.parametrize("norm", ["batch", "eval", "recalibrated"])
@pytest.mark.parametrize("transform", ["test", "train"])
def test_each_decision_has_one_view_as_the_options_say(norm, transform):
    bench = bench_of(12, 12)
    views = looked(bench)
    selection = bench.run(perturb(interval=0, batch_norm=norm, transform=transform, order="forward"))
    assert len(views) == (0 if (norm, transform) == ("batch", "test") else 6)
    seeds = [view.augmentation for view in views]
    assert len(set(seeds)) == len(seeds) if transform == "train" else set(seeds) <= {None}
    for decided, view in enumerate(views):
        assert view.norm == norm
        if norm != "eval":
            assert view.gates is None
            continue
        expected = bench.searcher.probabilities().clone()  # the unmasked supernet under what has been decided
        expected[:decided] = torch.from_numpy(bench.space.gates(selection.architecture))[:decided]
        assert torch.equal(view.gates[0], expected)


@pytest.mark.parametrize("norm", ["eval", "recalibrated"])
def test_a_race_by_held_statistics_decides_as_the_full_measurement(norm):
    given, size = {"interval": 0, "criterion": "loss", "batch_norm": norm, "transform": "train"}, (6, 12)
    plain, raced = bench_of(*size).run(perturb(**given)), bench_of(*size).run(perturb(**given, race=1e-12))
    assert raced.architecture == plain.architecture


def test_statistics_change_what_is_measured():
    scores = {
        norm: bench_of(12, 12).run(perturb(interval=0, criterion="loss", order="forward", batch_norm=norm)).scores[0]
        for norm in ("batch", "eval", "recalibrated")
    }
    assert abs(scores["batch"] - scores["recalibrated"]).max() > 1e-4
    assert abs(scores["eval"] - scores["recalibrated"]).max() > 1e-4


def test_the_whole_official_preset_runs_on_a_supernet():
    official = {**Perturb.presets["official"], "interval": 1}
    assert bench_of().run(perturb(**official)).architecture.choices


def test_alpha_is_frozen_while_tuning_if_so_asked():
    for tune_alpha in (True, False):
        bench = bench_of()
        before = bench.searcher.alpha.detach().clone()
        bench.run(perturb(interval=1, tune_alpha=tune_alpha))
        assert torch.equal(bench.searcher.alpha, before) == (not tune_alpha)


@pytest.mark.parametrize("gates", ["mixture", "sampled"])
def test_a_race_measures_no_more_draws_the_same_gates_and_says_what_it_forwarded(gates):
    given = {"interval": 0, "gates": gates, "draws": 4}
    plain, raced = bench_of().run(perturb(**given)), bench_of().run(perturb(**given, race=0.4))
    assert plain.notes["validation_images"] <= 30 * 60 * (1 if gates == "mixture" else 4)
    assert raced.notes["validation_images"] <= plain.notes["validation_images"]
    assert (raced.notes["race"], "race" in plain.notes) == (0.4, False)
    assert plain.notes["order"] == raced.notes["order"]
    if gates == "mixture":
        assert plain.notes["validation_images"] == 1800


def test_a_race_at_next_to_no_error_decides_as_the_full_measurement():
    given = {"interval": 0, "criterion": "loss"}
    plain, raced = bench_of().run(perturb(**given)), bench_of().run(perturb(**given, race=1e-12))
    assert raced.architecture == plain.architecture


def test_a_race_over_a_single_part_is_refused_before_the_search(tmp_path, tiny):
    with pytest.raises(BenchbedError, match=r"race = 0.05: the 60 validation images are measured in one part"):
        Perturb.check(Options(race=0.05), NB201(), bench_of(eval_batch=60).context().objective)
    Perturb.check(Options(race=0.05), NB201(), bench_of(eval_batch=30).context().objective)
    raw = {**tiny, "selector": {"race": 0.05}, "supernet": {**tiny.get("supernet", {}), "eval_batch": 500}}
    with pytest.raises(BenchbedError, match=r"race = 0.05: the \d+ validation images are measured in one part"):
        run_all(expand(raw, ["darts"], ["perturb"], [0]), RunOptions(tmp_path / "out", torch.device("cpu")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [{"race": 0.05}, {"batch_norm": "eval"}, {"batch_norm": "recalibrated"}])
def test_a_race_or_statistics_without_images_are_refused(tmp_path, unchecked, make_table, given):
    make_table("mine")
    raw = {"objective": "table", "table": "mine", "dataset": "cifar10", "epochs": 1, "selector": given}
    ((name, value),) = given.items()
    words = f"selector 'perturb' with {name} = {value!r} needs images, which objective 'table'"
    with pytest.raises(BenchbedError, match=words):
        run_all(expand(raw, ["darts"], ["perturb"], [0]), RunOptions(tmp_path / "out", torch.device("cpu")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["race=0.05", "order=global-op-once"], ("race = 0.05", "'global-op-once'", "'random'")),
        (["race=0.5"], ("race = 0.5", "less than 0.5")),
        (["order=sgas"], ("order = 'sgas'", "'random'")),  # the official script's own default, which it cannot do
        (["interval=-1"], ("interval = -1", "greater than or equal to 0")),
        (["batch_norm=train"], ("batch_norm = 'train'", "'recalibrated'")),
        (["transform=none"], ("transform = 'none'", "'test' or 'train'")),
        (["topology=sometimes"], ("topology = 'sometimes'", "'cumulative'")),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(refused, settings, words):
    flags = [f"--set=selector.{setting}" for setting in settings]
    line = refused("run", "--searcher", "darts", "--selector", "perturb", *flags)
    for word in words:
        assert word in line


def test_both_published_presets_state_every_option():
    for name in ("official", "recommended"):
        assert set(Perturb.presets[name]) == set(Options.model_fields)
    assert Options(**Perturb.presets["recommended"]) == Options()
    differ = {k for k, v in Perturb.presets["official"].items() if Perturb.presets["recommended"][k] != v}
    assert differ == {"schedule", "topology", "transform"}
