"""The NAS-Bench-Macro space against its published file and the description of its repository."""

import json

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.macro.space import Macro, all_architectures, blocks, flops, parameters


@pytest.fixture(scope="module")
def published(shared_data):
    return json.loads((shared_data / "macro" / "nas-bench-macro_cifar10.json").read_text())


def test_the_chain_is_the_published_one():
    assert Macro().size() == 3**8 == 6561
    assert [block.stride for block in blocks()] == [2, 1, 2, 1, 1, 2, 1, 1]
    assert [block.out_channels for block in blocks()] == [64, 64, 128, 128, 128, 256, 256, 256]


def test_parameters_and_flops_are_the_published_ones_of_all_networks(published):
    chains = list(all_architectures())
    assert sorted(published) == [chain.text for chain in chains]
    assert [parameters(c) for c in chains] == [published[c.text]["params"] for c in chains]
    assert [flops(c) for c in chains] == [published[c.text]["flops"] for c in chains]


def test_networks_of_one_canonical_form_are_one_training(published):
    """The benchmark trained each function once: the forms are exactly the classes of equal figures."""
    space = Macro()
    forms, figures = set(), set()
    for chain in all_architectures():
        form = space.canonical(chain)
        assert published[chain.text] == published[form]
        forms.add(form)
        figures.add((*published[form]["test_acc"], published[form]["params"], published[form]["flops"]))
    assert len(forms) == 9 * 21 * 21 == 3969  # a stage of n blocks: 3 (1 + 2 + ... + 2^(n-1)) functions
    assert len(figures) == 3969


@pytest.mark.parametrize("field", ["channels", "classes", "in_channels"])
def test_sizes_below_one_are_refused(field):
    chain = Macro().parse("00000000")
    with pytest.raises(BenchbedError, match=f"{field}=0"):
        parameters(chain, **{field: 0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0120120", "7 characters where the chain has 8 digits"),
        ("01201203", "'3' at s3b3 is not one of 0 .identity., 1 .k3e3., 2 .k5e6."),
        ("0120120²", "'²' at s3b3"),
        ("-1201201", "'-' at s1b1"),
    ],
)
def test_what_is_no_chain_is_named(text, words):
    with pytest.raises(BenchbedError, match=words):
        Macro().parse(text)


def test_a_random_draw_is_uniform_over_the_operations():
    rng = np.random.default_rng(0)
    drawn = np.array([Macro().random(rng).choices for _ in range(900)])
    counts = np.array([(drawn == k).sum(0) for k in range(3)])
    assert abs(counts - 300).max() < 5 * (900 * 2 / 9) ** 0.5


@pytest.mark.parametrize(("kind", "count"), [("params", parameters), ("flops", flops)])
def test_costs_by_operation_add_up(kind, count):
    space, rng = Macro(), np.random.default_rng(1)
    fixed, each = space.unit_costs(kind)
    for chain in (space.random(rng) for _ in range(50)):
        assert fixed + (each * space.gates(chain)).sum() == count(chain)


def test_an_unknown_cost_names_the_known_ones():
    with pytest.raises(BenchbedError, match="cost 'latency': known: flops, params"):
        Macro().unit_costs("latency")
