"""finola-codec info"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from finola_codec import codec
from finola_codec.cli import files


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--verify", is_flag=True, help="Decode the integers too and give their SHA-256.")
@click.option("--model", help="To verify with; by default the shipped one that the file names.")
def info(file: str, as_json: bool, verify: bool, model: str | None) -> None:
    """Print what a .fin FILE says of itself: size, quality, model, chunks."""
    data = files.read(file)
    with files.naming(file):
        found = codec.info(data)
        integers = codec.fingerprint(data, model=model) if verify else None
    if as_json:
        verified = {} if integers is None else {"integers": integers}
        click.echo(json.dumps({"file": file} | asdict(found) | verified))
        return
    click.echo(f"{file}: {found.width} x {found.height} {found.mode}, quality {found.quality}")
    click.echo(f"{found.bytes} bytes, {found.bpp:.3f} bit/pixel")
    click.echo(f"model {found.model or 'unknown'} ({found.model_id})")
    for name, size in found.chunks.items():
        click.echo(f"  {name}: {size} bytes")
    if integers is not None:
        click.echo(f"integers {integers}")
