import math

import pytest
import torch
from torch import nn

from benchbed.pipeline.config import ScoringOptions
from benchbed.pipeline.resolve import scoring_base
from benchbed.training.recipe import LATER, RECIPES, Recipe, cosine, learning_rate
from benchbed.typed import typed


def test_warm_up_is_a_line_and_then_the_cosine():
    """The published code's: (batches so far, this one included) / (all of warm-up) times the rate."""
    recipe = Recipe(epochs=5, batch=2, lr=0.4, lr_min=0.1, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 4) for step in range(20)]
    assert rates[:8] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
    assert rates[8] == pytest.approx(0.4)
    assert rates[14] == pytest.approx(0.25)  # half of the 12 steps that are left
    assert rates[8:] == [cosine(recipe, step, 12) for step in range(12)]
    assert learning_rate(recipe, 20, 4) == pytest.approx(0.1)


def test_without_warm_up_it_is_the_cosine():
    recipe = Recipe(epochs=3, batch=2, lr=0.4)
    assert [learning_rate(recipe, s, 7) for s in range(21)] == [cosine(recipe, s, 21) for s in range(21)]


def test_warm_up_leaves_something():
    with pytest.raises(ValueError, match="warmup_epochs 3 leaves nothing of 3 epochs"):
        Recipe(epochs=3, batch=2, lr=0.1, warmup_epochs=3)


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("spared", [True, False])
def test_weight_decay_spares_batch_norm_and_biases(spared):
    """With gradients of zero a step is the decay alone."""
    net, recipe = network(), Recipe(epochs=1, batch=2, lr=0.5, weight_decay=0.2, decay_vectors=not spared)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1.0)
    sgd = torch.optim.SGD(recipe.groups(net), lr=recipe.lr)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    sgd.step()
    for p in net.parameters():
        expected = 1.0 if spared and p.ndim == 1 else 0.9
        assert torch.allclose(p, torch.full_like(p, expected))


def test_later_options_leave_earlier_results_their_names():
    """A run's id hashes the recipe: at their defaults the options that came later are no part of it."""
    recipe = typed(ScoringOptions, scoring_base("nb201", "digits"), "scoring")
    assert not LATER.keys() & recipe.model_dump().keys()
    assert ScoringOptions(**recipe.model_dump()) == recipe
    warm = recipe.model_copy(update={"warmup_epochs": 1, "bf16": True})
    assert warm.model_dump().keys() - recipe.model_dump().keys() == {"warmup_epochs", "bf16"}
    assert ScoringOptions(**warm.model_dump()) == warm


def test_the_imagenet_recipe_is_the_published_one():
    """ProxylessNAS' imagenet_run_exp: 300 epochs, 0.05 cosine, 256 images, Nesterov, 4e-5 not on batch norm, 0.1."""
    r = RECIPES["imagenet"]
    assert (r.epochs, r.batch, r.lr, r.lr_min, r.momentum, r.nesterov) == (300, 256, 0.05, 0.0, 0.9, True)
    assert (r.weight_decay, r.decay_vectors, r.label_smoothing, r.clip) == (4e-5, False, 0.1, None)
    assert math.isclose(learning_rate(r, 150 * 4809, 4809), 0.025)
