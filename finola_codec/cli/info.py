"""finola-codec info"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from finola_codec import codec
from finola_codec.cli import files, options
from finola_codec.errors import FinolaError, naming

COLUMNS = ("file", "size", "mode", "quality", "bytes", "bpp", "model")


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=options.FILE)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object on a line for each file.")
@click.option("--verify", is_flag=True, help="Decode the integers too and give their SHA-256.")
@click.option("--model", help="To verify with; by default the installed one that each file names.")
@options.max_pixels
def info(paths: tuple[str, ...], as_json: bool, verify: bool, model: str | None, max_pixels: int) -> None:
    """Print what .fin files say of themselves: size, quality, model, chunks. Of several, a table."""
    is_table = len(paths) > 1 and not as_json
    if is_table:
        click.echo("\t".join((*COLUMNS, *(["integers"] if verify else []))))
    failed = 0
    for path in paths:
        try:
            found, integers = _look(path, verify, model, max_pixels)
        except FinolaError as error:
            if len(paths) == 1:
                raise
            click.echo(f"finola-codec: {error}", err=True)
            failed += 1
            continue
        if as_json:
            verified = {} if integers is None else {"integers": integers}
            click.echo(json.dumps({"file": path} | asdict(found) | verified))
        elif is_table:
            size, model_name = f"{found.width} x {found.height}", found.model or found.model_id
            row = [path, size, found.mode, found.quality, found.bytes, f"{found.bpp:.3f}", model_name]
            click.echo("\t".join(map(str, [*row, *([integers] if verify else [])])))
        else:
            _print(path, found, integers)
    if failed:
        raise FinolaError(f"{failed} of {len(paths)} files could not be read")


def _look(path: str, verify: bool, model: str | None, max_pixels: int) -> tuple[codec.Info, str | None]:
    data = files.read(path)
    with naming(files.name_of(path)):
        integers = codec.fingerprint(data, model=model, max_pixels=max_pixels) if verify else None
        return codec.info(data), integers


def _print(path: str, found: codec.Info, integers: str | None) -> None:
    click.echo(f"{path}: {found.width} x {found.height} {found.mode}, quality {found.quality}")
    click.echo(f"{found.bytes} bytes, {found.bpp:.3f} bit/pixel")
    click.echo(f"model {found.model or 'unknown'} ({found.model_id})")
    for name, size in found.chunks.items():
        click.echo(f"  {name}: {size} bytes")
    if integers is not None:
        click.echo(f"integers {integers}")
