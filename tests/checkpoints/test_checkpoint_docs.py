"""The example of docs/foreign.md runs as it stands."""

import re
from pathlib import Path

import torch

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_module_of_the_page_is_selected_on(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "foreign.md").read_text(), re.DOTALL)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(block, "foreign.md", "exec"), {"__name__": "page"})
    assert re.match(r"body=(skip|conv),squash=(no|yes) \[\[", capsys.readouterr().out)
