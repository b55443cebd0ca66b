"""`torch.cuda` of the simulated device: streams, and graphs that are captured and replayed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from device import Captured, CudaTensor, Device
from streams import Event, Stream, Streams, within

NAME = "Simulated CUDA device"


class Graph:
    """`torch.cuda.CUDAGraph`: `replays` counts."""

    def __init__(self) -> None:
        self.operations: list[Captured] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for operation in self.operations:
                operation.replay()


@contextmanager
def capture(graph: Graph, **_: object) -> Iterator[None]:
    assert Device.now is not None
    Device.now.begin_capture()
    try:
        yield
    finally:
        graph.operations = Device.now.end_capture()


def streams() -> Streams:
    assert Device.now is not None
    return Device.now.streams


def stream(of: Stream) -> AbstractContextManager[None]:
    return within(streams(), of)


def synchronize(*_: object) -> None:
    for copy in streams().copies:
        copy.end()


def install() -> None:
    """Has torch believe in the device, in this process, for good."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.inference_mode = torch.no_grad  # type: ignore[misc,assignment]
    answers: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: NAME,
        "synchronize": synchronize,
        "max_memory_allocated": lambda *_: 0,
        "reset_peak_memory_stats": lambda *_: None,
        "set_device": lambda *_: None,
        "manual_seed_all": lambda _: None,
        "Stream": Stream,
        "Event": Event,
        "current_stream": lambda *_: streams().current,
        "stream": stream,
        "CUDAGraph": Graph,
        "graph": capture,
        "is_current_stream_capturing": lambda: Device.now is not None and Device.now.captured is not None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    torch.amp.autocast_mode.is_available = lambda *_: True  # type: ignore[attr-defined]
    from torch.optim import optimizer
    from torch.utils import _foreach_utils

    for module in (_foreach_utils, optimizer):
        supported = getattr(module, "_foreach_supported_types", None)
        if supported is not None and CudaTensor not in supported:
            supported.append(CudaTensor)
    plain = torch.tensor

    def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: object) -> Any:
        """As torch's, which makes the device's memory without asking a dispatch mode."""
        made = plain(data, dtype=dtype, requires_grad=requires_grad)
        return made if device is None or torch.device(device).type != "cuda" else made.to(device)

    torch.tensor = tensor  # type: ignore[assignment]
