"""A CUDA device without a GPU: tensors that claim to be on `cuda:0` and compute in the machine's own memory.

It raises where a real device would (tensors of two devices, a generator of the CPU, a host sync or a copy of pageable
memory while a graph is captured), and counts what costs time there: launches of kernels, bytes that they read and
write, syncs and copies, each with the line of benchbed that asked for it. It knows no time, no limit of memory and of
streams that run beside each other the copies alone (`streams.py`). `device.cpp` is the part that torch itself asks; see
conftest.py.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from kernels import launches_of
from streams import Streams
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
ROOT = Path(__file__).resolve().parents[2]
HERE = str(Path(__file__).resolve().parent)
aten = torch.ops.aten
# What waits for the device: the size or the value of the result decides what the host does next.
SYNCS = {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class CudaTensor(torch.Tensor):
    """Claims to be on `cuda:0`; `inner` has the values."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "CudaTensor":
        made: CudaTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=CUDA, requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self, **_: object) -> str:
        return f"CudaTensor({self.inner!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A file holds values: torch reads them into the memory that is asked for."""
        return self.inner.__reduce_ex__(protocol)

    def record_stream(self, stream: object) -> None:
        assert Device.now is not None
        Device.now.streams.record(self.inner)

    def numpy(self, *_: object, **__: object) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert Device.now is not None, "a tensor of the simulated device is used outside of it"
        return Device.now.run(func, args, kwargs or {})


class Device(TorchDispatchMode):
    """The device while it is entered. `launches`: by operation; `syncs`, `copies`, `queued`: by what and where.

    `copies` to the device wait until they are done, as torch's do unless they are asked not to block: those are in
    `queued`. Of pageable memory they are then staged before the call returns; those of pinned memory are said to be.
    """

    now: ClassVar["Device | None"] = None

    def __init__(self) -> None:
        super().__init__()
        self.captured: list[Captured] | None = None  # while a graph is captured: what it consists of
        self.streams = Streams()
        self.reset()

    def reset(self) -> None:
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.syncs: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.queued: Counter[str] = Counter()

    def __enter__(self) -> "Device":
        Device.now = self
        super().__enter__()
        return self

    def __exit__(self, *of: Any) -> None:
        super().__exit__(*of)
        Device.now = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        flat = tree_flatten((args, kwargs))[0]
        mine = [t for t in flat if isinstance(t, CudaTensor)]
        asked = kwargs.get("device")
        to = None if asked is None else torch.device(asked).type
        if not mine and to != "cuda":
            if kwargs.get("pin_memory"):
                return self.streams.pin(func(*args, **{**kwargs, "pin_memory": False}))
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        queued = bool(kwargs.get("non_blocking", name == "copy_" and len(args) > 2 and args[2]))
        self._check(func, name, flat, to, args, queued)
        known: dict[int, CudaTensor] = {}

        def inner(t: CudaTensor) -> torch.Tensor:
            known[id(t.inner)] = t
            return t.inner

        plain, named = tree_map_only(CudaTensor, inner, (args, kwargs))
        named = {key: CPU if key == "device" else value for key, value in named.items() if key != "pin_memory"}
        if self.captured is not None:
            self._keep(func, plain, named)
        out = func(*plain, **named)
        home = name == "_local_scalar_dense" or to == "cpu" or (name == "copy_" and not isinstance(args[0], CudaTensor))
        if home:
            return args[0] if name == "copy_" else out
        if queued and self.streams.is_pinned(source := plain[1 if name == "copy_" else 0]):
            self.streams.queue(out, source)
        self._count(name, plain, named, out)
        made: list[torch.Tensor] = []

        def wrapped(t: torch.Tensor) -> CudaTensor:
            if id(t) in known:
                return known[id(t)]
            made.append(t)
            return CudaTensor(t)

        result = tree_map_only(torch.Tensor, wrapped, out)
        if self.captured is not None:
            self.captured.append(Captured(func, plain, named, out, made))
        return result

    # -- what a real device refuses, and what waits ---------------------------------------------------------------

    def _check(self, func: Any, name: str, flat: Sequence[Any], to: str | None, args: Any, queued: bool) -> None:
        others = [t for t in flat if isinstance(t, torch.Tensor) and not isinstance(t, CudaTensor)]
        if any(isinstance(g, torch.Generator) for g in flat):
            raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' in {func} at {where()}")
        if name == "_to_copy":
            if to == "cpu":
                self._sync("a copy to the host")
            elif others:
                self._copy(self._source(others), queued)
        elif name == "copy_":
            if not isinstance(args[0], CudaTensor):
                self._sync("a copy to the host")
            elif others:
                self._copy(self._source(others), queued)
        elif name in SYNCS:
            self._sync(name)
        elif name in INDEXED:
            self._index(args[1])
        elif any(t.ndim > 0 for t in others) or (others and name in ("cat", "stack")):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two, cuda:0 and cpu, in {func} "
                f"at {where()}"
            )
        elif name in ("scalar_tensor", "lift_fresh") and to == "cuda":
            self._copy("a number")

    def _index(self, indices: Sequence[torch.Tensor | None]) -> None:
        for index in indices:
            if index is not None and not isinstance(index, CudaTensor):
                self._copy("an index")
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                self._sync("an index by a mask")

    def _sync(self, what: str) -> None:
        if self.captured is not None:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing: {what} at {where()}")
        self.syncs[f"{what} at {where()}"] += 1

    def _copy(self, what: str, queued: bool = False) -> None:
        if self.captured is not None:
            raise RuntimeError(f"a copy of pageable memory while a graph is captured: {what} at {where()}")
        (self.queued if queued else self.copies)[f"{what} at {where()}"] += 1

    def _source(self, others: Sequence[torch.Tensor]) -> str:
        return f"a copy of {'pinned' if self.streams.is_pinned(others[0]) else 'pageable'} memory to the device"

    # -- what it costs ---------------------------------------------------------------------------------------------

    def _count(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        launched = launches_of(name, args, out)
        if not launched:
            return
        self.launches[name] += launched
        held = {id(t): t for t in tree_flatten((args, kwargs, out))[0] if isinstance(t, torch.Tensor)}
        self.bytes[name] += sum(t.numel() * t.element_size() for t in held.values())

    # -- graphs ----------------------------------------------------------------------------------------------------

    def _keep(self, func: Any, args: Any, kwargs: Any) -> None:
        """Nothing runs on a real device while a graph is captured: what an operation changes is put back afterwards."""
        assert self.captured is not None
        values = [*args, *kwargs.values()]
        for argument, value in zip(func._schema.arguments, values, strict=False):
            statistics = argument.name in ("running_mean", "running_var")  # written, which their schema does not say
            if statistics or (argument.alias_info is not None and argument.alias_info.is_write):
                for t in tree_flatten(value)[0]:
                    if isinstance(t, torch.Tensor):
                        self.before.setdefault(t.untyped_storage().data_ptr(), (t, t.clone()))

    def begin_capture(self) -> None:
        self.captured = []
        self.before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def end_capture(self) -> "list[Captured]":
        """What was captured. Outputs are NaN until the first replay, and what was there before is as it was."""
        found = self.captured
        assert found is not None
        self.captured = None
        for operation in found:
            operation.spoil()
        for t, value in self.before.values():
            t.copy_(value)
        return found


class Captured:
    """One operation of a graph: the same memory at each replay."""

    def __init__(self, func: Any, args: Any, kwargs: Any, out: Any, made: list[torch.Tensor]):
        self.func, self.args, self.kwargs, self.out, self.made = func, args, kwargs, out, made

    def replay(self) -> None:
        again = self.func(*self.args, **self.kwargs)
        for kept, new in zip(tree_flatten(self.out)[0], tree_flatten(again)[0], strict=True):
            if isinstance(kept, torch.Tensor) and kept is not new and not self._aliases(kept):
                kept.copy_(new)

    def spoil(self) -> None:
        for t in self.made:
            if t.is_floating_point() and not self._aliases(t):
                t.fill_(float("nan"))

    def _aliases(self, t: torch.Tensor) -> bool:
        place = t.untyped_storage().data_ptr()
        flat = tree_flatten((self.args, self.kwargs))[0]
        return any(isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() == place for x in flat)


def where() -> str:
    """The two innermost lines of benchbed's that are running, or that it is a backward pass."""
    found: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < 2:
        file = frame.f_code.co_filename
        if file.startswith(str(ROOT)) and not file.startswith(HERE) and "/site-packages/" not in file:
            found.append(f"{Path(file).relative_to(ROOT)}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return ", from ".join(found) or "a backward pass"


def each(counter: Counter[str]) -> Iterator[str]:
    """Lines of a counter, the greatest first."""
    return (f"{count:6} {name}" for name, count in counter.most_common())
