"""The configuration of a run: what is filled in, what wins over what, and its identity."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from benchbed.errors import BenchbedError
from benchbed.pipeline.config import RunConfig, identity
from benchbed.pipeline.resolve import expand, resolve, seed_range, with_settings
from benchbed.runtime.files import read_toml
from benchbed.searcher import Options as PluginOptions
from benchbed.typed import typed


@pytest.mark.parametrize(
    "text",
    ["\u0660:\u0662", "\uff10:\uff12", "\u00b2:3", "0:" + "9" * 5000, "0x0:0x2", "-1:2", "1_0:1_2", "0", ":", "3:3"],
)
def test_seeds_are_ascii_digits_and_no_more_than_a_number_holds(text: str) -> None:
    with pytest.raises(BenchbedError, match="expected FIRST:AFTER_LAST"):
        seed_range(text)
    assert seed_range(" 2:4 ") == range(2, 4)


def test_an_identity_is_the_hash_of_canonical_json() -> None:
    text = '[{"a":1,"b":[2.5,null]},"x"]'
    expected = "name-" + hashlib.sha256(text.encode()).hexdigest()[:10]
    assert identity("name", {"b": [2.5, None], "a": 1}, "x") == expected
    assert identity("name", {"b": [2.5, None], "a": 2}, "x") != expected


def test_the_papers_settings_on_the_darts_space_are_darts_own() -> None:
    """Section 1 of the reference: 50 epochs at C=16, 8 cells; 600 at C=36, 20 cells, with all that goes with them."""
    config = resolve({"protocol": "generic-paper", "space": "darts", "table": "none"}, "darts", "magnitude", 0)
    assert (config.epochs, config.supernet.channels, config.supernet.cells) == (50, 16, 8)
    s = config.scoring
    assert (s.epochs, s.batch, s.channels, s.cells, s.cutout, s.drop_path, s.auxiliary) == (
        600,
        96,
        36,
        20,
        16,
        0.2,
        0.4,
    )
    assert (
        resolve({"protocol": "generic-paper", "space": "darts", "table": "none"}, "gdas", "magnitude", 0).epochs == 250
    )


def test_the_protocol_goes_by_the_task(tiny: dict[str, Any]) -> None:
    assert resolve({}, "darts", "magnitude", 0).protocol == "small-digits"
    assert resolve({"task": tiny["task"]}, "darts", "magnitude", 0).protocol == "small-digits"
    assert resolve({"protocol": "generic-paper"}, "darts", "magnitude", 0).protocol == "generic-paper"


def test_a_users_value_wins_over_the_protocol() -> None:
    raw = {"epochs": 3, "searcher": {"alpha_lr": 0.5}, "supernet": {"lr": 0.7}, "scoring": {"epochs": 9}}
    config = resolve(raw, "darts", "magnitude", 4)
    assert (config.epochs, config.seed, config.supernet.lr, config.scoring.epochs) == (3, 4, 0.7, 9)
    assert config.searcher.options["alpha_lr"] == 0.5


def test_a_selectors_own_preset() -> None:
    def interval(raw: dict[str, Any]) -> tuple[int, str]:
        options = resolve(raw, "darts", "perturb", 0).selector.options
        return options["interval"], options["schedule"]

    assert interval({}) == (1, "even")
    assert interval({"protocol": "generic-paper"}) == (5, "official")
    assert interval({"selector": {"preset": "official"}}) == (5, "official")
    assert interval({"selector": {"preset": "official", "interval": 2}}) == (2, "official")


def test_a_resolved_configuration_resolves_to_itself(tiny: dict[str, Any]) -> None:
    """`select` relies on it: it takes the saved one for the user's."""
    first = resolve(tiny | {"searcher": {"order": 2}, "selector": {"interval": 3}}, "darts", "perturb", 5)
    saved = json.loads(json.dumps(first.model_dump()))
    raw = {key: saved[key] for key in ("space", "task", "protocol", "epochs", "supernet", "scoring")}
    raw["searcher"], raw["selector"] = saved["searcher"]["options"], saved["selector"]["options"]
    assert resolve(raw, "darts", "perturb", 5).model_copy(update={"origins": first.origins}) == first
    assert RunConfig.model_validate(saved) == first


def test_an_option_goes_to_those_of_several_that_have_it() -> None:
    raw = {"searcher": {"name": "darts, proxyless,random", "order": 2, "alpha_lr": 0.3, "mode": "full"}}
    darts, proxyless, random = expand(raw, ["darts", "proxyless", "random"], ["magnitude"], [0])
    assert (darts.searcher.options["order"], darts.searcher.options["alpha_lr"]) == (2, 0.3)
    assert "mode" not in darts.searcher.options
    assert (proxyless.searcher.options["mode"], proxyless.searcher.options["alpha_lr"]) == ("full", 0.3)
    assert random.searcher.options == {"sampling": "uniform"}


def test_the_grid_goes_seed_by_seed_so_that_selectors_of_a_search_follow_one_another() -> None:
    grid = [
        (c.seed, c.searcher.name, c.selector.name)
        for c in expand({}, ["darts", "random"], ["magnitude", "random"], [0, 1])
    ]
    assert grid == [(n, s, t) for n in (0, 1) for s in ("darts", "random") for t in ("magnitude", "random")]


# -- --set and TOML --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        ("true", True),
        ('"x y"', "x y"),
        ("[1, 2]", [1, 2]),
        ("full", "full"),
        ("none", "none"),
        ("a=b", "a=b"),
        ("", ""),
        (" 2 ", 2),
    ],
)
def test_a_setting_is_read_as_toml_else_as_a_string(text: str, value: object) -> None:
    raw = with_settings({}, [f"searcher.x={text}"])
    assert raw == {"searcher": {"x": value}}
    assert type(raw["searcher"]["x"]) is type(value)


def test_settings_lie_over_the_raw_values_and_leave_them_alone() -> None:
    raw = {"searcher": "darts", "supernet": {"lr": 1.0, "cells": 2}}
    merged = with_settings(raw, ["supernet.lr=2.0", "searcher.order=2", "supernet.lr=3.0"])
    assert merged == {"searcher": {"name": "darts", "order": 2}, "supernet": {"lr": 3.0, "cells": 2}}
    assert raw == {"searcher": "darts", "supernet": {"lr": 1.0, "cells": 2}}


def test_none_is_no_value_where_there_may_be_none_and_else_a_word() -> None:
    """TOML has no null; and `none` is also the name of an operation."""
    off = with_settings({}, ["supernet.clip=none", "selector.operation=none"])
    config = resolve(off, "random", "constant", 0)
    assert config.supernet.clip is None
    assert config.selector.options["operation"] == "none"
    assert resolve({"supernet": {"clip": "none"}}, "random", "constant", 0).supernet.clip is None
    assert resolve({"supernet": {"clip": 1}}, "random", "constant", 0).supernet.clip == 1.0


def test_a_toml_file_is_a_whole_configuration(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('task = "digits"\nseeds = "0:3"\n[searcher]\nname = "darts"\norder = 2\n[supernet]\nlr = 0.3\n')
    raw = with_settings(read_toml(file), [])
    assert raw == {
        "task": "digits",
        "seeds": "0:3",
        "searcher": {"name": "darts", "order": 2},
        "supernet": {"lr": 0.3},
    }
    assert resolve(raw, "darts", "magnitude", 0).supernet.lr == 0.3


# -- one line that names the option, its value and what is accepted ------------------------------------------------


class Sample(PluginOptions):
    count: int = 1


def test_true_and_false_stay_what_they_are_where_they_may_be() -> None:
    class Model(BaseModel):
        plain: bool = False
        perhaps: bool | None = None
        either: Literal[True, "auto"] = "auto"
        any: Any = 0

    found = typed(Model, {"plain": True, "perhaps": False, "either": True, "any": True}, "a section")
    assert (found.plain, found.perhaps, found.either, found.any) == (True, False, True, True)


def test_a_typed_model_of_a_third_party_refuses_in_one_line() -> None:
    assert typed(Sample, {"count": 3}, "searcher 'x'") == Sample(count=3)
    with pytest.raises(
        BenchbedError, match=r"^unknown option of searcher 'x' 'coutn': did you mean 'count'\? known: count$"
    ):
        typed(Sample, {"coutn": 3}, "searcher 'x'")
    with pytest.raises(BenchbedError, match=r"^searcher 'x': count = 'many': input should be a valid integer"):
        typed(Sample, {"count": "many"}, "searcher 'x'")


def test_options_of_a_plug_in_without_any() -> None:
    class Empty(BaseModel):
        pass

    with pytest.raises(BenchbedError, match=r"^unknown option of searcher 'x' 'a': known: none$"):
        typed(Empty, {"a": 1}, "searcher 'x'")
