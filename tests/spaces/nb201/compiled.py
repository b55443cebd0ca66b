"""Steps of a compiled supernet beside those of the same one as it comes; prints what it finds as JSON.

A script, since the types that tests check at run time are nothing that torch.compile follows.
"""

import json
from contextlib import nullcontext
from functools import partial

import torch

from benchbed.layers.plan import full_plan
from benchbed.objectives.capture import gate_gradients, weight_gradients
from benchbed.spaces.nb201.supernet import NB201Supernet
from benchbed.supernet import compile_steps


def network(compiles):
    torch.manual_seed(0)
    made = NB201Supernet(channels=4, cells=1, classes=4).to(memory_format=torch.channels_last)
    if compiles:
        compile_steps(made)
    return made


def gradients(step, compiles, precision, inputs):
    loss, found = step(network(compiles), precision, full_plan(torch.ones(6, 5, dtype=torch.bool)), inputs)
    return torch.cat([loss.reshape(1), *(gradient.flatten() for gradient in found)]).double()


generator = torch.Generator().manual_seed(1)
images = torch.randn(32, 3, 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)
labels, gates = torch.arange(32) % 4, torch.rand(6, 5, generator=generator).softmax(1)
bf16 = partial(torch.autocast, "cpu", torch.bfloat16, cache_enabled=False)
found = {}
for step in (weight_gradients, gate_gradients):
    exact = gradients(step, False, nullcontext, (images, labels, gates))
    rounded = gradients(step, False, bf16, (images, labels, gates))
    for name, precision in (("float32", nullcontext), ("bfloat16", bf16)):
        ours = gradients(step, True, precision, (images, labels, gates))
        found[f"{step.__name__} {name}"] = float((ours - exact).norm() / exact.norm())
    found[f"{step.__name__} bfloat16, eager"] = float((rounded - exact).norm() / exact.norm())
counters = torch._dynamo.utils.counters
found["graphs"] = counters["stats"]["unique_graphs"]
found["breaks"] = sum(counters["graph_break"].values())
print(json.dumps(found))
