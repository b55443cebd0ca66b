"""Notebooks as pages: their text, their code and the outputs that they were committed with.

`python docs/notebook_pages.py` runs them all and writes their outputs anew; tests/test_notebooks.py runs them and
compares.
"""

import base64
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def pages(folder: Path) -> dict[str, str]:
    """A page a notebook, by its place on the site."""
    return {f"notebooks/{file.stem}.md": _page(file) for file in sorted(folder.glob("*.ipynb"))}


def pictures(folder: Path) -> dict[str, bytes]:
    """The pictures among the outputs, by their place on the site."""
    return {
        f"notebooks/{_name(file, cell, output)}.{suffix}": content
        for file in sorted(folder.glob("*.ipynb"))
        for cell, output, suffix, content in _images(json.loads(file.read_text()))
    }


def _name(file: Path, cell: int, output: int) -> str:
    return f"{file.stem}-{cell}-{output}"


def _images(notebook: dict[str, Any]) -> Iterator[tuple[int, int, str, bytes]]:
    for number, cell in enumerate(notebook["cells"]):
        for place, output in enumerate(joined(cell.get("outputs", ()))):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                yield number, place, "svg", _text(data["image/svg+xml"]).encode()
            elif "image/png" in data:
                yield number, place, "png", base64.b64decode(_text(data["image/png"]))


def joined(outputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs, with what was printed at once in one."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "stream" and found and found[-1]["output_type"] == "stream":
            found[-1] = {**found[-1], "text": _text(found[-1]["text"]) + _text(output["text"])}
        else:
            found.append(output)
    return found


def _page(file: Path) -> str:
    notebook = json.loads(file.read_text())
    images = {(cell, output): suffix for cell, output, suffix, _ in _images(notebook)}
    parts = []
    for number, cell in enumerate(notebook["cells"]):
        text = _text(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for place, output in enumerate(joined(cell["outputs"])):
            if (number, place) in images:
                name = f"{_name(file, number, place)}.{images[number, place]}"
                parts.append(f"![the output of the code above]({name})")
            else:
                parts.append(_output(output))
    parts.append(f"This page is [`notebooks/{file.name}`]({file.name}) with its outputs.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="output" markdown="0">\n{_text(data["text/html"])}\n</div>'
    text = _text(output["text"] if output["output_type"] == "stream" else data["text/plain"])
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def executed(file: Path, folder: Path) -> dict[str, Any]:
    """The notebook with the outputs of a run in `folder`. Raises where a cell raises."""
    import nbformat
    from nbclient import NotebookClient

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    found: dict[str, Any] = json.loads(nbformat.writes(notebook))
    return found


if __name__ == "__main__":
    for one in sorted((ROOT / "notebooks").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as place:
            text = json.dumps(executed(one, Path(place)), indent=1, ensure_ascii=False)
        one.write_text(text + "\n")
        print(one.name)
