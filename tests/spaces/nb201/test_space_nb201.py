"""NAS-Bench-201 against the published counts and table, and its canonical form against evaluated functions."""

import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from benchbed.errors import BenchbedError
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import EDGES, NB201, OPERATIONS, all_architectures, is_connected, unique_string

ROOT = Path(__file__).resolve().parents[3]
SPACE = NB201()
ALL = list(all_architectures())

INDEX_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
INDEX_284 = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"


def uniform(operation: str) -> Architecture:
    return SPACE.architecture_of((OPERATIONS.index(operation),) * 6)


# ---------------------------------------------------------------- strings and gates


def test_the_space_has_its_published_positions_and_size():
    assert [p.name for p in SPACE.positions] == ["0->1", "0->2", "1->2", "0->3", "1->3", "2->3"]
    assert {p.operations for p in SPACE.positions} == {
        ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    }
    assert SPACE.selectable.all()
    assert SPACE.size() == 15625


def test_choices_follow_the_edges_of_the_string():
    arch = SPACE.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")
    assert arch.choices == (0, 1, 2, 3, 4, 0)
    assert dict(SPACE.describe_choices(arch))["1->2"] == "nor_conv_1x1"


def test_every_string_and_every_gate_array_leads_back():
    assert len({a.text for a in ALL}) == 15625
    for arch in ALL:
        assert SPACE.parse(arch.text) == arch
        assert SPACE.architecture(SPACE.gates(arch)) == arch


def test_all_architectures_are_in_lexicographic_order():
    assert [a.choices for a in ALL] == sorted(product(range(5), repeat=6))


def test_every_cell_has_24_neighbours():
    for arch in ALL[::617]:
        around = {n.choices for n in SPACE.neighbours(arch)}
        assert len(around) == 24
        assert all(sum(x != y for x, y in zip(n, arch.choices, strict=True)) == 1 for n in around)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["empty", "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"]),
        ("nonsense", ["'nonsense'", "1 node,", "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"]),
        (INDEX_0 + "+|none~0|none~1|none~2|none~3|", ["4 nodes", "not 3"]),
        (INDEX_0 + " ", ["node 3", "' '", "outside"]),
        (INDEX_0 + "junk", ["node 3", "'junk'", "outside"]),
        ("junk" + INDEX_0, ["node 1", "'junk'", "outside"]),
        (INDEX_0 + "\n", ["node 3", r"'\n'", "outside"]),
        (INDEX_0[1:], ["node 1", "'avg_pool_3x3~0|'", "not enclosed", "|op~0|"]),
        (INDEX_0.replace("nor_conv_1x1", "nor_conv_1x", 1), ["'nor_conv_1x'", "did you mean 'nor_conv_1x1'"]),
        (INDEX_0.replace("skip_connect", "Skip_Connect", 1), ["'Skip_Connect'", "did you mean 'skip_connect'"]),
        (INDEX_0.replace("avg_pool_3x3", "sep_conv_5x5", 1), ["node 1", "'sep_conv_5x5'", "known: avg_pool_3x3,"]),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", ["'none'", "names no source", "'op~0'"]),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", ["node 2", "twice", "'none~0'", "'none~1'"]),
        ("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|", ["node 2", "wrong source", "'none~2'", "'none~1'"]),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", ["node 2", "wrong source", "'none~1'", "'none~0'"]),
        ("|none~0|+|none~0|none~1~1|+|none~0|none~1|none~2|", ["wrong source", "'none~1~1'", "'none~1'"]),
        ("|none~\u0660|+|none~0|none~1|+|none~0|none~1|none~2|", ["node 1", "expected 'none~0'"]),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", ["node 2", "after 'none~0'", "|op~0|op~1|"]),
        ("|none~0|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", ["node 1", "too many", "'none~1'", "|op~0|"]),
        ("|none~0|+|none~0||none~1|+|none~0|none~1|none~2|", ["node 2", "''", "'op~1'"]),
        ("|none~0|++|none~0|none~1|none~2|", ["node 2", "''", "|op~0|op~1|"]),
        ("64:64:64:64:64", ["'64:64:64:64:64'"]),  # a string of the size space
    ],
)
def test_a_malformed_string_is_refused_by_its_token(text, says):
    with pytest.raises(BenchbedError) as caught:
        SPACE.parse(text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert [part for part in says if part not in message] == []


_PIECES = st.sampled_from([*OPERATIONS, *"|+~0123", "\n", " ", "\u2028", "sep_conv_3x3", "x" * 99])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid string with one stretch replaced."""
    text = ALL[draw(st.integers(0, 15624))].text
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    return text[:start] + draw(st.one_of(st.text(max_size=5), _PIECES)) + text[end:]


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join), mutated()))
def test_parse_gives_back_the_string_or_refuses_it_in_one_line(text):
    said = ""
    try:
        assert SPACE.parse(text).text == text
    except BenchbedError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1
    assert len(said) < 250


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ((0,) * 5, "5 numbers"),
        ((0,) * 7, "7 numbers"),
        ((0, 0, 0, 0, 0, 5), "edge 2->3: operation number 5"),
        ((0, -1, 0, 0, 0, 0), "edge 0->2: operation number -1"),
    ],
)
def test_choices_outside_the_space_are_refused(choices, says):
    with pytest.raises(BenchbedError) as caught:
        SPACE.architecture_of(choices)
    assert says in str(caught.value)


# ---------------------------------------------------------------- equivalences


def _string(choices: tuple[int, ...], zero: str, skip: bool) -> str:
    """The isomorphism string under another rule. zero: plain (an operation like any), quirk (official), dropped."""
    strings = ["0"]
    for node in (1, 2, 3):
        terms = []
        for (source, target), k in zip(EDGES, choices, strict=True):
            if target != node:
                continue
            name, origin = OPERATIONS[k], strings[source]
            if zero != "plain" and (name == "none" or origin == "#"):
                terms += ["#"] if zero == "quirk" else []
            else:
                terms.append(origin if skip and name == "skip_connect" else f"({origin})@{name}")
        strings.append("+".join(sorted(terms)) or "#")
    return strings[3]


def test_unique_strings_have_the_published_counts():
    classes = Counter(map(unique_string, ALL))
    assert len(classes) == 6466
    assert sum(n == 1 for n in classes.values()) == 5116
    largest = [(f"#+#+(0)@{name}", 275) for name in ("avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")]
    assert sorted(classes.most_common(3)) == largest
    assert classes["#+#+0"] == 250
    assert classes["#+#+#"] == 225


@pytest.mark.parametrize(
    ("zero", "skip", "count"),
    [("quirk", True, 6466), ("plain", True, 12751), ("plain", False, 15625), ("dropped", True, 5390)],
)
def test_other_rules_give_other_counts(zero, skip, count):
    assert len({_string(a.choices, zero, skip) for a in ALL}) == count


def test_unique_string_agrees_with_the_rule_written_a_second_time():
    assert all(unique_string(a) == _string(a.choices, "quirk", True) for a in ALL)


def test_death_does_not_pass_through_node_2_in_the_unique_string_but_does_in_the_canonical_form():
    dead = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|")
    assert unique_string(dead) == "#+#+(#+#)@nor_conv_3x3"
    assert SPACE.canonical(dead) == SPACE.canonical(uniform("none")) == "0"


def test_canonical_classes_have_the_published_counts():
    classes = Counter(map(SPACE.canonical, ALL))
    assert len(classes) == 4930
    assert classes["0"] == 341
    assert {a.choices for a in ALL if SPACE.canonical(a) == "0"} == {a.choices for a in ALL if not is_connected(a)}


def test_connected_cells_have_the_published_count():
    assert sum(map(is_connected, ALL)) == 15284


@cache
def _values() -> np.ndarray:
    """(15625, 15): every cell as a function, at three random inputs, with a random nonlinear f per operation.

    f(0) = 0, so that what is dead is zero. Nothing here knows strings or canonical forms.
    """
    rng = np.random.default_rng(20)
    inward, outward = rng.normal(size=(2, len(OPERATIONS), 5, 5))

    def apply(k: int, x: np.ndarray) -> np.ndarray:
        if OPERATIONS[k] == "none":
            return np.zeros_like(x)
        return x if OPERATIONS[k] == "skip_connect" else np.sin(x @ inward[k]) @ outward[k]

    def cell(choices: tuple[int, ...]) -> np.ndarray:
        nodes = [inputs]
        for node in (1, 2, 3):
            edges = zip(EDGES, choices, strict=True)
            nodes.append(sum(apply(k, nodes[source]) for (source, target), k in edges if target == node))
        return nodes[3].ravel()

    inputs = rng.normal(size=(3, 5))
    return np.array([cell(a.choices) for a in ALL])


def test_equal_canonical_forms_are_equal_functions():
    values = _values()
    representative: dict[str, np.ndarray] = {}
    for arch, value in zip(ALL, values, strict=True):
        other = representative.setdefault(SPACE.canonical(arch), value)
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-9, err_msg=arch.text)


def test_different_canonical_forms_are_different_functions():
    values = _values()
    representative = dict(zip(map(SPACE.canonical, ALL), values, strict=True))
    assert len(representative) == 4930
    assert not cKDTree(np.array(list(representative.values()))).query_pairs(1e-5)


@cache
def _networks() -> np.ndarray:
    """(15625, 15): every cell as a network whose six edges have weights of their own, whichever edge has which.

    Statistics of its output over all 720 ways to hand six weights to the edges.
    """
    rng = np.random.default_rng(21)
    weights = rng.uniform(0.5, 2, 6)[np.array(list(permutations(range(6))))].T  # (edges, ways)
    inward, outward, probes = rng.uniform(1, 3, (3, 15))

    def apply(k: int, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
        if OPERATIONS[k] == "none":
            return np.zeros_like(x)
        if OPERATIONS[k] == "skip_connect":
            return x
        return outward[k] * np.sin(inward[k] * x * (1.0 if OPERATIONS[k] == "avg_pool_3x3" else weight))

    def cell(choices: tuple[int, ...]) -> np.ndarray:
        nodes = [np.full(720, 0.7)]
        for node in (1, 2, 3):
            edges = zip(EDGES, choices, weights, strict=True)
            nodes.append(sum(apply(k, w, nodes[source]) for (source, target), k, w in edges if target == node))
        return np.cos(nodes[3] * probes[:, None]).mean(1)

    return np.array([cell(a.choices) for a in ALL])


def test_one_form_of_a_network_is_one_network_and_another_is_another():
    representative: dict[str, np.ndarray] = {}
    for arch, value in zip(ALL, _networks(), strict=True):
        other = representative.setdefault(SPACE.network_form(arch), value)
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-11, err_msg=arch.text)
    assert len(representative) == 5260
    assert not cKDTree(np.array(list(representative.values()))).query_pairs(1e-8)


def test_a_convolution_that_is_used_twice_is_not_two():
    once = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    twice = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|")
    two = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|")
    assert SPACE.canonical(twice) == SPACE.canonical(two) != SPACE.canonical(once)
    assert len({SPACE.network_form(arch) for arch in (once, twice, two)}) == 3


def test_canonical_is_readable():
    arch = SPACE.parse("|nor_conv_3x3~0|+|skip_connect~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|")
    assert SPACE.canonical(arch) == "avg_pool_3x3(nor_conv_3x3(x) + x) + nor_conv_3x3(x)"


# ---------------------------------------------------------------- facts


def test_facts_of_a_cell():
    assert SPACE.facts(SPACE.parse(INDEX_284)) == {
        "params": 101306,
        "flops": 11_715_210,
        "connected": True,
        "parameter_free": 5 / 6,
        "unique": "#+#+(0)@nor_conv_1x1",
        "canonical": "nor_conv_1x1(x)",
    }


def test_describing_a_cell_loads_neither_torch_nor_matplotlib():
    code = f"""
import sys
from benchbed.report.draw import text_drawing
from benchbed.spaces.nb201.space import NB201
space = NB201()
arch = space.parse({INDEX_0!r})
print(space.facts(arch)["params"], len(space.describe_choices(arch)), len(text_drawing(space, arch)) > 100)
print(sorted({{"torch", "matplotlib", "pandas", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["129306 6 True", "[]"], done.stderr
