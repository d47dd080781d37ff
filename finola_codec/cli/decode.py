"""finola-codec decode"""

from __future__ import annotations

import io
from pathlib import Path

import click

from finola_codec import codec, images
from finola_codec.cli import files, options
from finola_codec.errors import FinolaError
from finola_codec.runtime.model import load_model


@click.command()
@options.paths
@options.out_dir
@click.option("--model", help="A model's name or folder; by default the shipped one that the file names.")
@options.force
@options.threads
@options.max_pixels
def decode(
    paths: tuple[str, ...],
    out_dir: Path | None,
    model: str | None,
    force: bool,
    threads: int,
    max_pixels: int,
) -> None:
    """Decode .fin files.

    OUT's suffix says the format, which may be any that Pillow writes; - writes a PNG to standard output.
    With --out-dir, any number of files and folders; a.fin becomes a.png.
    """
    opened = load_model(model, threads) if model else None

    def work(source: str, target: str) -> None:
        files.check_target(target, force)
        name = "standard input" if source == files.STREAM else source
        data = files.read(source)
        out = io.BytesIO()
        try:
            image = codec.decode(data, model=opened, max_pixels=max_pixels, threads=threads)
            images.save(image, out, ".png" if target == files.STREAM else Path(target).suffix)
        except FinolaError as error:
            raise type(error)(f"{name}: {error}") from error
        files.write(target, out.getvalue(), make_folder=out_dir is not None)

    files.run(files.jobs(paths, out_dir, ".png", lambda: {".fin"}), work, "Decoding")
