"""finola-codec info"""

from __future__ import annotations

import json

import click

from finola_codec import codec
from finola_codec.cli import files
from finola_codec.errors import FinolaError


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: str, as_json: bool) -> None:
    """Print what a .fin FILE says of itself: size, quality, model, chunks."""
    try:
        found = codec.info(files.read(file))
    except FinolaError as error:
        raise type(error)(f"{file}: {error}") from error
    if as_json:
        click.echo(json.dumps({"file": file} | found))
        return
    click.echo(f"{file}: {found['width']} x {found['height']} {found['mode']}, quality {found['quality']}")
    click.echo(f"{found['bytes']} bytes, {found['bpp']:.3f} bit/pixel")
    click.echo(f"model {found['model'] or 'unknown'} ({found['model_id']})")
    for name, size in found["chunks"].items():
        click.echo(f"  {name}: {size} bytes")
