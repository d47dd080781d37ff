"""The pictures to evaluate: a folder, a list, a glob, a tar shard, one file."""

from __future__ import annotations

import glob
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from finola_codec import formats, images
from finola_codec.container import DEFAULT_MAX_PIXELS
from finola_codec.errors import ConfigError, ImageError


@dataclass(frozen=True)
class Picture:
    """One picture: its name in the results, the file that holds it, and its place there if that is a tar."""

    name: str
    path: Path
    offset: int | None = None
    size: int = 0

    def read(self, resize: int | None = None, crop: int | None = None) -> Image.Image:
        """Read the picture as RGB, as :func:`finola_codec.encode` sees it: upright, 8 bits a channel.

        Its shorter side is brought to ``resize``, and its centre cropped to ``crop``.

        It comes without its ICC profile and EXIF, which some codecs would carry along and others not. Raises
        :class:`ImageError` naming the picture where it cannot be read, or is smaller than the crop.
        """
        if self.offset is None:
            picture = formats.read(self.path, self.name)
        else:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                picture = formats.read(io.BytesIO(file.read(self.size)), self.name)
        resized = _resized(Image.fromarray(images.to_planes(picture).pixels), resize, self.name)
        if crop is not None and crop > min(resized.size):
            raise ImageError(f"{self.name}: {resized.width} x {resized.height} pixels, less than the crop's {crop}")
        return _centre(resized, crop)


def find(source: str) -> list[Picture]:
    """Find pictures: those in and below a folder, of a .txt list of paths, a .tar (WebDataset shard), a glob, or one.

    Raises :class:`ConfigError` where there is none.
    """
    path = Path(source)
    if path.is_dir():
        found = [Picture(p.relative_to(path).as_posix(), p) for p in formats.pictures_in(path)]
    elif path.suffix == ".tar" and path.is_file():
        found = _in_tar(path)
    elif path.suffix == ".txt" and path.is_file():
        lines = (line.strip() for line in path.read_text().splitlines())
        found = [Picture(line, path.parent / line) for line in lines if line]
    elif path.is_file():
        found = [Picture(path.name, path)]
    else:
        found = [Picture(p, Path(p)) for p in sorted(glob.glob(source, recursive=True)) if formats.is_picture(p)]
    if not found:
        raise ConfigError(f"{source}: no picture there")
    return found


def _in_tar(path: Path) -> list[Picture]:
    try:
        with tarfile.open(path) as shard:
            members = [m for m in shard.getmembers() if m.isfile() and formats.is_picture(m.name)]
    except (tarfile.TarError, OSError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return [Picture(m.name, path, m.offset_data, m.size) for m in members]


def _resized(picture: Image.Image, side: int | None, name: str) -> Image.Image:
    if side is None:
        return picture
    scale = side / min(picture.size)
    size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
    if size[0] * size[1] > DEFAULT_MAX_PIXELS:
        raise ImageError(f"{name}: would be resized to {size[0]} x {size[1]}, more than {DEFAULT_MAX_PIXELS} pixels")
    return picture.resize(size, Image.Resampling.BICUBIC)


def _centre(picture: Image.Image, side: int | None) -> Image.Image:
    if side is None:
        return picture
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
