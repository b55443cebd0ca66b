"""The site: it builds strictly, every link and anchor leads somewhere, nothing is asked of another host."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from benchbed import registry
from benchbed.protocols.load import names

pytest.importorskip("mkdocstrings", reason="pip install -e '.[docs]'")

ROOT = Path(__file__).resolve().parent.parent


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, file: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value for key, value in attrs if value is not None}
        self.places |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(found["href"])
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "object", "embed"):
            self.loaded += [found[key] for key in ("src", "data", "srcset") if key in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `mkdocs build --strict` builds it; a warning, such as a dead link, ends it."""
    if built := os.environ.get("BENCHBED_SITE"):  # one that is there, to save the time
        return Path(built).resolve()
    out = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def targets(file: Path, links: list[str], site: Path) -> Iterator[tuple[str, Path, str]]:
    """(link, file, anchor) of every link into the site."""
    for link in links:
        if not re.match(r"[a-z]+:", link):
            path, anchor = urldefrag(link)
            yield link, (file.parent / unquote(path)).resolve() if path else file.resolve(), unquote(anchor)


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page], site: Path) -> None:
    by_path, checked = {file.resolve(): page for file, page in pages.items()}, 0
    for file, page in pages.items():
        if file.name == "404.html":  # its links are of the root of a server
            continue
        for link, target, anchor in targets(file, page.links, site):
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{file.relative_to(site)}: {link}"
            if anchor and target.suffix == ".html":
                assert anchor in by_path[target].places, f"{file.relative_to(site)}: {link}"
            checked += 1
    assert checked > 5000


def test_no_resource_is_of_another_host(pages: dict[Path, Page], site: Path) -> None:
    for file, page in pages.items():
        for resource in page.loaded:
            assert not re.match(r"(https?:)?//", resource), f"{file.relative_to(site)}: {resource}"
            if file.name != "404.html" and not resource.startswith("data:"):
                assert (file.parent / unquote(resource.partition("?")[0])).exists(), f"{file}: {resource}"
    for file in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", file.read_text()), file


def test_every_picture_says_what_it_is(site: Path) -> None:
    for file in site.rglob("*.html"):
        for picture in re.findall(r"<img [^>]*>", file.read_text()):
            assert re.search(r'alt="[^"]+"', picture), f"{file.relative_to(site)}: {picture}"


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_plugin_has_its_place(kind: str, pages: dict[Path, Page], site: Path) -> None:
    plural = {"study": "studies", "proxy": "proxies"}.get(kind, f"{kind}s")
    ours = {plugin.name for plugin in registry.plugins(kind) if registry.is_ours(plugin)}
    assert ours <= pages[site / "reference" / f"{plural}.html"].places


def test_every_option_of_a_searcher_and_selector_is_named(site: Path) -> None:
    for kind in ("searcher", "selector"):
        text = (site / "reference" / f"{kind}s.html").read_text()
        for plugin in registry.plugins(kind):
            if registry.is_ours(plugin):
                for option in registry.load(kind, plugin.name).Options.model_fields:
                    assert f"<code>{kind}.{option}</code>" in text


def test_every_protocol_has_its_place_and_every_value_a_source(pages: dict[Path, Page], site: Path) -> None:
    file = site / "reference" / "protocols.html"
    assert set(names()) <= pages[file].places
    assert not re.search(r"<td></td>\s*</tr>", file.read_text())


def test_every_command_has_its_place(pages: dict[Path, Page], site: Path) -> None:
    import typer

    from benchbed.cli.main import app

    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="benchbed")
    named = {f"benchbed-{name}" for name in command.list_commands(context)}  # type: ignore[attr-defined]
    hidden = {f"benchbed-{n}" for n, c in command.commands.items() if c.hidden}  # type: ignore[attr-defined]
    assert named - hidden <= pages[site / "reference" / "commands.html"].places


def test_lists_are_lists(pages: dict[Path, Page], site: Path) -> None:
    """A line that begins with '- ' within a paragraph was meant as a list: Markdown wants an empty line before it."""
    for file in pages:
        text = file.read_text()
        assert not re.search(r"<p>[^<]*(?:<(?!/p>)[^<]*)*\n- ", text), file.relative_to(site)


def test_search_works_from_a_folder_and_nothing_is_asked_of_a_host(site: Path, tmp_path: Path) -> None:
    """In Chromium, without a server: a word is found, and the page asks no host for anything."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=20000",
         "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{(site / 'index.html').as_uri()}?q=perturbation"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"(\d+) matching documents", done.stdout)
    assert found is not None
    assert int(found[1]) > 10
    told = json.loads(log.read_text())
    begun = told["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in told["events"] if event["type"] == begun and "url" in event.get("params", {})]
    # what the browser does of its own accord, such as asking for updates, has no page as its initiator
    assert [one["url"] for one in asked if one.get("initiator") != "not an origin"] == []
