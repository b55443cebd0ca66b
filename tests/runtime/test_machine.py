"""What a result was made with."""

import os
import platform
import subprocess
from pathlib import Path

import numpy
import pytest
import torch

import benchbed
from benchbed.errors import BenchbedError
from benchbed.runtime import machine as machine_module
from benchbed.runtime.machine import (
    CUBLAS,
    commit,
    commit_of,
    deterministic,
    machine,
    peak_memory,
    pick_device,
    reset_peak,
    versions,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]


def test_versions_are_those_that_are_loaded() -> None:
    found = versions()
    assert found["benchbed"] == benchbed.__version__
    assert found["python"] == platform.python_version()
    assert (found["torch"], found["numpy"]) == (torch.__version__, numpy.__version__)
    assert {"scipy", "scikit-learn", "pydantic"} <= found.keys()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benchbed" / "runtime").mkdir(parents=True)
    monkeypatch.setattr(machine_module, "__file__", str(tmp_path / "benchbed" / "runtime" / "machine.py"))
    assert commit() is None  # an installed package: no pyproject.toml beside it
    (tmp_path / "pyproject.toml").write_text("a = 1\n")
    assert commit() is None  # no repository
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "pyproject.toml")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit() == head
    (tmp_path / "untracked").touch()
    assert commit() == head
    (tmp_path / "pyproject.toml").write_text("a = 2\n")
    assert commit() == commit_of(tmp_path) == f"{head}+"
    assert commit_of(tmp_path / "benchbed") is None  # a folder within: the commit is not its own
    assert commit_of(tmp_path / "nowhere") is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert commit() is None


def test_the_machine_of_a_run_on_the_processor() -> None:
    found = machine(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["cores"] >= 1
    assert found["processor"]
    assert platform.system() in found["system"]


def test_peak_memory_is_in_bytes_and_never_falls() -> None:
    before = peak_memory(torch.device("cpu"))
    assert 50e6 < before < 1e12  # torch alone takes more than 50 MB
    block = torch.ones(30_000_000)
    assert peak_memory(torch.device("cpu")) >= before
    del block
    assert peak_memory(torch.device("cpu")) >= before


def test_the_peak_of_an_accelerator_is_reset_and_a_process_s_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    reset_peak(torch.device("cpu"))
    assert reset == []
    reset_peak(torch.device("cuda:1"))
    assert reset == [torch.device("cuda:1")]


# -- algorithms that repeat --------------------------------------------------------------------------------------------


def modes() -> list[object]:
    cudnn = torch.backends.cudnn
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return [torch.are_deterministic_algorithms_enabled(), warns, cudnn.deterministic, cudnn.benchmark,
            os.environ.get(CUBLAS)]  # fmt: skip


@pytest.mark.parametrize("setting", [None, ":0:0", ":16:8"])
def test_the_deterministic_mode_is_put_back(setting: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if setting is None:
        monkeypatch.delenv(CUBLAS, raising=False)
    else:
        monkeypatch.setenv(CUBLAS, setting)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = modes()
    during: list[object] = []

    def fails() -> None:
        with deterministic():
            during.extend(modes())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert during == [True, False, True, False, ":16:8" if setting == ":16:8" else ":4096:8"]
    assert modes() == before
    with deterministic(False):
        assert modes() == before


def test_a_mode_that_warns_alone_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CUBLAS, raising=False)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = modes()
        with deterministic():
            assert modes()[:2] == [True, False]
        assert modes() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_cuda_that_has_started_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.delenv(CUBLAS, raising=False)
    before = modes()
    with pytest.raises(BenchbedError, match=f"^deterministic: CUDA has started in this process with {CUBLAS}=: set it "
                       "to :4096:8 or :16:8 before$"), deterministic():  # fmt: skip
        raise AssertionError("it was let in")
    assert modes() == before
    monkeypatch.setenv(CUBLAS, ":4096:8")
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()


def test_an_operation_that_cannot_repeat_is_named() -> None:
    """`put_` is one on a CPU too. Other errors are left as they are."""
    with pytest.raises(BenchbedError, match=r"^deterministic: put_ does not have a deterministic implementation; leave "
                       "the option out$"), deterministic():  # fmt: skip
        torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))
    with pytest.raises(RuntimeError, match="must match"), deterministic():
        torch.zeros(2) + torch.zeros(3)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_setting_that_cuda_started_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run of the process finds what CUDA has read, and is let in."""
    monkeypatch.setenv(CUBLAS, "")  # so that it is put back after the test
    monkeypatch.delenv(CUBLAS)
    with deterministic():
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with deterministic():
        assert os.environ[CUBLAS] == ":4096:8"


def test_a_device_by_name() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["quantum", "cuda:99", "meta", "", "cpu:x"])
def test_a_device_that_is_not_here(name: str) -> None:
    with pytest.raises(BenchbedError, match=f"^device '{name}' cannot be used: ") as refused:
        pick_device(name)
    assert len(str(refused.value).splitlines()) == 1
