"""What a result was made with: versions, commit, machine, memory."""

import ctypes
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import BenchbedError

if os.name == "nt":
    raise BenchbedError(
        "runs need Linux or macOS (on Windows: its Linux subsystem); what only looks things up in tables works here"
    )

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACES = (":4096:8", ":16:8")  # with which cuBLAS repeats: its documentation, "Results reproducibility"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt's names, of glibc's malloc.h
LARGEST_KEPT = 32 * 2**20  # bytes: the most that glibc takes for M_MMAP_THRESHOLD on 64 bits


def versions() -> dict[str, str]:
    """Versions of what a figure depends on, as they are loaded now."""
    libraries = ("torch", "numpy", "scipy", "scikit-learn", "pydantic", "pillow")
    own = {"benchbed": __version__, "python": platform.python_version()}
    return own | {name: _version(name) for name in libraries}


@cache  # milliseconds a name, in each of a study's thousands of records
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


@cache
def loaded_commit() -> str | None:
    """`commit` when this process first asked: its code stays that of its beginning, wherever the checkout moves."""
    return commit()


def commit() -> str | None:
    """The checkout's commit, with '+' where files are changed; None where benchbed runs from no checkout."""
    root = Path(__file__).resolve().parents[2]
    return _head(root) if (root / "pyproject.toml").is_file() else None


def commit_of(root: Path) -> str | None:
    """Likewise of any checkout whose root is `root`; None for a folder that is none, or lies within another one."""
    top = _git(root, "rev-parse", "--show-toplevel")
    return _head(root) if top is not None and Path(top).resolve() == root.resolve() else None


def _head(root: Path) -> str | None:
    head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    return None if head is None or changed is None else head + ("+" if changed else "")


def _git(root: Path, *words: str) -> str | None:
    """What git says of the folder; None where it fails, or is not there."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(device: torch.device) -> dict[str, Any]:
    """Processor and its instruction set, cores, threads, system, and the accelerator if one is used."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def made_with(device: torch.device) -> dict[str, Any]:
    """What every record names: versions, commit and machine."""
    return {"versions": versions(), "commit": loaded_commit(), "machine": machine(device)}


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> int:
    """Bytes: the accelerator's peak allocation since `reset_peak`, else the process's peak resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        raise AssertionError("this module is refused there")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak(device: torch.device) -> None:
    """From here on an accelerator's `peak_memory` is a stage's own. A process's resident set has one peak for good."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


@cache
def keep_freed_memory() -> None:
    """Has glibc keep what is freed for the next allocation, where glibc is what allocates; elsewhere does nothing.

    By default each activation of a large batch is mapped anew and given back: hundreds of thousands of page faults a
    look at validation (benchmarks/look). What is kept is at most what was in use at once.
    """
    with suppress(OSError, AttributeError):  # another C library has no mallopt, or no libc.so.6
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """With so many threads of torch, afterwards as many as before; None: as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic(on: bool = True) -> Iterator[None]:
    """Torch takes algorithms that give the same bits each time, on a GPU too; its settings are put back on leaving.

    cuBLAS reads CUBLAS_WORKSPACE_CONFIG when CUDA starts. It is set here where it is not set otherwise, and stays where
    CUDA has started meanwhile. Raises BenchbedError where CUDA has started with a setting that does not repeat, and for
    an operation that has no such algorithm.
    """
    if not on:
        yield
        return
    before = os.environ.get(CUBLAS)
    if before not in WORKSPACES:
        if torch.cuda.is_initialized():
            raise BenchbedError(f"deterministic: CUDA has started in this process with {CUBLAS}={before or ''}: "
                                f"set it to {' or '.join(WORKSPACES)} before")  # fmt: skip
        os.environ[CUBLAS] = WORKSPACES[0]
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    mode = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    except RuntimeError as error:
        if (what := " does not have a deterministic implementation") not in str(error):
            raise
        raise BenchbedError(f"deterministic: {str(error).partition(what)[0]}{what}; leave the option out") from None
    finally:
        torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])
        cudnn.deterministic, cudnn.benchmark = flags
        if not torch.cuda.is_initialized():
            os.environ.pop(CUBLAS, None)
            os.environ.update({} if before is None else {CUBLAS: before})


def now(device: torch.device) -> float:
    """Seconds of a clock, once all that was queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def pick_device(name: str) -> torch.device:
    """'auto' is the accelerator where there is one. Raises BenchbedError for a device that is not here.

    float32 then means float32 everywhere: TF32 is off, since finite differences drown in its rounding. For speed
    there is bfloat16.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    keep_freed_memory()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # 'meta' holds no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BenchbedError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}") from None
    return device
