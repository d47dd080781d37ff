"""finola-codec decode"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from PIL import Image

from finola_codec import codec, images
from finola_codec.cli import files, options
from finola_codec.errors import IncompleteError
from finola_codec.runtime.model import load_model


@click.command()
@options.paths
@options.out_dir
@click.option("--model", help="A model's name or folder; by default the shipped one that the file names.")
@click.option("--salvage", is_flag=True, help="Recover what damage allows; exit code 3 if something is missing.")
@options.force
@options.threads
@options.max_pixels
def decode(
    paths: tuple[str, ...],
    out_dir: Path | None,
    model: str | None,
    salvage: bool,
    force: bool,
    threads: int,
    max_pixels: int,
) -> None:
    """Decode .fin files.

    OUT's suffix says the format, which may be any that Pillow writes; - writes a PNG to standard output.
    With --out-dir, any number of files and folders; a.fin becomes a.png.
    """
    if model:
        load_model(model, threads)  # an unknown one is refused before any file is read
    work = _Decoding(model, salvage, force, out_dir is not None, max_pixels)
    files.run(files.jobs(paths, out_dir, ".png", lambda: {".fin"}), work, threads, "Decoding")


@dataclass(frozen=True)
class _Decoding:
    model: str | None
    salvage: bool
    force: bool
    make_folder: bool
    max_pixels: int

    def __call__(self, job: files.Job, threads: int) -> None:
        source, target = job
        files.check_target(target, self.force)
        data = files.read(source)
        model = load_model(self.model, threads) if self.model else None
        out = io.BytesIO()
        decode = codec.salvage if self.salvage else _whole
        with files.naming(source):
            image, problems = decode(data, model=model, max_pixels=self.max_pixels, threads=threads)
            images.save(image, out, ".png" if target == files.STREAM else Path(target).suffix)
        files.write(target, out.getvalue(), self.force, self.make_folder)
        if problems:
            raise IncompleteError(f"{files.name_of(source)}: salvaged: {'; '.join(problems)}")


def _whole(data: bytes, **options: Any) -> tuple[Image.Image, list[str]]:
    return codec.decode(data, **options), []
