"""The code of Abdelfattah et al. for zero-cost proxies, run on a sample of cells: why a printed figure is not ours.

    python results/published/authors_proxies.py CLONE --data DIR [--cells 1000]

CLONE is SamsungLabs/zero-cost-nas at a43bfbc, from where its code is imported; DIR holds CIFAR-10's files. As in its
`nasbench2_pred.py`: networks of C=16 and N=5 as PyTorch initialises them, a fresh batch of 64 training images for each,
cropped, flipped and normalised; the images are loaded here, since its loader needs torchvision. Cells are a random
order's first; a line a cell goes into `authors-proxies.csv` as it is scored, and the same command goes on. `make.py`
reads that file.
"""

import argparse
import csv
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchbed.images.batches import read_batch
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.tasks.cifar10 import CIFAR10

FILE = Path(__file__).resolve().parent / "authors-proxies.csv"
MEASURES = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacob_cov")
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of foresight/dataset.py
BATCH, PAD = 64, 4


def sample() -> list[Architecture]:
    """Every cell, in a random order of which a sample is the first ones."""
    cells = list(all_architectures())
    return [cells[i] for i in np.random.default_rng(0).permutation(len(cells))]


def done(file: Path = FILE) -> dict[Architecture, dict[str, float]]:
    """cell -> measure -> score, of the file's lines."""
    if not file.exists():
        return {}
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    return {NB201().parse(row["arch"]): {name: float(row[name]) for name in MEASURES} for row in rows}


def pixels(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's 50,000 training images and their labels, as they are published."""
    folder = data if data.name == CIFAR10.folder else data / CIFAR10.folder
    parts = [read_batch(folder / name, CIFAR10.layout, md5) for name, md5 in CIFAR10.train.items()]
    images, labels = (np.concatenate(of) for of in zip(*parts, strict=True))
    return images, labels


def batch(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """64 images (64, 3, 32, 32) and their labels: cropped out of 4 zeros around, flipped by a coin, then normalised."""
    drawn = rng.choice(len(images), BATCH, replace=False)
    wide = np.pad(images[drawn], ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    at = rng.integers(0, 2 * PAD + 1, (BATCH, 2))
    size = images.shape[-1]
    cut = np.stack([one[:, y : y + size, x : x + size] for one, (y, x) in zip(wide, at, strict=True)])
    flipped = np.where(rng.random(BATCH)[:, None, None, None] < 0.5, cut[..., ::-1], cut).astype(np.float32)
    mean, deviation = (np.array(of, np.float32)[:, None, None] for of in (MEAN, DEVIATION))
    return torch.from_numpy((flipped / 255 - mean) / deviation), torch.from_numpy(labels[drawn].astype(np.int64))


def score(cell: Architecture, number: int, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Each measure by the authors' code, from the cell's own seed."""
    from foresight.models.nasbench2 import get_model_from_arch_str  # type: ignore[import-not-found]
    from foresight.pruners.predictive import find_measures  # type: ignore[import-not-found]

    torch.manual_seed(number)
    network = get_model_from_arch_str(cell.text, 10)
    one = [batch(images, labels, np.random.default_rng((1, number)))]
    found: dict[str, Any] = find_measures(network, one, ("random", 1, 10), torch.device("cpu"), measure_names=MEASURES)
    return {name: float(np.real(found[name])) for name in MEASURES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="SamsungLabs/zero-cost-nas at a43bfbc")
    parser.add_argument("--data", type=Path, required=True, help="the folder of CIFAR-10's files")
    parser.add_argument("--cells", type=int, default=1000)
    given = parser.parse_args()
    if not (given.clone / "foresight").is_dir():
        raise SystemExit(f"authors_proxies.py: {given.clone} holds no folder foresight: expected a clone of it")
    sys.path.insert(0, str(given.clone))
    warnings.simplefilter("ignore")  # of their code
    torch.set_num_threads(1)
    images, labels = pixels(given.data)
    known = done()
    with FILE.open("a") as out:
        if not known:
            print("arch", *MEASURES, sep=",", file=out)
        for number, cell in enumerate(sample()[: given.cells]):
            if cell not in known:
                found = score(cell, number, images, labels)
                print(cell.text, *(f"{found[name]:.7g}" for name in MEASURES), sep=",", file=out, flush=True)


if __name__ == "__main__":
    main()
