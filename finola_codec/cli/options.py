"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.container import DEFAULT_MAX_PIXELS

paths = click.argument("paths", nargs=-1, required=True, metavar="IN OUT | IN... --out-dir DIR")
out_dir = click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the results; created if missing.")
force = click.option("--force", is_flag=True, help="Overwrite files that exist.")
threads = click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0, the default, for all.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    help="Refuse pictures with more pixels.",
)
