"""Every function of benchbed, called by a test, checks its annotations, array shapes included.

Before anything imports benchbed, `install` puts the check before each function of it and of both wings
(benchbed.searchers.*, benchbed.selectors.*).
"""

import inspect
from functools import partial, wraps
from typing import Any, TypeVar, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

JAXTYPED = jaxtyping.jaxtyped
PLAIN = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))


def checked(fn: Any = None, *, typechecker: Any) -> Any:
    """`jaxtyping.jaxtyped`; where no annotation is an array's, the same check without the book-keeping of its axes.

    That is most functions, and for them most of the time that checking takes.
    """
    if fn is None:
        return partial(checked, typechecker=typechecker)
    try:
        hints = get_type_hints(fn, include_extras=True) if inspect.isfunction(fn) else {"": jaxtyping.AbstractArray}
    except Exception:  # a name that is not there yet: jaxtyping's own way with it
        hints = {"": jaxtyping.AbstractArray}
    if inspect.isgeneratorfunction(fn) or any(map(may_be_array, hints.values())):
        return JAXTYPED(fn, typechecker=typechecker)
    strict = PLAIN(fn)

    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (fn if jaxtyping.config.jaxtyping_disable else strict)(*args, **kwargs)

    return call if hints else fn


def may_be_array(hint: Any) -> bool:
    """Whether the hint has an array in it, or what may stand for one."""
    if isinstance(hint, list):  # a callable's arguments
        return any(map(may_be_array, hint))
    array = isinstance(hint, TypeVar) or (inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray))
    return array or any(map(may_be_array, get_args(hint)))


def install() -> None:
    """The tower: an int is a float."""
    jaxtyping.jaxtyped = checked  # which the hook puts before each function
    jaxtyping.install_import_hook("benchbed", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
