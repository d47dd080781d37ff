"""The training pictures, decoded once into one memory-mapped file of pixels."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.progress import track

from finola_codec import formats, images
from finola_codec.errors import ConfigError, ImageError

PIXELS, INDEX = "pixels.u8", "index.json"
UNREADABLE = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)


def ensure_cache(source: Path, folder: Path, min_side: int) -> None:
    """Build the cache of ``source`` in ``folder``, unless it is there.

    Raises :class:`ConfigError` where the cache is of other pictures, or has some that are too small, and as
    :func:`build_cache` does.
    """
    if not (folder / INDEX).exists():
        build_cache(source, folder, min_side)
        return
    index = json.loads((folder / INDEX).read_text())
    other = "name another folder with --cache"
    if Path(index["source"]).resolve() != source.resolve():
        raise ConfigError(f"{folder}: holds the pictures of {index['source']}, not of {source}; {other}")
    if (held := index.get("min_side", min_side)) < min_side:
        raise ConfigError(f"{folder}: holds pictures of {held} pixels a side, less than crops of {min_side}; {other}")


def build_cache(source: Path, folder: Path, min_side: int) -> None:
    """Decode every picture of ``source`` whose sides are ``min_side`` or more into ``folder``.

    ``source`` is a folder, a text file with the path of a picture on each line (relative to the file's own folder), or
    a WebDataset shard, a .tar file of pictures. Pictures that cannot be read are reported and left out. Raises
    :class:`ConfigError` where there is no picture to train on, or the disk has no room for the pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    with open(folder / PIXELS, "wb") as out:
        for name, pixels in _pictures(source, folder, min_side):
            if min(pixels.shape[:2]) >= min_side:
                entries.append({"name": name, "offset": out.tell(), "shape": pixels.shape})
                out.write(pixels.tobytes())
    if not entries:
        raise ConfigError(f"{source}: no picture of {min_side} x {min_side} pixels or more to train on")
    temporary = folder / f"{INDEX}.part"
    temporary.write_text(json.dumps({"source": str(source.resolve()), "min_side": min_side, "images": entries}))
    os.replace(temporary, folder / INDEX)  # the index is written last: a cache with an index is whole


def _pictures(source: Path, folder: Path, min_side: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    if source.suffix == ".tar":
        yield from _of_shard(source, folder)
        return
    paths = list(_paths(source))
    _check_room(paths, source, folder, min_side)
    for name, path in track(paths, description="Decoding"):
        pixels = _decoded(path, str(path))
        if pixels is not None:
            yield name, pixels


def _paths(source: Path) -> Iterator[tuple[str, Path]]:
    """The name of each picture and its path."""
    if source.is_dir():
        for path in formats.pictures_in(source):
            yield str(path.relative_to(source)), path
        return
    try:
        lines = source.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: neither a folder, a list of paths nor a .tar shard: {error}") from error
    for line in filter(None, map(str.strip, lines)):
        yield line, source.parent / line


def _of_shard(source: Path, folder: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    import io

    import webdataset

    needed = 8 * source.stat().st_size  # what compressed pictures take when they are decoded, roughly
    _check_bytes(needed, source, folder)
    for sample in webdataset.WebDataset(str(source), shardshuffle=False):
        for key, value in sample.items():
            if f".{key.lower()}" in formats.SUFFIXES:
                name = f"{sample['__key__']}.{key}"
                pixels = _decoded(io.BytesIO(value), name)
                if pixels is not None:
                    yield name, pixels


def _decoded(file: Path | BinaryIO, name: str) -> NDArray[np.uint8] | None:
    try:
        return images.to_planes(formats.read(file, name, max_pixels=None)).pixels
    except ImageError as error:
        print(f"skipped {error}")
        return None


def _check_room(paths: list[tuple[str, Path]], source: Path, folder: Path, min_side: int) -> None:
    needed = 0
    for _, path in paths:
        try:
            with Image.open(path) as image:
                if min(image.size) >= min_side:
                    needed += 3 * image.width * image.height
        except UNREADABLE:
            continue  # decoding reports it
    _check_bytes(needed, source, folder)


def _check_bytes(needed: int, source: Path, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"{folder}: the pixels of {source} take {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left; "
            "name a larger disk with --cache, or train on fewer pictures"
        )
