"""DARTS and S1 to S5: the community's notation, the published counts, derivation from alpha."""

from math import comb

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.searcher import masked_softmax
from benchbed.searchers.blank import Blank
from benchbed.selector import argmax_selection
from benchbed.spaces.darts import space_s1 as darts_s1
from benchbed.spaces.darts.genotype import GROUPS, NODES
from benchbed.spaces.darts.published import CELLS
from benchbed.spaces.darts.space import EDGES, OPERATIONS, Darts
from benchbed.spaces.darts.space_s1 import DartsS1
from benchbed.spaces.darts.space_s2 import DartsS2
from benchbed.spaces.darts.space_s3 import DartsS3
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.spaces.darts.space_s5 import DartsS5
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace, random_table

SPACE = Darts()
V2 = (  # as the authors' README prints it
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
COUNTS = {  # darts-pt.md 1.5 and 5.1, at C=36 and L=20 without the auxiliary head
    "DARTS_V1": 3_169_414,
    "DARTS_V2": 3_349_342,
    "darts_pt_s5_0": 2_851_246,
    "darts_pt_s5_1": 3_053_206,
    "darts_pt_s5_2": 2_658_142,
    "darts_pt_s5_3": 3_328_174,
    "blank_pt_s5_0": 3_039_598,
    "blank_pt_s5_1": 3_148_030,
    "darts_pt_s1_1": 1_870_822,
    "darts_pt_s2_1": 3_092_518,
    "darts_pt_s3_1": 3_422_134,
    "darts_pt_s4_1": 4_701_718,
}


# -- the space -------------------------------------------------------------------------------------------------------


def test_operations_and_edges_are_in_the_published_order():
    published = "none max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 dil_conv_5x5"
    assert list(OPERATIONS) == published.split()
    assert len(EDGES) == 14
    assert [EDGES.index((0, node)) for node in NODES] == [0, 2, 5, 9]  # the offsets of the nodes' blocks
    assert [p.name for p in SPACE.positions[:3]] == ["normal:0->2", "normal:1->2", "normal:0->3"]
    assert SPACE.positions[14].name == "reduce:0->2"


def test_none_takes_part_and_may_not_be_selected():
    assert not SPACE.selectable[:, 0].any()
    assert SPACE.selectable[:, 1:].all()
    assert DartsS3().selectable.tolist() == [[False, True, True]] * 28
    assert DartsS5().positions[0].operations == OPERATIONS[1:]


@pytest.mark.parametrize(
    ("space", "operations"), [(Darts, 7), (DartsS1, 2), (DartsS2, 2), (DartsS3, 2), (DartsS4, 2), (DartsS5, 7)]
)
def test_size_is_that_of_two_cells(space, operations):
    inputs = comb(2, 2) * comb(3, 2) * comb(4, 2) * comb(5, 2)
    assert space().size() == (inputs * operations**8) ** 2


def test_the_first_nodes_edges_are_kept_always():
    droppable = [p.droppable for p in SPACE.positions[:14]]
    assert droppable == [False, False] + [True] * 12
    assert [len(node.incoming) for node in SPACE.nodes] == [2, 3, 4, 5] * 2


# -- the notation ----------------------------------------------------------------------------------------------------


def edges_of(arch) -> dict[str, set[tuple[str, int, int]]]:
    """(operation, source, node) of each cell, read off the choices."""
    found: dict[str, set[tuple[str, int, int]]] = {group: set() for group in GROUPS}
    for position, k in zip(SPACE.positions, arch.choices, strict=True):
        if k >= 0:
            group, _, edge = position.name.partition(":")
            source, _, node = edge.partition("->")
            found[group].add((position.operations[k], int(source), int(node)))
    return found


def test_darts_v2_is_read_as_the_paper_draws_it():
    cells = edges_of(SPACE.parse(V2))
    assert cells["normal"] == {
        ("sep_conv_3x3", 0, 2), ("sep_conv_3x3", 1, 2), ("sep_conv_3x3", 0, 3), ("sep_conv_3x3", 1, 3),
        ("sep_conv_3x3", 1, 4), ("skip_connect", 0, 4), ("skip_connect", 0, 5), ("dil_conv_3x3", 2, 5),
    }  # fmt: skip
    assert cells["reduce"] == {
        ("max_pool_3x3", 0, 2), ("max_pool_3x3", 1, 2), ("skip_connect", 2, 3), ("max_pool_3x3", 1, 3),
        ("max_pool_3x3", 0, 4), ("skip_connect", 2, 4), ("skip_connect", 2, 5), ("max_pool_3x3", 1, 5),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        V2.replace(" ", ""),
        V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        V2.replace("[", "(").replace("]", ")"),
        V2.replace("('sep_conv_3x3', 0)", '["sep_conv_3x3", 0]'),
        V2.replace("('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 1)"),
        V2.replace("normal_concat=[2, 3, 4, 5], ", "").replace(
            "reduce_concat", "normal_concat=range(2,6), reduce_concat"
        ),
    ],
)
def test_other_spellings_are_the_same_architecture(text):
    assert text != V2
    assert SPACE.parse(text) == SPACE.parse(V2)
    assert SPACE.canonical(SPACE.parse(text)) == SPACE.canonical(SPACE.parse(V2))


def test_the_text_is_python_that_the_communitys_tools_read():
    from collections import namedtuple

    genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    read = eval(str(SPACE.parse(V2)), {"Genotype": genotype})
    assert len(read.normal) == len(read.reduce) == 8
    assert list(read.normal_concat) == list(read.reduce_concat) == [2, 3, 4, 5]
    assert set(map(tuple, read.normal)) == {(op, source) for op, source, _ in edges_of(SPACE.parse(V2))["normal"]}


def _broken(old: str, new: str) -> str:
    assert old in V2
    return V2.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            _broken("sep_conv_3x3", "sep_conv_3"),
            "unknown operation at edge normal:0->2 'sep_conv_3': did you mean 'sep_c",
        ),
        (_broken("('sep_conv_3x3', 0), ", ""), "normal cell: node 5 is missing 1 of its two inputs, 7 where eight"),
        (_broken("[('max_pool_3x3', 0), ('max_pool_3x3', 1), ", "["), "reduce cell: node 5 is missing 2 of its two"),
        (
            _broken("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
            r"normal cell, node 5: \('dil_conv_3x3', 5\) comes from",
        ),
        (_broken("('sep_conv_3x3', 1)", "('sep_conv_3x3', 4)"), "normal cell, node 2: .* expected 0 to 1"),
        (_broken("('sep_conv_3x3', 1)", "('sep_conv_3x3', -1)"), "has no such source, expected 0 to 1"),
        (_broken("[('sep", "[('max_pool_3x3', 0), ('sep"), "normal cell: more than two inputs a node, 9"),
        (_broken("('sep_conv_3x3', 1)", "('sep_conv_3x3', 0)"), "normal cell, node 2: both inputs come from node 0"),
        (_broken("normal_concat=[2, 3, 4, 5]", "normal_concat=[3, 4, 5]"), r"normal_concat \[3, 4, 5\]: the output"),
        (_broken("normal_concat=[2, 3, 4, 5]", "normal_concat=['2', '3', '4', '5']"), "normal_concat .* the output of"),
        (_broken("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4, 5], normal_concat=[2, 3, 4, 5]"), "twice"),
        (_broken("normal_concat=[2, 3, 4, 5], ", ""), "without 'normal_concat'"),
        (
            _broken("reduce_concat", "reduced_concat"),
            "part of a darts genotype 'reduced_concat': did you mean 'reduce_c",
        ),
        (_broken("('sep_conv_3x3', 0)", "('sep_conv_3x3', '0')"), "is no .'OPERATION', SOURCE"),
        (_broken("('sep_conv_3x3', 0)", "__import__('os')"), "is not a list of values"),
        (_broken("[2, 3, 4, 5]", "range(2, 10**9)"), "is not a list of values"),
        ("Genotype(*x)", "an argument without a name"),
        ("Genotype(normal=[('sep_conv_3x3', 0)]", "cannot be read"),
        ("(" * 3000, "cannot be read"),
        ("x" * 5000, "expected one line of the form"),
    ],
)
def test_what_is_no_genotype_is_refused_by_name(text, words):
    with pytest.raises(BenchbedError, match=words) as refusal:
        SPACE.parse(text)
    assert "\n" not in str(refusal.value)


def test_an_unknown_published_name_is_refused_with_the_nearest():
    with pytest.raises(BenchbedError, match="published darts cell 'DARTS_V3': did you mean 'DARTS_V"):
        SPACE.resolve("DARTS_V3")


# -- S1: operations that have their place (pitfall 13) ---------------------------------------------------------------


def test_s1_has_the_published_pairs_in_their_places():
    space = DartsS1()
    assert space.mask.all()
    assert space.positions[3].operations == ("skip_connect", "sep_conv_3x3")
    assert space.positions[13].operations == ("dil_conv_3x3", "dil_conv_5x5")
    assert space.positions[14].operations == ("max_pool_3x3", "avg_pool_3x3")
    assert space.positions[15].operations == ("max_pool_3x3", "dil_conv_3x3")
    assert space.positions[27].operations == ("skip_connect", "dil_conv_5x5")
    assert [len(pairs) for pairs in (darts_s1.NORMAL, darts_s1.REDUCE)] == [14, 14]


def test_s1_reads_each_edges_own_operations():
    space = DartsS1()
    _, arch = space.resolve("darts_pt_s1_1")
    kept = {name: op for name, op in space.describe_choices(arch) if op != "dropped"}
    assert kept["normal:4->5"] == "dil_conv_5x5"  # column 1 of its own pair, where others hold it in column 1 or not
    assert kept["reduce:1->2"] == "dil_conv_3x3"
    assert kept["reduce:1->4"] == "sep_conv_3x3"
    assert space.parse(str(arch)) == arch


def test_s1_refuses_an_operation_elsewhere_than_in_its_place():
    text = str(DartsS1().resolve("darts_pt_s1_1")[1]).replace("('skip_connect', 0)", "('sep_conv_3x3', 0)", 1)
    with pytest.raises(
        BenchbedError, match="'sep_conv_3x3' at edge normal:0->2: this edge has skip_connect, dil_conv_3x3"
    ):
        DartsS1().parse(text)


def test_a_cell_of_another_space_is_refused_by_its_operation():
    with pytest.raises(BenchbedError, match="unknown operation at edge normal:2->5 'dil_conv_3x3'"):
        DartsS2().resolve("DARTS_V2")


# -- derivation from alpha (section 1.4, oracle 12) ------------------------------------------------------------------


def selected(space, alpha):
    searcher = Blank(space, Blank.Options(), Streams(0))
    context = Bench(ToySpace(), random_table(ToySpace(), 0), Streams(0)).context()
    context = context._replace(space=space, searcher=searcher)
    p = masked_softmax(torch.from_numpy(alpha).float(), torch.from_numpy(space.mask))
    return argmax_selection(context, p, {})


def reference(alpha):
    """Section 1.4 in the authors' way: the max over operations but `none`, a stable sort, two edges a node."""
    p = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
    pairs, start = [], 0
    for node in NODES:
        block = p[start : start + node, 1:]
        best = sorted(range(node), key=lambda j: -block[j].max())[:2]
        pairs.append({(OPERATIONS[1 + int(block[j].argmax())], j, node) for j in best})
        start += node
    return set().union(*pairs)


@pytest.mark.parametrize("seed", range(5))
def test_genotypes_are_derived_from_alpha_as_published(seed):
    alpha = np.random.default_rng(seed).normal(size=(28, 8))
    alpha[::3, 0] += 4  # `none` the greatest of many a row, and what it takes away counts for the edge
    cells = edges_of(selected(SPACE, alpha).architecture)
    assert cells["normal"] == reference(alpha[:14])
    assert cells["reduce"] == reference(alpha[14:])


def test_a_hand_made_alpha():
    alpha = np.zeros((28, 8))
    alpha[:, 4] = 0.1  # sep_conv_3x3 on every edge, so that edges tie: the earlier sources win
    alpha[11, 0], alpha[11, 3] = 5, 4  # normal 2->5: `none` above skip_connect, which is 0.27
    alpha[12, 7] = 3  # normal 3->5: dil_conv_5x5, 0.73
    cells = edges_of(selected(SPACE, alpha).architecture)
    assert ("dil_conv_5x5", 3, 5) in cells["normal"]
    assert ("skip_connect", 2, 5) in cells["normal"]


def test_alpha_that_says_nothing_draws_inputs_and_operations_and_says_so():
    notes = selected(SPACE, np.zeros((28, 8))).notes
    assert len(notes["drawn_at_random"]) == 16  # of the operations that the cells keep
    assert len(notes["inputs_drawn_at_random"]) == 2 * (3 + 4 + 5)


# -- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_cells_have_the_published_parameters(name, count):
    space, arch = SPACE.resolve(name)
    assert space.facts(arch)["params"] == count
    assert set(COUNTS) == set(CELLS)


def test_darts_v2_with_a_hundred_classes_and_at_another_size():
    arch = SPACE.parse(V2)
    assert SPACE.for_images((3, 32, 32), 100).facts(arch)["params"] == 3_401_272
    fixed, each = SPACE.costs_at("params", 16, 8)
    assert fixed + (each * SPACE.gates(arch)).sum() == 246_106


def test_the_imagenet_network_has_the_published_millions():
    space, arch = Darts(stem="imagenet").resolve("DARTS_V2")
    facts = space.facts(arch)
    assert round(facts["params"] / 1e6, 1) == 4.7
    assert (facts["channels"], facts["cells"], facts["classes"], facts["images"]) == (48, 14, 1000, [3, 224, 224])


def test_another_stem_is_refused():
    with pytest.raises(BenchbedError, match="stem 'imagnet': did you mean 'imagenet'"):
        Darts(stem="imagnet")
