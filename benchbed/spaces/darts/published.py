"""Published DARTS cells by the names that their authors gave them.

DARTS_V1 and DARTS_V2: first and second order search on CIFAR-10 (Liu et al., ICLR 2019; quark0/darts f276dd3). The
others: perturbation-based selection on DARTS' seven operations (s5) and on S1 to S4 (Wang et al., ICLR 2021;
ruocwang/darts-pt a5393d5), searched on CIFAR-10; `blank` with fixed alpha. Each word is an input, its operation and its
source; two words a node, nodes 2 to 5; the normal cell, then the reduction cell.
"""

from .genotype import GROUPS, INPUTS, Pairs, write_genotype

WORDS = {
    "max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect", "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5", "dil3": "dil_conv_3x3", "dil5": "dil_conv_5x5",
}  # fmt: skip
CELLS = {
    "DARTS_V1": (
        "sep3:1 sep3:0 skip:0 sep3:1 skip:0 sep3:1 sep3:0 skip:2",
        "max:0 max:1 skip:2 max:0 max:0 skip:2 skip:2 avg:0",
    ),
    "DARTS_V2": (
        "sep3:0 sep3:1 sep3:0 sep3:1 sep3:1 skip:0 skip:0 dil3:2",
        "max:0 max:1 skip:2 max:1 max:0 skip:2 skip:2 max:1",
    ),
    "darts_pt_s5_0": (
        "sep3:0 sep3:1 sep5:0 dil3:1 skip:0 skip:2 skip:0 max:4",
        "sep3:0 avg:1 dil5:1 dil3:2 avg:0 max:2 sep3:2 skip:4",
    ),
    "darts_pt_s5_1": (
        "sep3:0 sep3:1 sep3:0 dil3:1 max:0 skip:2 skip:0 dil3:4",
        "dil5:0 avg:1 max:0 sep5:2 max:1 dil3:3 sep5:0 sep3:4",
    ),
    "darts_pt_s5_2": (
        "skip:0 sep3:1 sep3:0 dil3:1 skip:2 dil3:3 max:1 skip:2",
        "avg:0 max:1 avg:0 sep3:1 dil5:2 skip:3 sep3:2 sep5:4",
    ),
    "darts_pt_s5_3": (
        "sep3:0 sep3:1 sep3:0 sep3:1 skip:0 skip:2 sep3:1 skip:3",
        "avg:0 sep5:1 max:1 skip:2 dil5:1 max:3 sep5:2 skip:3",
    ),
    "blank_pt_s5_0": (
        "sep3:0 sep5:1 sep3:0 sep3:1 avg:1 skip:3 max:0 avg:2",
        "skip:0 sep5:1 dil3:1 sep5:2 max:0 skip:3 max:0 max:2",
    ),
    "blank_pt_s5_1": (
        "avg:0 avg:1 sep3:0 max:2 skip:2 sep3:3 sep5:0 sep5:1",
        "max:0 dil5:1 sep3:0 skip:1 avg:2 max:3 sep5:3 sep5:4",
    ),
    "darts_pt_s1_1": (
        "skip:0 skip:1 skip:0 skip:1 skip:0 skip:1 dil3:3 dil5:4",
        "max:0 dil3:1 max:0 max:1 sep3:1 skip:3 skip:2 dil5:3",
    ),
    "darts_pt_s2_1": (
        "skip:0 skip:1 sep3:0 skip:2 sep3:1 skip:3 sep3:1 sep3:4",
        "sep3:0 sep3:1 sep3:0 skip:2 sep3:0 skip:2 sep3:1 skip:4",
    ),
    "darts_pt_s3_1": (
        "sep3:0 sep3:1 sep3:0 skip:1 skip:0 skip:2 sep3:0 sep3:1",
        "sep3:0 skip:1 sep3:0 skip:2 sep3:0 skip:3 skip:3 sep3:4",
    ),
    "darts_pt_s4_1": (
        "sep3:0 sep3:1 sep3:0 sep3:1 sep3:0 sep3:1 sep3:1 sep3:2",
        "sep3:0 sep3:1 sep3:0 sep3:2 sep3:0 sep3:3 sep3:0 sep3:1",
    ),
}


def published(name: str) -> str:
    """The genotype of a name in `CELLS`."""
    return write_genotype({group: _pairs(text) for group, text in zip(GROUPS, CELLS[name], strict=True)})


def _pairs(text: str) -> Pairs:
    pairs: Pairs = []
    for word in text.split():
        operation, _, source = word.partition(":")
        pairs.append((WORDS[operation], int(source)))
    if len(pairs) != 4 * INPUTS:
        raise ValueError(f"{len(pairs)} inputs in '{text}'")
    return pairs
