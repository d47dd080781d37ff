"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from finola_codec.codec import DEFAULT_EFFORT, MAX_EFFORT
from finola_codec.container import DEFAULT_MAX_PIXELS


class _Positive(click.FloatRange):
    """A number that is greater than zero, and is one: click's own range lets nan and infinity pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = _Positive(min=0, min_open=True)

paths = click.argument("paths", nargs=-1, required=True, metavar="IN OUT | IN... --out-dir DIR")
out_dir = click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the results; created if missing.")
effort = click.option(
    "--effort",
    type=click.IntRange(0, MAX_EFFORT),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="0 rounds; from 1 rate-distortion optimised; 7 to 9 by gradient descent, with torch.",
)
force = click.option("--force", is_flag=True, help="Overwrite files that exist.")
threads = click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0, the default, for all.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    help="Refuse pictures with more pixels.",
)


def engine(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the work is done: --workers, --engine, --address."""
    for option in (
        click.option("--address", default="", help="Of a Ray cluster; by default one is started here."),
        click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True),
        click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes."),
    ):
        command = option(command)
    return command
