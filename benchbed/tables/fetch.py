"""`table fetch nb201`: small public files of other people, from pinned commits, each checked against its SHA-256.

The files belong to their authors; neither repository names a licence. They are read, never redistributed here.
"""

import hashlib
import http.client
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from ..errors import BenchbedError, unknown
from ..runtime.files import one_line
from .importing import free_path, import_table
from .table import Table

HOST = "https://raw.githubusercontent.com"


class Source(NamedTuple):
    """A file of a GitHub repository at a commit."""

    repository: str
    commit: str
    path: str
    size: int  # bytes
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


_TAO = ("v-tao/nats-bench-landscape", "b307ae5fe6e8d7043cd4fe7d1c3532288271adb7")
_MONET = ("vilhess/MONET", "336647a5dadb6e716f87eb05e493f8174973bc80")
NB201 = (
    Source(
        *_TAO, "nats_bench.csv", 3_024_008,
        "cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
    ),
    Source(
        *_MONET, "benchmark_scores/Cifar10-NB201.csv", 1_298_488,
        "3033cc4f171c4603ac225aec4298fcfa1b410de2ae9cea505a2cae3c77baca1c",
    ),
    Source(
        *_MONET, "benchmark_scores/Cifar100-NB201.csv", 1_300_027,
        "06419ec2a54a81af9ead84e61bc57e76609488f5cd6446d87557de8b7d62c05c",
    ),
    Source(
        *_MONET, "benchmark_scores/ImageNet-NB201.csv", 1_014_275,
        "b124ad2e54db120689cddff6a62153bbefd958b356d77e576beea983eaf3f7c8",
    ),
)  # fmt: skip
FETCHED = {"nb201": NB201}
LACKS = (
    "these exports hold 200 epochs alone: no 12-epoch figures, no training seconds, no per-seed values, no numbers of "
    "seeds; test accuracies are of NATS-Bench v1.0, validation accuracies (cifar10's too) of NAS-Bench-201 v1.1"
)


def whose(name: str) -> list[str]:
    """A line for each repository: whose files, at which commit, how large."""
    sources = _sources(name)
    lines = []
    for repository, commit in dict.fromkeys((s.repository, s.commit) for s in sources):
        own = [s for s in sources if s.repository == repository]
        size = sum(s.size for s in own) / 1e6
        lines.append(f"github.com/{repository} at {commit[:8]}: {', '.join(s.name for s in own)} ({size:.1f} MB)")
    return lines


def fetch(name: str, *, force: bool = False, host: str | None = None, timeout: float = 30) -> Table:
    """Downloads the sources of a table, checks them, imports them under its name, and opens it.

    `host` replaces GitHub's raw-file host, for a mirror or a test; `timeout` is in seconds without an answer. Raises
    BenchbedError, one line, for an unknown name, a name that is taken (unless `force`), or a file that does not come,
    comes cut off, or is another; then nothing is left behind.
    """
    sources = _sources(name)
    free_path(name, force)
    with tempfile.TemporaryDirectory(prefix="benchbed-") as folder:
        paths = [Path(folder) / source.name for source in sources]
        for source, path in zip(sources, paths, strict=True):
            with one_line(path, "write"):
                path.write_bytes(_download(source, host or HOST, timeout))
        return import_table(paths, name, force=force, notes=[*whose(name), LACKS])


def _sources(name: str) -> tuple[Source, ...]:
    if name not in FETCHED:
        raise unknown("table to fetch", name, FETCHED)
    return FETCHED[name]


def _download(source: Source, host: str, timeout: float) -> bytes:
    url = f"{host}/{source.repository}/{source.commit}/{source.path}"
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            data: bytes = response.read(source.size + 1)  # never more than the file has
    except urllib.error.HTTPError as error:
        error.close()
        raise BenchbedError(f"cannot fetch {url}: the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise BenchbedError(f"cannot fetch {url}: {reason or type(error).__name__}") from None
    if len(data) < source.size:
        raise BenchbedError(f"{url} came cut off: {len(data):,} of {source.size:,} bytes; fetch again")
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise BenchbedError(f"{url} is not the file that was pinned: its SHA-256 is not {source.sha256[:12]}...")
    return data
