"""The MBConv chain against the published counts, the keys of the authors' latency table and the released networks."""

import re
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.mbconv.space import OPERATIONS, PRESETS, RELEASED, MBConv, divisible, kernel_and_expansion

SPACE = MBConv()
SMALL = MBConv("small")
UNIFORM = SPACE.mask / SPACE.mask.sum(1, keepdims=True)


def all_of(word: str) -> str:
    return "-".join([word] * 21)


# -- published figures (the authors' search code) -------------------------------------------------------------------


def test_the_space_has_21_positions_of_which_15_may_be_zero():
    assert len(SPACE.positions) == 21
    assert [p.operations for p in SPACE.positions].count(OPERATIONS) == 15
    assert {p.operations for p in SPACE.positions} == {OPERATIONS, OPERATIONS[:6]}
    assert OPERATIONS == ("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "zero")
    assert SPACE.size() == 221502229807900608 == 6**6 * 7**15


def test_macs_are_the_published_ones():
    fixed, macs = SPACE.unit_costs("flops")
    least = np.where(SPACE.mask, macs, np.inf).min(1).sum()
    found = fixed, fixed + (UNIFORM * macs).sum(), fixed + least, fixed + macs.max(1).sum()
    assert found == pytest.approx((42.223616e6, 373.300544e6, 102.528896e6, 606.59072e6), rel=0, abs=0.5)
    assert round(SPACE.facts(SPACE.parse(all_of("k3e3")))["flops"] / 1e6, 2) == 257.42
    assert round(SPACE.facts(SPACE.parse(all_of("k3e6")))["flops"] / 1e6, 2) == 472.62


@pytest.mark.parametrize(
    ("name", "params", "macs", "depth"),
    [
        ("proxyless-mobile", 4.081, 320.43, 19),
        ("proxyless-gpu", 7.120, 465.26, 13),
        ("proxyless-cpu", 4.362, 439.24, 19),
        ("proxyless-mobile-14", 6.858, 580.88, 19),
    ],
)
def test_released_networks_have_the_published_counts(name, params, macs, depth):
    space, arch = SPACE.resolve(name)
    facts = space.facts(arch)
    assert (round(facts["params"] / 1e6, 3), round(facts["flops"] / 1e6, 2)) == (params, macs)
    assert (facts["depth"], facts["images"], facts["classes"]) == (depth, [3, 224, 224], 1000)


def keys_of(space: MBConv) -> list[list[str]]:
    """Per searched block the keys that the authors' latency table would have for its operations but zero."""
    return [
        [
            f"expanded_conv-input:{b.size}x{b.size}x{b.width}-output:{b.out_size}x{b.out_size}x{b.out_width}"
            f"-expand:{e}-kernel:{k}-stride:{b.stride}-idskip:{int(b.has_shortcut)}"
            for k, e in map(kernel_and_expansion, OPERATIONS[:6])
        ]
        for b in space.geometry.searched
    ]


def test_every_block_has_a_row_in_the_authors_latency_table(shared_data):
    text = (shared_data / "latency" / "pixel1_mobile_trim.yaml").read_text()
    rows = set(re.findall(r"(?m)^([\w:-]+):\s*(?:\{.*)?$", text))
    assert len(rows) == 72
    searched = {key for block in keys_of(SPACE) for key in block}
    assert searched <= rows
    # beside them: stem, first block in three kernels, head, classifier
    assert len(rows - searched) == 6
    g, first = SPACE.geometry, SPACE.geometry.blocks[0]
    assert f"Conv-input:{g.stem.size}x{g.stem.size}x3-output:{g.stem.out_size}x{g.stem.out_size}x32" in rows
    assert f"Conv_1-input:{g.head.size}x{g.head.size}x320-output:7x7x{g.head.out_width}" in rows
    assert (first.size, first.width, first.out_size, first.out_width, first.stride) == (112, 32, 112, 16, 1)
    assert first.position is None
    assert not first.has_shortcut
    # the released mobile network is 32 wide in its first stage, which the table does not know
    mobile, arch = SPACE.resolve("proxyless-mobile")
    used = [keys[k] for keys, k in zip(keys_of(mobile), arch.choices, strict=True) if k < 6]
    assert sum(key not in rows for key in used) == 3


@pytest.mark.parametrize(
    ("channels", "rounded"), [(32, 32), (44.8, 48), (22.4, 24), (134.4, 136), (11.2, 16), (3, 8), (12, 16), (33.6, 32)]
)
def test_widths_are_multiples_of_8_and_never_below_nine_tenths(channels, rounded):
    assert divisible(channels) == rounded


# -- strings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "word 1 (position 1.1)"),
        (all_of("k3e3").replace("k3e3", "k3e4", 1), "word 1 (position 1.1) 'k3e4': did you mean 'k3e"),
        ("k3e3-k3e3-k5e5", "word 3 (position 1.3) 'k5e5': did you mean"),
        (
            "zero-" + all_of("k3e3"),
            "word 1 (position 1.1) is 'zero', and that block changes size or width: it takes k3e3",
        ),
        (all_of("k3e3") + "-k3e3", "chain of 22 words where this space has 21"),
        ("k3e3-k5e3", "chain of 2 words where this space has 21"),
        ("proxyless-mobil", "unknown released network 'proxyless-mobil': did you mean 'proxyless-mobile'?"),
        ("proxyless-mobile", "has other sizes than this space: add --set space_options.preset=proxyless-mobile"),
    ],
)
def test_a_wrong_string_is_refused_by_its_word_and_place(text, words):
    with pytest.raises(BenchbedError, match=re.escape(words)):
        SPACE.parse(text)


@pytest.mark.parametrize("name", RELEASED)
def test_a_name_is_parsed_where_the_sizes_are_its_own(name):
    space = MBConv(name)
    assert space.parse(name) == space.parse(RELEASED[name].text) == SPACE.resolve(name)[1]
    assert space.resolve(name)[0] is space


def test_a_name_keeps_the_resolution_and_refuses_other_sizes():
    space, arch = MBConv(resolution=192).resolve("proxyless-cpu")
    assert space.facts(arch)["images"] == [3, 192, 192]
    for options in ({"width": 1.4}, {"preset": "small"}, {"preset": "proxyless-gpu"}, {"head_width": 640}):
        with pytest.raises(BenchbedError, match=f"leave out space_options.{next(iter(options))}"):
            MBConv(**options).resolve("proxyless-cpu")


def test_two_chains_are_one_function_where_only_zeros_move_within_a_stage():
    space = MBConv("small", stage_widths=[8, 16], stage_depths=[1, 3], stage_strides=[1, 2])
    forms: dict[object, set[tuple[str, ...]]] = {}
    for choices in product(*(range(len(p.operations)) for p in space.positions)):
        arch = space.architecture_of(choices)
        kept = tuple(
            f"{p.name[0]} {w}" for p, w in zip(space.positions, arch.text.split("-"), strict=True) if w != "zero"
        )
        forms.setdefault(space.canonical(arch), set()).add(kept)
    assert all(len(kept) == 1 for kept in forms.values())
    assert len(forms) == 7 * 6 * (1 + 6 + 36)  # stage 1: its block or none; stage 2: a first block, then 0, 1 or 2


# -- options ------------------------------------------------------------------------------


def test_options_size_the_chain():
    space = MBConv(width=0.5, resolution=96, stage_depths=[1, 2, 1, 1, 1, 3], head_width=512)
    g = space.geometry
    assert (g.stem.size, g.stem.out_size, g.stem.out_width, g.head.size) == (96, 48, 16, 3)
    assert g.head.out_width == 512  # never made narrower by `width`
    assert MBConv(width=1.4).geometry.head.out_width == 1792
    assert [b.out_width for b in g.searched] == [16, 24, 24, 40, 48, 96, 160, 160, 160]  # 12 and 20 are rounded up
    assert [p.name for p in space.positions] == ["1.1", "2.1", "2.2", "3.1", "4.1", "5.1", "6.1", "6.2", "6.3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "smal"}, "unknown mbconv preset 'smal': did you mean 'small'?"),
        ({"width": 0}, "width=0: a factor above 0"),
        ({"width": True}, "width=True"),
        ({"resolution": 0}, "resolution=0: a whole number of at least 1"),
        ({"resolution": 32.5}, "resolution=32.5"),
        ({"stem_stride": 3}, "stem_stride=3: 1 or 2"),
        ({"stage_strides": [1, 2, 3]}, "stage_strides=[1, 2, 3]: a list of strides of 1 or 2"),
        ({"stage_widths": 24}, "stage_widths=24: a list of whole numbers"),
        ({"stage_depths": [4, 0]}, "stage_depths=[4, 0]"),
        ({"stage_depths": [4, 4]}, "lists of different lengths (stage_widths 6, stage_depths 2, stage_strides 6)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_size_out_of_range_is_refused_by_its_name(options, words):
    with pytest.raises(BenchbedError, match=re.escape(words)):
        MBConv(**options)


def test_a_list_may_come_from_a_file_or_a_flag():
    assert MBConv(stage_depths=[1] * 6).positions == MBConv(stage_depths=(1,) * 6).positions


# -- images ------------------------------------------------------------------------------


def test_the_small_preset_is_counted_on_the_images_at_hand():
    fitted, arch = SMALL.for_images((1, 12, 12), 7), SMALL.random(np.random.default_rng(0))
    assert fitted.positions == SMALL.positions
    before, after = SMALL.facts(arch), fitted.facts(arch)
    assert (after["images"], after["classes"]) == ([1, 12, 12], 7)
    assert [b.out_size for b in fitted.geometry.searched] == [b.out_size * 12 // 32 for b in SMALL.geometry.searched]
    g = fitted.geometry
    assert before["params"] - after["params"] == 9 * 2 * g.stem.out_width + 3 * (g.head.out_width + 1)
    assert SMALL.facts(arch) == before  # a copy


@pytest.mark.parametrize(
    ("space", "shape", "words"),
    [
        (SPACE, (1, 12, 12), "set to images of 224 pixels and these have 12: add --set space_options.resolution=12"),
        (MBConv("small", resolution=32), (1, 12, 12), "set to images of 32 pixels and these have 12"),
        (SMALL, (1, 12, 16), "images of 12x16 pixels: the chains of space 'mbconv' are of square images"),
    ],
)
def test_images_of_another_size_are_refused(space, shape, words):
    with pytest.raises(BenchbedError, match=re.escape(words)):
        space.for_images(shape, 10)


def test_a_resolution_that_is_the_images_own_is_taken():
    assert MBConv(resolution=12).for_images((1, 12, 12), 10).geometry.head.size == 1


def test_odd_sizes_are_halved_upwards():
    sizes = [b.out_size for b in MBConv("small", resolution=13).geometry.blocks]
    assert sizes == [13, 13, 13, 13, 7, 7, 7]


# -- costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flops", "params"])
@pytest.mark.parametrize("preset", PRESETS)
def test_costs_by_operation_add_up_to_the_facts(preset, kind):
    space = MBConv(preset)
    fixed, costs = space.unit_costs(kind)
    assert costs.shape == space.mask.shape
    zero = np.array([[k < len(p.operations) and p.operations[k] == "zero" for k in range(7)] for p in space.positions])
    assert (costs[~space.mask] == 0).all()
    assert (costs[zero] == 0).all()
    assert (costs[space.mask & ~zero] > 0).all()
    rng = np.random.default_rng(1)
    for arch in (space.random(rng) for _ in range(5)):
        total = fixed + sum(costs[i, k] for i, k in enumerate(arch.choices))
        assert space.facts(arch)[kind] == total


def test_an_unknown_cost_is_refused():
    with pytest.raises(BenchbedError, match="unknown cost of mbconv 'flop': did you mean 'flops'"):
        SPACE.unit_costs("flop")


def test_the_space_imports_no_torch(child_env):
    code = "import benchbed.spaces.mbconv, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=child_env)
