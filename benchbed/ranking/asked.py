"""Which proxies or which predictor is asked for: 'synflow,nwot:batch=64', 'gp:encoding=path', with their options."""

import re
from typing import Any, NamedTuple

from .. import registry
from ..errors import BenchbedError
from ..pipeline.given import named_options
from ..pipeline.resolve import file_sha256, option_value
from ..predictor import Predictor
from ..proxy import Proxy
from ..typed import typed


class Asked(NamedTuple):
    """A proxy by name with the options that differ from its defaults. `label`: as it was asked for."""

    name: str
    options: dict[str, Any]

    @property
    def label(self) -> str:
        given = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{given}" if given else self.name

    def make(self) -> Proxy[Any]:
        """Raises BenchbedError for an unknown name, with the nearest, and for options that it does not take."""
        found: type[Proxy[Any]] = registry.load("proxy", self.name)
        return found(typed(found.Options, self.options, f"proxy '{self.name}'"))

    @property
    def code(self) -> str | None:
        """The digest of a user's proxy; ours are known by benchbed's version."""
        return None if registry.is_ours(registry.find("proxy", self.name)) else file_sha256("proxy", self.name)


def asked(texts: list[str]) -> list[Asked]:
    """Of 'A,B:KEY=VALUE,KEY=VALUE,C' each; underscores may stand for hyphens. Raises BenchbedError as `make` does."""
    found: list[Asked] = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        if re.fullmatch(r"[^:=]+=.*", part) and found:  # a further option of the proxy before it
            key, value = _setting(part)
            found[-1].options[key] = value
            continue
        name, colon, rest = part.partition(":")
        found.append(Asked(name.replace("_", "-"), dict([_setting(rest)]) if colon else {}))
    for one in found:
        one.make()
    labels = [one.label for one in found]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise BenchbedError(f"proxy '{twice[0]}' is given twice; expected each once")
    if not found:
        raise BenchbedError(
            f"no proxy is given: expected some of {', '.join(p.name for p in registry.plugins('proxy'))}"
        )
    return found


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BenchbedError(f"option '{text}' of a proxy: expected KEY=VALUE, as in nwot:batch=64")
    return key.strip(), option_value(value.strip())


def predictor_of(text: str) -> tuple[type[Predictor[Any]], Any]:
    """The predictor of 'NAME' or 'NAME:KEY=VALUE[,...]', and its options. Raises BenchbedError as `Asked.make` does."""
    name, given = named_options(text)
    loaded = registry.load("predictor", name)
    return loaded, typed(loaded.Options, given, f"predictor '{text}'")
