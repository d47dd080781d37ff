"""finola-codec encode"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import click

from finola_codec import codec, images
from finola_codec.cli import files, options
from finola_codec.errors import FinolaError
from finola_codec.runtime.model import DEFAULT_MODEL, load_model


@click.command()
@options.paths
@options.out_dir
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="A shipped model's name, or a model folder.")
@click.option("--quality", type=click.IntRange(1, 100), help="1 (smallest) to 100 (best); 50 by default.")
@click.option("--target-bpp", type=click.FloatRange(min=0, min_open=True), help="The best quality within it.")
@click.option("--target-bytes", type=click.IntRange(min=1), help="The best quality within it.")
@click.option("--target-psnr", type=click.FloatRange(min=0, min_open=True), help="The fewest bytes that reach it, dB.")
@options.force
@options.threads
@options.max_pixels
def encode(
    paths: tuple[str, ...],
    out_dir: Path | None,
    model: str,
    quality: int | None,
    target_bpp: float | None,
    target_bytes: int | None,
    target_psnr: float | None,
    force: bool,
    threads: int,
    max_pixels: int,
) -> None:
    """Encode pictures as .fin files.

    IN is a picture in any format that Pillow reads, or - for standard input; OUT a file, or - for standard
    output. With --out-dir, any number of pictures and folders; a.png becomes a.fin.
    """
    if sum(goal is not None for goal in (quality, target_bpp, target_bytes, target_psnr)) > 1:
        raise click.UsageError("give one of --quality, --target-bpp, --target-bytes and --target-psnr")
    opened = load_model(model, threads)

    def work(source: str, target: str) -> None:
        files.check_target(target, force)
        data = files.read(source)
        name = "standard input" if source == files.STREAM else source
        image = images.read(io.BytesIO(data), name, max_pixels)
        try:
            encoded = codec.encode(
                image,
                quality or 50,
                model=opened,
                target_bpp=target_bpp,
                target_bytes=target_bytes,
                target_psnr=target_psnr,
            )
        except FinolaError as error:
            raise type(error)(f"{name}: {error}") from error
        files.write(target, encoded, make_folder=out_dir is not None)

    files.run(files.jobs(paths, out_dir, ".fin", _picture_suffixes), work, "Encoding")


def _picture_suffixes() -> Collection[str]:
    from PIL import Image

    return set(Image.registered_extensions()) - {".fin"}
