"""What was compared, how far apart it is and why: kept while the tests run, then a page and its JSON."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from .clones import commit

PAGE = "BENCHBED_ORIGINALS_PAGE"
CLOSE = 1e-8  # of the largest entry of theirs: far above float64's rounding, far below any other gradient
OWNERS = {
    "AutoDL-Projects": "D-X-Y", "Beta-DARTS": "Sunshine-Ye", "ConfigurableOptimizer": "automl",
    "DrNAS": "xiangning-chen", "FairDARTS": "xiaomi-automl", "Lambda-DARTS": "dr-faustus", "PC-DARTS": "yuhuixu1993",
    "SNAS-Series": "SNAS-Series", "darts": "quark0", "darts-pt": "ruocwang", "oles": "PasaLab",
    "proxylessnas": "mit-han-lab", "reinmax": "microsoft",
}  # fmt: skip


class Ledger:
    """Rows of the page, in the order in which they were compared."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failed, self.skipped, self.partial = 0, list[str](), False

    def equal(
        self, method: str, what: str, clone: str, theirs: Tensor, ours: Tensor, why: str = "", close: float = CLOSE
    ) -> None:
        """Both are equal but for rounding: no entry differs by more than `close` times the largest of theirs."""
        assert theirs.shape == ours.shape
        theirs, ours = theirs.detach().double(), ours.detach().double()
        largest, difference = float(theirs.abs().max()), float((theirs - ours).abs().max())
        assert largest > 0, f"{method}: {what} of {clone} is all zero, which compares nothing"
        assert difference <= close * largest, f"{method}: {what} differs by {difference:.3g}, of {largest:.3g}"
        self._add(method, what, clone, difference, largest, "equal", why)

    def differs(self, method: str, what: str, clone: str, theirs: Tensor, ours: Tensor, why: str) -> None:
        """Both differ by far more than rounding, and why."""
        theirs, ours = theirs.detach().double(), ours.detach().double()
        largest, difference = float(theirs.abs().max()), float((theirs - ours).abs().max())
        assert difference > 1e-3 * largest, f"{method}: {what} differs by {difference:.3g} only, of {largest:.3g}"
        self._add(method, what, clone, difference, largest, "differs", why)

    def _add(
        self, method: str, what: str, clone: str, difference: float, largest: float, outcome: str, why: str
    ) -> None:
        row = {"method": method, "what": what, "repository": f"{OWNERS[clone]}/{clone}", "commit": commit(clone)}
        self.rows.append({**row, "outcome": outcome, "difference": difference, "largest": largest, "why": why})

    def note(self, report: pytest.TestReport) -> None:
        if "tests/originals/" not in report.nodeid:
            return
        self.failed += report.failed
        if report.skipped:
            self.skipped.append(report.nodeid.rpartition("::")[2])

    def write(self) -> None:
        """The page and its JSON into the folder that BENCHBED_ORIGINALS_PAGE names, of a whole run without failures."""
        folder = os.environ.get(PAGE)
        if not folder or not self.rows:
            return
        if self.failed or self.partial or "PYTEST_XDIST_WORKER" in os.environ:
            print(f"\n{folder} is left as it was: it is written where all tests of tests/originals ran and none failed")
            return
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        versions = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
        kept = {**versions, "skipped": self.skipped, "rows": self.rows}
        (place / "comparisons.json").write_text(json.dumps(kept, indent=1) + "\n")
        (place / "originals.md").write_text(page(kept))


# What the page says of code that is not there, or is another than the reader would expect.
APART = """\
- SNAS: the authors' network asks for many GPUs and is not built; their gates are compared, and the whole gradient with
  the codes of DrNAS and confopt.
- ReinMax: the repository, microsoft/reinmax, could not be had here; a `release` in the column of commits is its package
  from PyPI, unpacked into FOLDER/reinmax. It does not refuse temperatures below 1 as the repository does.
- GDAS' DARTS cell (`gradient=sampled`): AutoDL-Projects has it for another set of operations, and it is not compared.
- Alpha's gradient alone, not a whole search: how batches are drawn and augmented, and schedules, are not compared.
"""


def page(kept: dict[str, Any]) -> str:
    return "\n".join(_lines(kept)).rstrip() + "\n"


def _lines(kept: dict[str, Any]) -> list[str]:
    found = [
        "# Against the authors' code",
        "",
        "Our searchers and selectors beside the code that their authors published, run from clones of it, on equal",
        "weights, equal batches and equal draws, in float64. Gradients are those of alpha after one architecture step,",
        "unless said otherwise. *Difference* is the largest of any entry, *of* the largest entry of theirs.",
        "",
        "    BENCHBED_ORIGINALS=FOLDER BENCHBED_ORIGINALS_PAGE=results/originals pytest tests/originals",
        "",
        "FOLDER holds the clones, named as on GitHub; the command writes this page and",
        "[comparisons.json](comparisons.json). What is put beside the authors' code so that it runs on a CPU and on",
        "this torch is listed in [conftest.py](../../tests/originals/conftest.py). Nothing of it is copied.",
        "",
        f"torch {kept['torch']}, Python {kept['python']}, {kept['machine']}.",
    ]
    for outcome, title, last in (("equal", "Equal", "note"), ("differs", "Different, and why", "why")):
        rows = [row for row in kept["rows"] if row["outcome"] == outcome]
        found += ["", f"## {title}", "", f"| method | what | code | commit | difference | of | {last} |"]
        found += ["|---|---|---|---|---|---|---|", *map(_row, sorted(rows, key=lambda row: row["method"]))]
    if kept["skipped"]:
        found += ["", "## Not run", "", *(f"- `{name}`: its clone was not there." for name in kept["skipped"])]
    return [*found, "", "## Not compared", "", APART]


def _row(row: dict[str, Any]) -> str:
    figures = f"{row['difference']:.1e} | {row['largest']:.1e}"
    return f"| {row['method']} | {row['what']} | {row['repository']} | {row['commit']} | {figures} | {row['why']} |"
