"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from finola_codec.batch.work import Decoding, Encoding
from finola_codec.codec import DEFAULT_EFFORT, EFFORTS, LAYERS
from finola_codec.container import DEFAULT_MAX_PIXELS
from finola_codec.formats import format_of
from finola_codec.runtime.devices import DEVICES
from finola_codec.runtime.manifest import DEFAULT_TUNE, TUNES
from finola_codec.runtime.model import DEFAULT_MODEL

Command = Callable[..., Any]
GOALS = ("quality", "target_bpp", "target_bytes", "target_psnr", "lossless")  # of which one can be given


class _Positive(click.FloatRange):
    """A number that is greater than zero, and is one: click's own range lets nan and infinity pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class _Suffix(click.ParamType):
    """A picture format that Pillow writes, given by its suffix, with the dot or without."""

    name = "suffix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        suffix = f".{str(value).removeprefix('.').lower()}"
        format_of(suffix)
        return suffix


POSITIVE = _Positive(min=0, min_open=True)
FILE = click.Path(path_type=str, allow_dash=True)  # completed by the shell, and checked by us

paths = click.argument("paths", nargs=-1, required=True, metavar="IN OUT | IN... --out-dir DIR", type=FILE)
out_dir = click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the results; created if missing.")
EFFORT = click.Choice(list(map(str, EFFORTS)))
TUNE = click.Choice(TUNES)
effort = click.option(
    "--effort",
    type=EFFORT,
    callback=lambda context, parameter, value: int(value),
    default=str(DEFAULT_EFFORT),
    show_default=True,
    help="0 rounds; 1 weighs bits against error; 3 looks for a layer too; 5 to 10 refine by gradients, ever longer.",
)
force = click.option("--force", is_flag=True, help="Overwrite files that exist.")
skip_existing = click.option("--skip-existing", is_flag=True, help="Leave files that exist, and do only the others.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Print a line about every file.")
threads = click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0, the default, for all.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    help="Refuse pictures with more pixels.",
)
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    help="What the networks run on; by default what FINOLA_DEVICE says, or auto: openvino where it is installed.",
)
_MODEL = "A model's name, or its folder"


def encoding(command: Command) -> Command:
    """Add the options that make up an :class:`Encoding`, which ``command`` gets as ``work``."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, quality: int | None, **given: Any) -> Any:
        given["lossless"] = given["lossless"] or given["layer"] == "only"
        if sum(bool(goal) for goal in (quality, *(given[name] for name in GOALS[1:]))) > 1:
            raise click.UsageError("give one of --quality, --target-bpp, --target-bytes, --target-psnr and --lossless")
        fields = {name: given.pop(name) for name in Encoding.__dataclass_fields__ if name in given}
        return command(*arguments, work=Encoding(quality=quality or 50, **fields), **given)

    return added(
        wrapped,
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help=f"{_MODEL}."),
        click.option("--quality", type=click.IntRange(1, 100), help="1 (smallest) to 100 (best); 50 by default."),
        click.option("--target-bpp", type=POSITIVE, help="The best quality within it."),
        click.option("--target-bytes", type=click.IntRange(min=1), help="The best quality within it."),
        click.option("--target-psnr", type=POSITIVE, help="The fewest bytes that reach it, dB."),
        click.option("--lossless", is_flag=True, help="Keep every pixel exactly, as lossless WebP within the file."),
        click.option(
            "--layer",
            type=click.Choice(LAYERS),
            default="auto",
            show_default=True,
            help="Text and graphics as a lossless layer: where it pays, never, or as --lossless.",
        ),
        click.option(
            "--tune",
            type=TUNE,
            default=DEFAULT_TUNE,
            show_default=True,
            help="What the bits are spent for: PSNR, or MS-SSIM, which is nearer to what eyes see.",
        ),
        effort,
        click.option("--strip", is_flag=True, help="Leave out EXIF, XMP and resolution; the ICC profile stays."),
        click.option("--frame", type=click.IntRange(min=0), help="Which picture of a file of several, from 0 on."),
        max_pixels,
        device,
    )


def decoding(command: Command) -> Command:
    """Add the options that make up a :class:`Decoding`, which ``command`` gets as ``work``."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **given: Any) -> Any:
        fields = {name: given.pop(name) for name in Decoding.__dataclass_fields__ if name in given}
        return command(*arguments, work=Decoding(**fields), **given)

    return added(
        wrapped,
        click.option("--model", help=f"{_MODEL}; by default the one that each file names."),
        click.option(
            "--format",
            "suffix",
            type=_Suffix(),
            default="png",
            show_default=True,
            help="Of the results in a folder, and on standard output.",
        ),
        click.option(
            "--output-quality",
            type=click.IntRange(1, 100),
            help="Of results in a lossy format; by default they lose as little as the format can.",
        ),
        click.option(
            "--salvage", is_flag=True, help="Recover what damage allows; exit code 3 if something is missing."
        ),
        max_pixels,
        device,
    )


def engine(workers: int | None, default: str | None = None) -> Callable[[Command], Command]:
    """Add the options that say where the work is done: --workers, --engine, --address."""
    return lambda command: added(
        command,
        click.option(
            "--workers", type=click.IntRange(min=1), default=workers, show_default=default or True, help="Processes."
        ),
        click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True),
        click.option("--address", default="", help="Of a Ray cluster; by default one is started here."),
    )


def running(command: Command) -> Command:
    """Add the options of a training run. How long it lasts, if that is given, comes first in its ``settings``."""

    @functools.wraps(command)
    def wrapped(
        *arguments: Any, minutes: float | None, steps: int | None, settings: Sequence[str], **given: Any
    ) -> Any:
        if minutes and steps:
            raise click.UsageError("--minutes and --steps contradict each other")
        duration = [f"minutes={minutes}"] if minutes else ["minutes=0", f"steps={steps}"] if steps else []
        return command(*arguments, settings=[*duration, *settings], **given)

    folder = click.Path(path_type=Path)
    return added(
        wrapped,
        click.option("--out", "run", required=True, type=folder, help="Folder of the run."),
        click.option("--minutes", type=POSITIVE, help="How long the run lasts."),
        click.option("--steps", type=click.IntRange(min=1), help="How many steps the run lasts."),
        click.option(
            "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set a field of the configuration."
        ),
        click.option("--cache", type=folder, help="Folder of decoded pixels; RUN/cache by default."),
        click.option("--resume", is_flag=True, help="Continue the run from its checkpoint."),
        click.option("--max-steps", type=click.IntRange(min=1), help="Stop for now after this many more steps."),
    )


def added(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options and arguments to a command, which has them in this order."""
    for option in reversed(options):
        command = option(command)
    return command
