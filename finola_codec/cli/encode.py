"""finola-codec encode"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from finola_codec import codec, images
from finola_codec.cli import files, options
from finola_codec.runtime.model import DEFAULT_MODEL, load_model


@click.command()
@options.paths
@options.out_dir
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="A shipped model's name, or a model folder.")
@click.option("--quality", type=click.IntRange(1, 100), help="1 (smallest) to 100 (best); 50 by default.")
@click.option("--target-bpp", type=options.POSITIVE, help="The best quality within it.")
@click.option("--target-bytes", type=click.IntRange(min=1), help="The best quality within it.")
@click.option("--target-psnr", type=options.POSITIVE, help="The fewest bytes that reach it, dB.")
@click.option("--lossless", is_flag=True, help="Keep every pixel exactly, as lossless WebP within the .fin file.")
@click.option(
    "--layer",
    type=click.Choice(codec.LAYERS),
    default="auto",
    show_default=True,
    help="Text and graphics as a lossless layer: where it pays, never, or as --lossless.",
)
@options.effort
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
    lossless: bool,
    layer: Literal["auto", "off", "only"],
    effort: int,
    force: bool,
    threads: int,
    max_pixels: int,
) -> None:
    """Encode pictures as .fin files.

    IN is a picture in any format that Pillow reads, or - for standard input; OUT a file, or - for standard
    output. With --out-dir, any number of pictures and folders; a.png becomes a.fin.
    """
    exact = lossless or layer == "only" or None
    if sum(goal is not None for goal in (quality, target_bpp, target_bytes, target_psnr, exact)) > 1:
        raise click.UsageError("give one of --quality, --target-bpp, --target-bytes, --target-psnr and --lossless")
    load_model(model, threads)  # an unknown one is refused before any file is read
    work = _Encoding(
        model,
        quality or 50,
        target_bpp,
        target_bytes,
        target_psnr,
        "only" if lossless else layer,
        effort,
        force,
        out_dir is not None,
        max_pixels,
    )
    files.run(files.jobs(paths, out_dir, ".fin", images.suffixes), work, threads, "Encoding")


@dataclass(frozen=True)
class _Encoding:
    model: str
    quality: int
    target_bpp: float | None
    target_bytes: int | None
    target_psnr: float | None
    layer: Literal["auto", "off", "only"]
    effort: int
    force: bool
    make_folder: bool
    max_pixels: int

    def __call__(self, job: files.Job, threads: int) -> None:
        source, target = job
        files.check_target(target, self.force)
        file = io.BytesIO(files.read(source)) if source == files.STREAM else Path(source)
        held = [images.read(file, files.name_of(source), self.max_pixels)]
        with files.naming(source):
            encoded = codec.encode(
                held.pop(),  # nothing else refers to the picture, so encode can let go of it
                self.quality,
                model=load_model(self.model, threads),
                effort=self.effort,
                target_bpp=self.target_bpp,
                target_bytes=self.target_bytes,
                target_psnr=self.target_psnr,
                layer=self.layer,
                max_pixels=self.max_pixels,
            )
        files.write(target, encoded, self.force, self.make_folder)
