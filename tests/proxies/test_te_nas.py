"""te-nas against what it is by hand, one backward pass an image, and numpy on the sign matrix."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from benchbed.proxies.te_nas import Options as TeOptions
from benchbed.proxies.te_nas import TeNas, condition, regions, sized
from benchbed.proxy import Case
from benchbed.testing.proxy_suite import architectures, case

from .toy_cases import Flat, case_of, noise


def test_the_kernel_of_a_linear_network_is_that_of_its_images() -> None:
    """d (sum of the logits of W x) / dW is 1 x': G G' is as many times X X' as there are classes."""
    images = noise(6, side=3)
    rows = images.flatten(1).double().numpy()
    expected = np.linalg.cond(rows @ rows.T)
    assert condition(Flat(18, 4), images) == pytest.approx(expected, rel=1e-3)
    assert condition(Flat(18, 4), images[[0, 1, 0]]) > 1e6  # one image twice: singular
    assert math.isnan(condition(Flat(18, 4), torch.zeros(3, 2, 3, 3)))


def test_the_kernel_is_by_one_backward_pass_an_image() -> None:
    case = sized(one := architectures_case(), one.shape, 3)
    images, network = case.batch(6).images, case.network()
    rows = []
    for i in range(6):
        network.zero_grad()
        network(images)[i].sum().backward()
        named = [w for name, w in network.named_parameters() if "weight" in name]
        rows.append(
            np.concatenate([(torch.zeros_like(w) if w.grad is None else w.grad).numpy().ravel() for w in named])
        )
    g = np.stack(rows).astype(np.float64)
    assert condition(case.network(), images) == pytest.approx(np.linalg.cond(g @ g.T), rel=1e-2)


def architectures_case() -> Case:
    return case(architectures()[0])


def test_regions_are_distinct_rows_of_the_sign_matrix() -> None:
    network, images = Flat(18, 7, 5, 3), noise(300, side=3)
    first = images.flatten(1).numpy() @ network.layers[0].weight.detach().numpy().T
    second = np.maximum(first, 0) @ network.layers[1].weight.detach().numpy().T
    expected = len(np.unique(np.concatenate([first > 0, second > 0], axis=1), axis=0))
    assert regions(network, images) == expected
    assert 1 < expected < 300
    assert regions(Flat(18, 3), images) == 0


def test_crops_are_of_the_training_images_in_turn() -> None:
    of = case_of(partial(Flat, 32, 3), torch.arange(5 * 2 * 6 * 7).reshape(5, 2, 6, 7).float())
    crops, images = TeNas(TeOptions(crops=40))._crops(of), of.batch(5).images
    assert crops.shape == (40, 1, 3, 3)
    for i, crop in enumerate(crops[:, 0]):
        corner = int(crop[0, 0])
        assert corner in images[i % 5].flatten().tolist()
        assert crop.tolist() == [[corner + 7 * y + x for x in range(3)] for y in range(3)]
    assert len({int(crop[0, 0]) for crop in crops[:, 0]}) > 30


def test_te_nas_adds_ranks_that_equal_ones_share() -> None:
    measured = np.array([[-9.0, 50.0], [-3.0, 50.0], [np.nan, 70.0], [-np.inf, 10.0]])
    assert TeNas(TeOptions()).combine(measured).tolist() == [2 + 2, 3 + 2, 1 + 3, 1 + 1]
