"""NAS-Bench-201's and NATS-Bench's own Python interfaces, answered by a table: existing scripts run unchanged.

    python -m benchbed.dropin [--table NAME]... SCRIPT.py [ARGS...]

runs a script that says `from nas_201_api import NASBench201API` or `from nats_bench import create`; `install` does the
same from within Python; and the classes can be used as they are, with a table's name or file in the place of the
benchmark's. They mirror nas-bench-201 2.1 and nats_bench 1.8, method by method, and differ where these mislead:

- where `hp` or `is_random` is not given, the originals answer with 12 epochs and a random seed; so does this, and it
  warns once (`DropinWarning`), naming the argument to give;
- `query_index_by_arch` gives -1 for an unknown string, as theirs does, but nothing accepts a negative index: neither
  a method, nor `api[i]`, nor `api.meta_archs[i]`, where theirs gives the last architecture;
- what is refused is a `DropinError`: a BenchbedError, and a KeyError and an AssertionError too, so that scripts that
  catch what the originals raise go on as before;
- `evaluated_indexes` are all cells of the table, also in fast mode, where theirs begins empty and grows; cells that a
  partial table lacks are left out where theirs fails (`find_best`, `statistics`);
- what `verbose` prints is in our own words; what `show` and `query_info_str_by_arch` print is in theirs;
- an integer of numpy's is an index, where theirs gives -1 for it;
- `reload`, a dict in the place of a file, and pickling or copying an api are refused or fail: name the table again in a
  process that was spawned; forked processes and threads share it;
- no weights are kept: `get_net_param` gives None a seed, as theirs does from NATS-Bench's `simple` files.

`create(None, "sss")` is NATS-Bench's size space, answered by the table `nats-sss` or by that of a second `--table`.

A table from CSV files has no single trainings. There means over seeds answer, whatever `is_random` says; keys that it
has nothing for are left out, and a method that needs a missing column says which, and how to get it. Three things are
made up for, and each is said in one line on stderr, once:

- `simulate_train_eval` takes the clock of `study tabular`: the seconds of training, or the share of the full training's
  that the epochs are; those of a pass over validation, which the originals add, are not in such a table;
- before the last epoch it gives the accuracy after the last, the one that there is, at the seconds of the epochs asked
  for: successive halving (BOHB) then sees no lower fidelity;
- text prints `n/a` for a loss or an accuracy that is missing.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "DropinError": "refusals",
    "DropinWarning": "refusals",
    "NASBench201API": "nas201",
    "NATSsize": "nats",
    "NATStopology": "nats",
    "create": "nats",
    "install": "standins",
}


def __getattr__(name: str) -> Any:
    """The public name `name`, its module imported now. Raises AttributeError if there is none."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
