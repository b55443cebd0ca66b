"""The peers' networks of `benchmarks/supernet_step`, from clones in the folder that BENCHBED_ORIGINALS names."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchbed.errors import BenchbedError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "supernet_step"
# Folder of the clone, and its network's weights at C=16, N=5 and ten classes. darts-pt's are the published count.
PEERS = {
    "autodl": ("AutoDL-Projects", 1_692_826),
    "darts-pt": ("darts-pt", 1_686_106),
    "confopt": ("ConfigurableOptimizer", 1_738_636),
}


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    import peers

    yield peers
    for name in set(sys.modules) - before:  # three codes, of which each imports what it calls its own
        if name.split(".")[0] in ("peers", "xautodl", "nasbench201", "confopt"):
            del sys.modules[name]


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore")  # of other people's code
def test_its_own_steps_move_its_weights_and_its_alphas(peers: ModuleType, name: str) -> None:
    folder, weights = PEERS[name]
    clone = Path(os.environ.get("BENCHBED_ORIGINALS", "nowhere")) / folder
    if not clone.is_dir():
        pytest.skip("BENCHBED_ORIGINALS names no folder with clones of the peers' repositories")
    assert peers.count(peers.PEERS[name](clone, 16, 5).weights) == weights
    peer = peers.PEERS[name](clone, 2, 1)
    batch = (torch.randn(4, 3, 8, 8), torch.randint(10, (4,)), torch.zeros(6, 5))
    arm = peers.PeerArm(peer, "channels-last", batch)
    for step, moved, kept in (("weight_step", peer.weights, peer.alphas), ("gate_step", peer.alphas, peer.weights)):
        before = [[t.detach().clone() for t in tensors] for tensors in (moved, kept)]
        getattr(arm, step)()
        assert not all(torch.equal(a, b) for a, b in zip(before[0], moved, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(before[1], kept, strict=True))


def test_a_folder_that_is_no_clone_is_named(peers: ModuleType, tmp_path: Path) -> None:
    for name in PEERS:
        line = f"--{name} {tmp_path}: expected a clone of github.com/{peers.CODES[name]} that can be imported (No "
        with pytest.raises(BenchbedError, match=re.escape(line)):
            peers.loaded(name, tmp_path, 2, 1)
