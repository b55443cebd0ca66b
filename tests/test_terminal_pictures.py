"""The pictures of the terminal show what the commands print now, within 80 columns, and ask no other host."""

import re
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PICTURES = sorted((ROOT / "docs" / "images").glob("terminal-*.svg"))


def lines(svg: str) -> list[str]:
    """The text of a picture, line by line, without the spaces between its pieces and the seconds at a row's end."""
    found: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        found[float(y)] = found.get(float(y), "") + unescape(text).replace("\xa0", "").strip()
    return [re.sub(r"(\.\d\d)\d+$", r"\1", found[y]) for y in sorted(found)]


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.stem)
def test_a_picture_asks_no_other_host(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"url\(\s*[\"']?(?!#)|href=|@import", text)
    assert file.stat().st_size < 120_000


def test_pictures_show_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import terminal

    printed = terminal.scenes(tmp_path)
    assert sorted(f"terminal-{name}" for name in printed) == [file.stem for file in PICTURES]
    for name, text in printed.items():
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        if name != "wrong":  # a refusal is one line, of whatever length
            assert max(map(len, plain.splitlines())) <= terminal.COLUMNS, name
        kept = (terminal.IMAGES / f"terminal-{name}.svg").read_text()
        assert lines(kept) == lines(terminal.drawn(terminal.SCENES[name], text)), name
