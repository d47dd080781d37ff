"""Frozen dataclasses from JSON, TOML or the command line, with every field's name and type checked."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from finola_codec.errors import ConfigError

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """Return an instance of the dataclass ``kind``; fields that ``values`` does not name have their default.

    A list becomes the tuple that the field wants, and a whole number the float. Raises :class:`ConfigError`, which
    begins with ``what``, for an unknown field, a missing one and a value of another type.

    >>> from finola_codec.profiles import BlockProfile
    >>> build(BlockProfile, {"name": "small", "channels": "many"}, "my profile")
    Traceback (most recent call last):
    finola_codec.errors.ConfigError: my profile: channels is 'many', which is not of type int
    """
    hints = typing.get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"{what}: there is no field {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return kind(**{name: _checked(value, hints[name], f"{what}: {name}") for name, value in values.items()})
    except TypeError as error:  # a field without a default is missing
        raise ConfigError(f"{what}: {error}") from error


def _checked(value: Any, hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} is {value!r}, which is not a list")
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) != len(value):
            raise ConfigError(f"{name} has {len(value)} values, not {len(arguments)}")
        return tuple(_checked(v, a, name) for v, a in zip(value, arguments, strict=True))
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(f"{name} is {value!r}, not one of {', '.join(map(str, arguments))}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{name} is {value!r}, which is not of type {hint.__name__}")
    return value
