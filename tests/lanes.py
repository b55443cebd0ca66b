"""Which tests wait for a release, and which begin first.

`release` is what a change to one file rarely breaks and what takes long to show: processes that are killed, browsers,
the simulated GPU, every pairing end to end, notebooks, the pictures of the terminal. `.ci/run` runs them beside the
others. The files that take longest begin first, so that no worker is left alone with one at the end: xdist hands out
files by their number of tests, most first, and the longest here are a single test each.
"""

import pytest

RELEASE = (
    "attacks/",
    "benchmarks/",
    "builder/test_build.py",
    "builder/test_quality.py",
    "crash/",
    "dropin/test_parity.py",
    "pipeline/test_dry.py",
    "pipeline/test_kept.py",
    "pipeline/test_run.py",
    "pipeline/test_score_by_table.py::test_every_pairing",
    "pipeline/test_scored_by_surrogate.py",
    "report/test_bad_among_good.py",
    "report/test_browse_page.py",
    "report/test_forgeries.py",
    "report/test_page.py",
    "report/test_page_seen.py",
    "report/test_verify.py",
    "results/test_headline.py",
    "runtime/test_lease.py",
    "runtime/test_listed_once.py",
    "runtime/test_parallel.py",
    "runtime/test_pool.py",
    "runtime/test_progress.py",
    "runtime/test_typed_command.py",
    "searchers/test_drnas.py::test_the_mean_of_the_draws",
    "searchers/test_drnas.py::test_the_gradient_is",
    "searchers/test_every_space.py",
    "selectors/test_decided_searches.py",
    "simulated_cuda/",
    "spaces/nb201/test_compiled.py",
    "studies/test_dry_study.py",
    "studies/test_studies_page.py",
    "sweep/test_workers.py",
    "test_bad_luck.py",
    "test_kill.py",
    "test_notebooks.py",
    "test_poison.py",
    "test_python_page.py",
    "test_readme.py::test_the_readmes_python_runs",
    "test_searcher.py::test_contract_under_modifiers",
    "test_sessions.py",
    "test_terminal_pictures.py",
    "tune/test_tune_slots.py",
    "tune/test_tune_storage.py",
)
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


def of_release(item: pytest.Item) -> bool:
    """Whether the list above names the test or its file; a slow one waits longer."""
    name = f"{item.path.as_posix().rpartition('/tests/')[2]}::{item.name}"
    return name.startswith(RELEASE) and item.get_closest_marker("slow") is None


def rank(item: pytest.Item) -> int:
    return next((i for i, name in enumerate(LONGEST) if f"/tests/{name}" in item.path.as_posix()), len(LONGEST))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):  # with xdist
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if of_release(item):
            item.add_marker("release")
    items.sort(key=rank)
