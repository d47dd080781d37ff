"""finola-codec models"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.errors import ModelError
from finola_codec.runtime import installed
from finola_codec.runtime.model import load_model

HEADER = ("model", "id", "MB", "tunes", "licence", "state", "folder")


@click.command()
def models() -> None:
    """List the models that are found by name.

    They are those that came with finola-codec, those in the folders that the environment variable FINOLA_MODELS names,
    and those in the current folder. All hashes are checked.
    """
    rows = [HEADER, *(_row(name, folder) for name, folder in installed.folders().items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(name: str, folder: Path) -> tuple[str, ...]:
    size = f"{sum(path.lstat().st_size for path in folder.iterdir()) / 1e6:.1f}"
    try:
        model = load_model(folder)
    except ModelError as error:
        return name, "-", size, "-", "-", str(error).removeprefix(f"{folder}: "), str(folder)
    return name, model.id.hex(), size, ", ".join(model.tunes), model.manifest.licence or "not given", "ok", str(folder)
