"""What mkdocs does beside its own work: pages that lie elsewhere in the repository, links to them, generated pages.

A page keeps the links that it has on disk: a link leads from the page's own file to another one of the repository.
Where the other one is not below docs/, it joins the site under its path in the repository, and the link is rewritten.
The README is the first page. `reference.py` writes the pages that are made of the code, `notebook_pages.py` those that
are made of the notebooks.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

import notebook_pages
import reference
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
HOME = "README.md"
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^(```.*?^```\s*?$)", re.MULTILINE | re.DOTALL)
SOURCES = (".py", ".toml", ".in")  # shown as text: a browser would offer them for download


def on_files(files: Files, config: Any) -> Files:
    """The README, the generated pages, and whatever of the repository they and the pages of docs/ link to."""
    for uri, text in {**reference.pages(), **notebook_pages.pages(ROOT / "notebooks")}.items():
        files.append(File.generated(config, uri, content=text))
    for uri, picture in notebook_pages.pictures(ROOT / "notebooks").items():
        files.append(File.generated(config, uri, content=picture))
    files.append(File.generated(config, "index.md", abs_src_path=str(ROOT / HOME)))
    left = [file for file in files if file.src_uri.endswith(".md")]
    while left:
        file = left.pop()
        for target in _targets(file.content_string, origin(file.src_uri)):
            uri = place(target)
            if target.startswith("docs/") or files.get_file_from_path(uri):
                continue
            if target.endswith(SOURCES):
                text = (ROOT / target).read_text()
                language = "python" if ".py" in target else "toml"
                added = File.generated(config, uri, content=f"# {target}\n\n````{language}\n{text}````\n")
            else:
                added = File.generated(config, uri, abs_src_path=str(ROOT / target))
            files.append(added)
            if target.endswith(".md"):
                left.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links as the site has them."""
    uri = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        target = _file(match[2], origin(uri))
        if target is None:
            return match[0]
        relative = os.path.relpath(place(target), str(PurePosixPath(uri).parent))
        return f"{match[1]}{relative}{match[3] or ''}{match[4]}"

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def origin(uri: str) -> str:
    """Where in the repository the page of the site lies, or would lie."""
    if uri == "index.md":
        return HOME
    if uri.startswith("notebooks/"):
        return uri.replace(".md", ".ipynb")
    for suffix in SOURCES:
        if uri.endswith(f"{suffix}.md"):
            return uri.removesuffix(".md")
    return f"docs/{uri}" if (ROOT / "docs" / uri).exists() or not (ROOT / uri).exists() else uri


def place(target: str) -> str:
    """Where on the site a file of the repository lies."""
    if target == HOME:
        return "index.md"
    return f"{target}.md" if target.endswith(SOURCES) else target.removeprefix("docs/")


def _targets(markdown: str, page: str) -> list[str]:
    text = "".join(FENCE.split(markdown)[::2])
    found = (_file(match[2], page) for match in LINK.finditer(text))
    return [target for target in found if target is not None]


def _file(link: str, page: str) -> str | None:
    """The file of the repository that a link of a page names, a folder's README in place of the folder."""
    if ":" in link or link.startswith("/"):
        return None
    target = os.path.normpath(os.path.join(os.path.dirname(page), link))
    if (ROOT / target).is_dir():
        target = f"{target}/README.md"
    return target if not target.startswith("..") and (ROOT / target).is_file() else None
