"""The files that take longest begin first, so that no worker is left alone with one at the end.

xdist hands out files by their number of tests, most first, and the longest here are a single test each.
"""

import pytest

LONGEST = (
    "simulated_cuda/",
    "test_sessions.py",
    "pipeline/test_run.py",
    "test_kill.py",
    "sweep/test_workers.py",
    "pipeline/test_score_by_table.py",
    "test_python_page.py",
    "test_poison.py",
    "builder/",
    "runtime/",
    "studies/",
    "report/",
)


def rank(item: pytest.Item) -> int:
    return next((i for i, name in enumerate(LONGEST) if f"/tests/{name}" in item.path.as_posix()), len(LONGEST))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):  # with xdist
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=rank)
