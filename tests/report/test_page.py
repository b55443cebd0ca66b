"""The page of a report: in a real browser, without a network; and the document, in a real LaTeX."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchbed.report.page import inline
from benchbed.report.write import Report

from ..devtools import chromium

SECONDS = 180  # of a loaded machine


@pytest.fixture(scope="module")
def written(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "a report"
    Report(made, out).write()
    return out


class Opened(HTMLParser):
    """What a page holds: rows of each table by its class, figures by their id, and every address in it."""

    def __init__(self, text: str):
        super().__init__()
        self.rows: dict[str, int] = {}
        self.pictures: dict[str, int] = {}
        self.addresses: list[str] = []
        self.scripts = 0
        self._table = self._figure = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "table":
            self._table = given.get("class") or ""
        if tag == "tr" and self._table:
            self.rows[self._table] = self.rows.get(self._table, 0) + 1
        if tag == "figure":
            self._figure = given.get("id") or ""
        if tag == "svg" and given.get("class") != "swatch":
            self.pictures[self._figure] = self.pictures.get(self._figure, 0) + 1
        self.scripts += tag == "script"
        self.addresses += [v for k, v in attributes if k in ("src", "href", "xlink:href", "data", "srcset") and v]


def browse(page: Path, scratch: Path) -> tuple[str, list[str]]:
    """(the document as the browser has it after loading, the addresses that the page itself asked for)."""
    with chromium(scratch) as browser:
        opened = browser.open(page.as_uri())
        return opened.ask("document.documentElement.outerHTML"), opened.asked


def test_a_browser_finds_tables_and_figures_and_asks_for_nothing(written: Path, tmp_path: Path) -> None:
    text = (written / "report.html").read_text()
    bare = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)  # which would forbid it anyway
    assert bare != text
    page = tmp_path / "bare.html"
    page.write_text(bare)
    document, asked = browse(page, tmp_path)
    assert asked == []
    found = Opened(document)
    assert found.rows["results"] == 1 + 3  # darts, proxyless and the constant cell
    assert found.rows["checklist"] == 1 + 16
    assert found.rows["published"] == 1 + 13
    assert found.rows["runs"] == 1 + 12
    drawn = {file.stem for file in (written / "figures").glob("*.svg")}
    assert found.pictures == dict.fromkeys(drawn, 1)
    assert "best" in document
    assert "published, second-hand" in document


def test_the_browser_would_have_seen_a_request(written: Path, tmp_path: Path) -> None:
    page = tmp_path / "asks.html"
    page.write_text('<p>x</p><img src="http://example.test/x.png"><link rel="stylesheet" href="http://f.test/a.css">')
    _, asked = browse(page, tmp_path)
    assert sorted(asked) == ["http://example.test/x.png", "http://f.test/a.css"]


def test_the_page_names_no_address_and_holds_no_script(written: Path) -> None:
    found = Opened((written / "report.html").read_text())
    assert found.scripts == 0
    assert found.addresses
    assert all(a.startswith(("#", "data:")) for a in found.addresses)
    text = (written / "report.html").read_text()
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(names)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(names)


def test_the_same_records_give_the_same_report(made: Path, written: Path) -> None:
    before = {p: p.read_bytes() for p in written.rglob("*") if p.is_file()}
    Report(made, written).write()
    assert {p: p.read_bytes() for p in written.rglob("*") if p.is_file()} == before


def test_what_a_record_says_is_text_on_the_page(runs: Path, tmp_path: Path) -> None:
    path, *others = sorted(runs.glob("*/record.json"))
    for other in others:
        shutil.rmtree(other.parent)
    shutil.rmtree(runs / "searches")
    record = json.loads(path.read_text())
    record["machine"]["processor"] = "<script>alert(1)</script> & Co_100%"
    path.write_text(json.dumps(record))
    Report(runs, tmp_path / "out").write()
    text = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co_100%" in text
    assert Opened(text).scripts == 0


def test_pictures_in_one_page_keep_their_names_apart() -> None:
    svg = '<?xml version="1.0"?>\n<svg width="90pt" height="45pt"><metadata>http://x</metadata>'
    svg += '<defs><path id="a"/></defs>'
    svg += '<use xlink:href="#a" clip-path="url(#b)"/><clipPath id="b"/></svg>'
    one = str(inline(svg, "n", 'a "label" <b>'))
    begin = '<svg role="img" aria-label="a &#34;label&#34; &lt;b&gt;" style="max-width:138px;min-width:101px"'
    assert one.startswith(begin)
    for part in ('id="n-a"', 'xlink:href="#n-a"', "url(#n-b)", 'id="n-b"'):
        assert part in one
    for part in ("metadata", "height=", "?xml"):
        assert part not in one


def compiled(folder: Path, name: str) -> str:
    """The log of pdflatex, whose PDF lies beside the file."""
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("needs pdflatex (Debian: apt install texlive-latex-base texlive-latex-recommended)")
    command = [latex, "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS)
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, log[-1500:]
    return log


def test_a_document_of_the_tables_and_figures_compiles(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "out")
    log = compiled(tmp_path / "out", "report.tex")
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert "Overfull \\hbox" not in log
    assert log.count(".pdf") >= len(list((written / "figures").glob("*.pdf")))


def test_a_table_compiles_in_a_paper_of_its_own(written: Path, tmp_path: Path) -> None:
    """All that a table needs of a document is booktabs."""
    (table,) = [p for p in (written / "tables").glob("*.tex") if "published" not in p.name]
    body = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{t.tex}\\end{document}"
    (tmp_path / "t.tex").write_text(table.read_text())
    (tmp_path / "paper.tex").write_text(body)
    compiled(tmp_path, "paper.tex")


def test_every_file_of_the_report_is_there(written: Path) -> None:
    assert {p.name for p in written.iterdir()} == {
        "report.html", "report.md", "report.csv", "report.tex", "tables", "figures", "configs", "files.txt"
    }  # fmt: skip
    listed = (written / "files.txt").read_text().splitlines()
    assert {written / name for name in listed} == {p for p in written.rglob("*") if p.is_file()} - {
        written / "files.txt"
    }
    vectors = {kind: {p.stem for p in (written / "figures").glob(f"*.{kind}")} for kind in ("svg", "pdf")}
    assert vectors["svg"] == vectors["pdf"] != set()
    text = (written / "report.md").read_text()
    for link in re.findall(r"!\[\w+\]\(([^)]+)\)", text):
        assert (written / link).is_file()
    assert "Control missing: random search" in text
