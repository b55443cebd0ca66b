"""Six searches on a table, in float64, give what they gave before the second edition: computed by commit c39f7a8.

A table's objective has no images, no threads and no convolutions, so the figures are those of every machine. A digest
that changes is a change of results: of ids, of the pages in results/, of what users compare with.
"""

import hashlib
import json
from pathlib import Path

import pytest

from benchbed import api

BEFORE = {
    ("darts", "magnitude"): "bc23cc046261",
    ("darts", "perturb"): "24640ddb930f",
    ("proxyless", "perturb"): "642038afa431",
    ("gdas", "best-of"): "0a9f8b2d2547",
    ("reinforce", "magnitude"): "a6bac5c07ef5",
    ("sgas", "magnitude"): "b69ece41c4e1",
}


def digest(record: dict[str, object]) -> str:
    """SHA-256, twelve digits, of the cell, its accuracies, and the selection's scores to three decimals."""
    scores = [[None if x is None else round(x, 3) for x in row] for row in record["scores"]]
    parts = [record["architecture"], record["valid_accuracy"], record["test_accuracy"], scores]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


@pytest.mark.parametrize(("searcher", "selector"), BEFORE)
def test_the_results_of_before(searcher: str, selector: str, tmp_path: Path) -> None:
    (record,) = api.run(
        searcher, selector, objective="table", table="nb201-digits", dataset="digits", epochs=10, seed=3,
        out=tmp_path, quiet=True,
    )  # fmt: skip
    assert digest(record.dump()) == BEFORE[searcher, selector]
