"""finola-codec compare"""

from __future__ import annotations

import io
from pathlib import Path

import click
import numpy as np

from finola_codec.cli import files, options
from finola_codec.errors import FinolaError
from finola_codec.runtime.model import DEFAULT_MODEL


@click.command()
@click.argument("picture", metavar="IN")
@click.argument("out", metavar="OUT.png")
@click.option("--codec", default="jpeg", show_default=True, help="The codec to compare with.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Ours.")
@click.option("--quality", type=click.IntRange(1, 100), default=30, show_default=True, help="Of ours; sets the bytes.")
@options.force
def compare(picture: str, out: str, codec: str, model: str, quality: int, force: bool) -> None:
    """Put the picture IN, our codec and another one at equal bytes side by side in one PNG."""
    files.check_apart(picture, out)
    if out != files.STREAM and Path(out).suffix.lower() != ".png":
        raise FinolaError(f"{out}: compare writes a PNG; give it a name that ends in .png")
    files.check_target(out, force)
    from finola_codec.evaluation.codecs import find
    from finola_codec.evaluation.compare import at_bytes, caption, side_by_side
    from finola_codec.evaluation.metrics import psnr
    from finola_codec.evaluation.pictures import Picture

    original = Picture(picture, Path(picture)).read()  # upright, as our decoder will give it
    ours, other = find([codec], [model])
    data = ours.encode(original, quality)
    panels = [("original", original)]
    for chosen, coded in ((ours, data), (other, at_bytes(other, original, len(data)))):
        decoded = chosen.decode(coded)
        reached = psnr(np.asarray(original), np.asarray(decoded))
        panels.append((caption(chosen.name, len(coded), len(data), reached), decoded))
    png = io.BytesIO()
    side_by_side(panels).save(png, "PNG")
    files.write(out, png.getvalue(), force)
    for title, _ in panels[1:]:
        click.echo(title, err=out == files.STREAM)
