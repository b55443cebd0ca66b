"""The simulated device itself: values, refusals, counts, capture."""

import pytest
import torch
from device import CudaTensor, Device
from torch.nn import functional as F


def test_it_computes_what_the_cpu_computes_forwards_and_backwards() -> None:
    x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    found = []
    for where in ("cpu", "cuda"):
        a, b = (t.to(where).requires_grad_() for t in (x, w))
        y = F.batch_norm(F.relu(F.conv2d(a, b, padding=1)), None, None, None, None, training=True).square().mean()
        found.append([t.cpu() for t in (y, *torch.autograd.grad(y, [a, b]))])
    for on_cpu, on_cuda in zip(*found, strict=True):
        assert torch.equal(on_cpu, on_cuda)


def test_tensors_of_two_devices_are_refused() -> None:
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        torch.ones(3).cuda() + torch.ones(3)


def test_a_generator_of_the_cpu_is_refused() -> None:
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        torch.randn(3, device="cuda", generator=torch.Generator())


def test_no_array_is_made_of_it() -> None:
    with pytest.raises(TypeError, match="numpy"):
        torch.ones(3).cuda().numpy()


def test_launches_syncs_and_copies_are_counted(device: Device) -> None:
    x = torch.ones(3).cuda()
    assert isinstance(x, CudaTensor)
    assert sum(device.copies.values()) == 1
    y = (x * 2 + 1).view(3, 1).t()
    assert device.launches == {"_to_copy": 1, "mul": 1, "add": 1}
    assert device.bytes["mul"] == 2 * 3 * 4
    assert float(y.sum()) == 9
    assert sum(device.syncs.values()) == 1


def test_lists_of_tensors_take_as_many_launches_as_they_need(device: Device) -> None:
    weights = [torch.ones(2, device="cuda") for _ in range(150)]
    device.reset()
    torch._foreach_mul_(weights, 2.0)
    assert device.launches == {"_foreach_mul_": 2}  # 110 a launch
    device.reset()
    torch._foreach_add_(weights, weights)
    assert device.launches == {"_foreach_add_": 3}  # 64 a launch


def test_a_graph_computes_at_its_replay_alone_and_from_what_stands_in_its_buffers() -> None:
    x, total = torch.full((3,), 2.0).cuda(), torch.zeros(3).cuda()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 3
        total.add_(y)
    assert y.isnan().all()
    assert total.cpu().tolist() == [0, 0, 0]
    graph.replay()
    assert y.cpu().tolist() == [6, 6, 6]
    x.copy_(torch.ones(3))
    graph.replay()
    assert y.cpu().tolist() == [3, 3, 3]
    assert total.cpu().tolist() == [9, 9, 9]


@pytest.mark.parametrize("hidden", [lambda x: float(x.sum()), lambda x: x[x > 0], lambda x: x.cpu()])
def test_a_sync_in_a_capture_is_refused(hidden) -> None:
    x = torch.ones(3).cuda()
    with (
        pytest.raises(RuntimeError, match="not permitted when stream is capturing"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        hidden(x)


def test_a_copy_of_pageable_memory_in_a_capture_is_refused() -> None:
    x = torch.ones(3).cuda()
    with pytest.raises(RuntimeError, match="pageable memory"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        x + torch.ones(3).to("cuda")


def test_bfloat16_is_cast_as_on_a_cuda_device() -> None:
    x, w = torch.randn(2, 3, 8, 8).cuda(), torch.randn(4, 3, 3, 3).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        y = F.conv2d(x, w)
        assert y.dtype == torch.bfloat16
        assert y.float().log_softmax(1).dtype == torch.float32
