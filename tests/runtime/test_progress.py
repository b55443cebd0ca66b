"""What a person watches: a bar on a terminal, plain lines elsewhere, nothing where it is to be quiet."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchbed.runtime.progress import Reporter


def test_elsewhere_only_the_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        reporter.begin("search darts", 10)
        reporter.advance(3, "epoch 1")
        long = "cell " + "|nor_conv_3x3~0|" * 20
        reporter.line(long)
        reporter.line("[bold]no markup[/bold]")
    captured = capsys.readouterr()
    assert captured.out == ""  # results go to stdout, progress does not
    assert captured.err == f"{long}\n[bold]no markup[/bold]\n"


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(quiet=True) as reporter:
        reporter.begin("search", 10)
        reporter.advance(10)
        reporter.line("hello")
    assert capsys.readouterr() == ("", "")


def test_a_run_on_a_terminal_shows_a_bar_and_the_time_left(
    tmp_path: Path, tiny_flags: list[str], child_env: dict[str, str]
) -> None:
    """A real run whose stderr is a terminal of 200 columns."""
    main, terminal = pty.openpty()
    arguments = ["run", "--searcher", "random", "--selector", "perturb", *tiny_flags, "--out", str(tmp_path / "out")]
    arguments += ["--set", "selector.draws=4", "--epochs", "12"]
    env = {**child_env, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
    command = [sys.executable, "-m", "benchbed", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    assert process.stdout is not None
    process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"search random .*━.* \d+% \d\d:\d\d .*epoch \d+ loss \d\.\d+", text)  # a bar, a time, a status
    assert "epoch  12/12  loss" in text  # the lines stay above it
    assert "decided 0->1: " in text
    assert "\x1b[?25h" in shown.decode()  # the cursor is given back
