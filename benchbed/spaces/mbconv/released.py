"""The networks that the authors of ProxylessNAS released: their widths and their operations.

From the configurations of the authors' repository (mit-han-lab/proxylessnas); Cai, Zhu and Han, ICLR 2019, figure 4.
All are of 224x224 images, with stages of 4, 4, 4, 4, 4 and 1 blocks and strides 2, 2, 2, 1, 2 and 1. Their stage
widths are not the search space's: 32 or more in the first stage where it has 24.
"""

from typing import NamedTuple


class Released(NamedTuple):
    """Channels of stem, first block, stages and head, and the searched blocks as an architecture's string."""

    stem: int
    first: int
    stages: tuple[int, ...]
    head: int
    text: str


_MOBILE = "k5e3-k3e3-zero-zero-k7e3-k3e3-k5e3-k5e3-k7e6-k5e3-k5e3-k5e3-k5e6-k5e3-k5e3-k5e3-k7e6-k7e6-k7e3-k7e3-k7e6"
_GPU = "k5e3-zero-zero-zero-k7e3-zero-zero-k3e3-k7e6-zero-zero-k5e3-k5e6-zero-k3e3-k5e3-k7e6-k7e6-k7e6-k5e6-k7e6"
_CPU = "k3e6-k3e3-k3e3-k3e3-k3e6-k3e3-k3e3-k5e3-k3e6-zero-zero-k3e3-k5e6-k3e3-k3e3-k3e3-k5e6-k5e3-k5e3-k3e3-k5e6"

RELEASED = {
    "proxyless-gpu": Released(40, 24, (32, 56, 112, 128, 256, 432), 1728, _GPU),
    "proxyless-cpu": Released(40, 24, (32, 48, 88, 104, 216, 360), 1432, _CPU),
    "proxyless-mobile": Released(32, 16, (32, 40, 80, 96, 192, 320), 1280, _MOBILE),
    "proxyless-mobile-14": Released(48, 24, (40, 56, 112, 136, 256, 448), 1792, _MOBILE),
}
