"""What the lent machine is: its GPU, and whether each need of benchbed is there in a version that will do.

    python3 benchmarks/first_gpu/arrival.py [--out FILE.json]

Ends with status 1 where a need is not met, or where torch sees no CUDA device.
"""

import json
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from parcel import MACHINE

ROOT = Path(__file__).resolve().parents[2]


def parted(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


def unmet(root: Path = ROOT) -> list[str]:
    """Each need of pyproject.toml that is missing here, or older than it has to be. (`packaging` may not be here.)"""
    found = []
    for text in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, _, least = text.partition(">=")
        try:
            here = version(name.strip())
        except PackageNotFoundError:
            found.append(f"{text}: missing")
            continue
        if least and parted(here) < parted(least):
            found.append(f"{text}: {here} is here")
    return found


def gpu() -> dict[str, object]:
    """Of the first CUDA device; empty where torch sees none."""
    import torch

    if not torch.cuda.is_available():
        return {}
    asked: dict[str, Callable[[], object]] = {
        "name": lambda: torch.cuda.get_device_name(0),
        "cuda": lambda: torch.version.cuda,
        "cudnn": torch.backends.cudnn.version,
        "bf16": torch.cuda.is_bf16_supported,
        "capability": lambda: torch.cuda.get_device_capability(0),
        "properties": lambda: str(torch.cuda.get_device_properties(0)),
    }
    said: dict[str, object] = {}
    for name, question in asked.items():
        try:
            said[name] = question()
        except Exception as error:  # of a device that is simulated: the other answers count all the same
            said[name] = f"{type(error).__name__}: {str(error)[:80]}"
    return said


def smi() -> str:
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.mem,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer: {error}"


def main() -> int:
    names = ["torch", "triton", "numpy", "scipy", "pandas", "pillow", "filelock", "typing-extensions", "pydantic"]
    versions = {}
    for name in (*names, *MACHINE["versions"]):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    expected = {name: f"{want}, here {versions[name]}" for name, want in MACHINE["versions"].items()
                if versions[name].partition("+")[0] != want}  # fmt: skip
    found = {"python": platform.python_version(), "system": platform.platform(), "nvidia_smi": smi(), "gpu": gpu(),
             "versions": versions, "other_than_expected": expected, "unmet": unmet()}  # fmt: skip
    text = json.dumps(found, indent=1)
    print(text)
    if "--out" in sys.argv:
        Path(sys.argv[sys.argv.index("--out") + 1]).write_text(text + "\n")
    wrong = [*found["unmet"], *([] if found["gpu"] else ["torch sees no CUDA device"])]
    print("; ".join(wrong) if wrong else f"all needs are met on {found['gpu']['name']}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
