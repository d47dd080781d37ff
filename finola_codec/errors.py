"""The errors that finola-codec raises.

::

    FinolaError
     |-- ConfigError      a profile, a configuration or an option makes no sense
     |    `-- TargetError  no quality brings a picture to the target it was to be encoded for
     |-- ModelError       a model is unknown, damaged, or not the one a file was written with
     |-- FormatError      a .fin file is damaged, truncated or not a .fin file
     |    `-- LimitError   a file claims more than the limits allow
     |-- ImageError       a picture cannot be read or represented
     |-- TrainingError    a training run has diverged
     `-- IncompleteError  a damaged file was decoded as far as it is intact

Every one of them is a complaint about input; the command line prints its text and exits with its ``exit_code``, 2, or 3
for :class:`IncompleteError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FinolaError(Exception):
    """Base of all errors of this package."""

    exit_code = 2


class ConfigError(FinolaError):
    """A profile, a configuration or an option makes no sense."""


class TargetError(ConfigError):
    """A picture does not meet the target that it was to be encoded for at any quality."""


class ModelError(FinolaError):
    """A model is unknown, damaged, or not the one a file was written with."""


class FormatError(FinolaError):
    """A .fin file is damaged, truncated or not a .fin file."""


class LimitError(FormatError):
    """A file claims more than the limits allow."""


class ImageError(FinolaError):
    """A picture cannot be read or represented."""


class TrainingError(FinolaError):
    """A training run has diverged."""


class IncompleteError(FinolaError):
    """A damaged file was decoded as far as it is intact."""

    exit_code = 3


def told(error: FinolaError | OSError) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, FinolaError):
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the name of a file before what is wrong with it, which may be that memory does not suffice for it."""
    try:
        yield
    except FinolaError as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise FinolaError(f"{name}: there is not enough memory for it") from error


def how_to_install(extra: str) -> str:
    """Say how to install an extra of this package, from the index and from a checkout."""
    return f"pip install 'finola-codec[{extra}]', or in a checkout pip install '.[{extra}]'"
