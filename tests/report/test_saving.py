"""What every figure has: bytes that repeat, whatever font the user prefers, and letters or a warning."""

import io
from collections.abc import Iterator

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from benchbed.report import saving
from benchbed.report.saving import save_figure


def picture(title: str) -> Figure:
    figure = Figure(figsize=(3, 2))
    figure.subplots().set(title=title, xlabel="epoch")
    return figure


def saved(figure: Figure, ending: str = "svg") -> bytes:
    out = io.BytesIO()
    save_figure(figure, out, ending, "test")
    return out.getvalue()


@pytest.fixture(autouse=True)
def nothing_said() -> Iterator[None]:
    for kept in (saving._say, saving._families):
        kept.cache_clear()
    yield
    saving._families.cache_clear()


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_the_same_figure_gives_the_same_bytes_whatever_font_the_user_prefers(ending: str) -> None:
    plain = saved(picture("a"), ending)
    with mpl.rc_context({"font.family": "serif"}):
        assert saved(picture("a"), ending) == plain
    assert saved(picture("b"), ending) != plain


def test_a_letter_that_no_font_has_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(saving, "WIDE", ())
    for _ in range(2):
        assert b"</svg>" in saved(picture("darts 数数 é"))
    told = capsys.readouterr().err
    assert told.startswith("benchbed: warning: no font here has '数', figures show a box: ")
    assert told.count("\n") == 1


def test_the_machines_own_fonts_lend_letters(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """STIX, which comes with matplotlib, stands for a font of Chinese: it has a letter that DejaVu has not."""
    monkeypatch.setattr(saving, "WIDE", ("No Such Font", "STIXGeneral"))
    lent = saved(picture("\u1d8d"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(saving, "WIDE", ())
    saving._families.cache_clear()
    assert saved(picture("\u1d8d")) != lent
    assert "no font here has '\u1d8d'" in capsys.readouterr().err
