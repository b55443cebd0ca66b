"""The contract of a study, as checks that a plug-in's author can run.

    from benchbed.testing.study_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check("my-study", {"seeds": "0:2"})

Each takes the name of a registered study and values of its options, and raises AssertionError where the contract is
broken. What is run is run on searches of one epoch, in a folder that is removed again.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from .. import registry
from ..errors import BenchbedError
from ..runtime.options import RunOptions
from ..study import Finished, StudyOptions, prepared, run_study
from ..typed import typed
from .tree import checks_in, require

# Of every run, where the options do not say otherwise: the first that the study's runs take.
SHORT: tuple[Mapping[str, Any], ...] = (
    {
        "epochs": 1,
        "table": "none",
        "task_options": {"train": 256, "valid": 128, "test": 128},
        "scoring": {"epochs": 1, "warmup_epochs": 0},
    },
    {"epochs": 1},
    {},
)


def check_options_explain_themselves(name: str, values: Mapping[str, Any]) -> None:
    """Options are a subclass of StudyOptions, each with a line of help; they hold the values that are given."""
    model = registry.load("study", name).Options
    require(issubclass(model, StudyOptions), f"{model.__name__} is not a subclass of StudyOptions")
    silent = [key for key, field in model.model_fields.items() if not field.description]
    require(not silent, f"option {silent[:1]} has no description, which is its flag's help")
    typed(model, values, f"study {name}")


def check_runs_can_be_made(name: str, values: Mapping[str, Any]) -> None:
    """What can be refused of its runs is not, and nothing has been made by then."""
    with tempfile.TemporaryDirectory(prefix="benchbed-check-") as scratch:
        runs = prepared(name, values, _options(scratch), _short(name, values, scratch)).configs
        require(isinstance(runs, Mapping), f"runs() gives a {type(runs).__name__} where a mapping is expected")
        require(not list(Path(scratch).iterdir()), "check() or runs() has written files")


def check_files_repeat(name: str, values: Mapping[str, Any]) -> None:
    """It has rows and a page NAME.md, and the same command again gives the same files from the same runs."""
    with tempfile.TemporaryDirectory(prefix="benchbed-check-") as scratch:
        made = [_made(name, values, scratch) for _ in range(2)]
        require(len(made[0][0].rows) > 0, "rows() gives no line")
        require(f"{name}.md" in made[0][1], f"figures() gives no {name}.md, only {sorted(made[0][1])}")
        require(made[0][1] == made[1][1], "the same runs give other files the second time")


def _made(name: str, values: Mapping[str, Any], scratch: str) -> tuple[Finished, dict[str, bytes]]:
    done = run_study(name, values, _options(scratch), _short(name, values, scratch))
    return done, {file.name: file.read_bytes() for file in done.files}


def _short(name: str, values: Mapping[str, Any], scratch: str) -> Mapping[str, Any]:
    for under in SHORT[:-1]:
        try:
            prepared(name, values, _options(scratch), under)
        except BenchbedError:
            continue
        return under
    return SHORT[-1]


def _options(out: str) -> RunOptions:
    return RunOptions(Path(out), torch.device("cpu"))


CHECKS: tuple[Callable[[str, Mapping[str, Any]], None], ...] = checks_in(globals())
