"""A space by name, with options."""

import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.load import load_space


def test_a_space_by_name():
    assert load_space("nb201").size() == 15625


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [("nb2O1", {}, "nb201"), ("nb201", {"width": 2}, "space option 'width': space 'nb201' has none")],
)
def test_refusals_name_what_is_wrong(name, options, words):
    with pytest.raises(BenchbedError, match=words):
        load_space(name, options)
