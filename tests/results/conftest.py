"""The scripts of results/ as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

RESULTS = Path(__file__).resolve().parents[2] / "results"


def script(name: str) -> ModuleType:
    """results/NAME.py, imported; what lies beside it can be imported by it."""
    file = RESULTS / f"{name}.py"
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(f"results_{name.replace('/', '_')}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
