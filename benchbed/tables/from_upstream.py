"""Public exports of NAS-Bench-201 that need one another, and per-seed arrays; all by official index.

- `nats_bench.csv` of github v-tao/nats-bench-landscape: 200-epoch test accuracy of NATS-Bench v1.0 in percent, one
  row a cell in the order of the official index, with the architecture's string.
- `{Cifar10,Cifar100,ImageNet}-NB201.csv` of github vilhess/MONET: official index and 200-epoch validation accuracy
  of NAS-Bench-201 v1.1 as a fraction. They name no architecture and no data set. The strings come from another source
  in the same import; the data set from the number of parameters, which depends on the number of classes.
- an .npz of per-seed accuracies in percent, (cells, seeds) with rows in the order of the official index, NaN where a
  seed was not run. Its arrays are named like figures, or `c10_xvalid`, `c100_valtest`, `i16_valtest`, `c10_test_v11`.
"""

from pathlib import Path

import numpy as np

from ..errors import BenchbedError, unknown
from .arrays import check_percent
from .benchmarks import costs_of_cells
from .csv_reader import Sheet
from .figures import DATASETS, Figure, figure_named
from .store import Arrays
from .table_builder import SIZE, Draft

LANDSCAPE = {
    "CIFAR10TestAccuracy200Epochs": Figure("cifar10", "test", 200),
    "CIFAR100TestAccuracy200Epochs": Figure("cifar100", "test", 200),
    "ImageNetTestAccuracy200Epochs": Figure("imagenet16-120", "test", 200),
}
_SEEDS = {
    "c10_xvalid": Figure("cifar10", "valid", 200),
    "c10_test_v11": Figure("cifar10", "test", 200),
    "c100_valtest": Figure("cifar100", "valid+test", 200),
    "i16_valtest": Figure("imagenet16-120", "valid+test", 200),
}


def read_landscape(path: Path, draft: Draft) -> None:
    """Adds `nats_bench.csv`. Raises BenchbedError, one line, for a bad row or if it does not hold every cell once."""
    sheet = Sheet(path)
    places = draft.places(sheet.text("ArchitectureString"), sheet.where)
    draft.set_order(places, path.name)
    for column, figure in LANDSCAPE.items():
        values = sheet.numbers(column)
        check_percent(values, str(path), column)
        draft.add(f"accuracy/{figure}", places, values, path.name)


def read_monet(path: Path, draft: Draft) -> None:
    """Adds a `*-NB201.csv`. Raises BenchbedError for a bad row, or if no other source gave the cells' order."""
    order = _order(path, draft)
    sheet = Sheet(path)
    index = sheet.whole("index")
    if not np.array_equal(np.sort(index), np.arange(SIZE)):
        raise BenchbedError(f"{path}: column index does not hold each of 0 to {SIZE - 1} once")
    places = order[index]
    params = sheet.numbers("num_param")
    dataset = max(DATASETS, key=lambda d: (costs_of_cells("params", d)[places] == params).mean())
    if (costs_of_cells("params", dataset)[places] == params).mean() < 0.9:
        raise BenchbedError(f"{path}: column num_param fits none of {', '.join(DATASETS)}")
    draft.compare_costs("params", dataset, places, params / 1e6, path.name)
    values = sheet.numbers("accuracy")
    if values.max() > 1:
        raise BenchbedError(f"{path}: accuracy goes up to {values.max():g}: it is read as a fraction")
    check_percent(values * 100, str(path), "accuracy")
    draft.add(f"accuracy/{Figure(dataset, 'valid', 200)}", places, values * 100, path.name)


def read_seeds(path: Path, draft: Draft) -> None:
    """Adds per-seed arrays. Raises BenchbedError for a foreign array, or if no other source gave the cells' order."""
    order = _order(path, draft)
    arrays = Arrays(path)
    for name in arrays:
        figure, values = _SEEDS.get(name) or figure_named(name), arrays[name]
        if figure is None:
            raise unknown(f"array in {path}", name, (*_SEEDS, "cifar10_test_200"))
        if values.ndim != 2 or len(values) != SIZE or values.dtype.kind != "f":
            raise BenchbedError(f"{path}: {name} is {values.dtype} {values.shape}, expected floats ({SIZE}, seeds)")
        check_percent(values, str(path), name)
        draft.add(f"seeds/{figure}", order, values.astype(np.float64), path.name)
        draft.seed_names[str(figure)] = [f"run {i + 1}" for i in range(values.shape[1])]


def _order(path: Path, draft: Draft) -> np.ndarray:
    if draft.order is None:
        raise BenchbedError(f"{path} names cells by official index alone: give a source of the index in the same "
                            "import, such as nats_bench.csv")  # fmt: skip
    return draft.order
