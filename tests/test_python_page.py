"""docs/python.md: its blocks run as they stand, and name no option that there is not."""

import re
from pathlib import Path

import pytest

from benchbed import registry

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "python.md").read_text()


def test_the_blocks_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_USER_CLASSES", {})
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    found: dict[str, object] = {"__name__": "page", "__file__": str(script)}
    module = type(pytest)("page")  # so that the source of its class can be read
    module.__file__ = str(script)
    monkeypatch.setitem(__import__("sys").modules, "page", module)
    exec(compile(script.read_text(), str(script), "exec"), found)
    pyplot.close("all")
    assert len(found["results"]) == 12  # type: ignore[arg-type]
    assert len(found["again"]) == 12  # type: ignore[arg-type]
    assert len(found["grid"]) == 2  # type: ignore[arg-type]
    assert len(found["more"]) == 6  # type: ignore[arg-type]
