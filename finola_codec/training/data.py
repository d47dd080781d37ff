"""Pictures to train on, decoded once into one memory-mapped file of pixels."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from finola_codec.errors import ConfigError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".jp2", ".tif", ".tiff", ".bmp", ".ppm"}
PIXELS, INDEX = "pixels.u8", "index.json"
REDUCED = 2 / 3  # of the crops, where they may be


def build_cache(source: Path, folder: Path, min_side: int) -> None:
    """Decode every picture below ``source`` whose sides are ``min_side`` or more into ``folder``.

    Raises :class:`ConfigError` where there is no such picture. Unreadable files are reported and skipped.
    """
    paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    offset = 0
    with open(folder / PIXELS, "wb") as out:
        for path in track(paths, description="Decoding"):
            try:
                with Image.open(path) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                print(f"skipped {path}: {error}")
                continue
            if min(pixels.shape[:2]) < min_side:
                continue
            out.write(pixels.tobytes())
            entries.append({"name": str(path.relative_to(source)), "offset": offset, "shape": pixels.shape})
            offset += pixels.size
    if not entries:
        raise ConfigError(f"{source}: no picture of {min_side} x {min_side} pixels or more to train on")
    temporary = folder / f"{INDEX}.part"
    temporary.write_text(json.dumps({"source": str(source), "images": entries}))
    os.replace(temporary, folder / INDEX)  # the index is written last: a cache with an index is whole


@dataclass(frozen=True)
class Pictures:
    """A cache opened for reading, split into pictures to train on and pictures held out."""

    train: list[NDArray[np.uint8]]
    held_out: list[NDArray[np.uint8]]

    @classmethod
    def open(cls, folder: Path, held_out: int) -> Pictures:
        """Map the cache; every n-th picture by name is held out, ``held_out`` of them (a tenth at most)."""
        entries = json.loads((folder / INDEX).read_text())["images"]
        pixels = np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")
        images = [pixels[e["offset"] : e["offset"] + int(np.prod(e["shape"]))].reshape(e["shape"]) for e in entries]
        count = min(held_out, len(images) // 10)
        chosen = {int(i) for i in np.linspace(0, len(images) - 1, count)}
        return cls(
            [image for i, image in enumerate(images) if i not in chosen],
            [images[i] for i in sorted(chosen)],
        )

    def batch(self, size: int, crop: int, rng: np.random.Generator, reduce: float = 1.0) -> Tensor:
        """Random crops (size, 3, crop, crop) in [-0.5, 0.5], flipped and transposed at random.

        A picture is drawn in proportion to the square root of its area: large ones hold more to see, small
        ones are more varied. Two thirds of the crops are of a larger region, reduced by a random factor up to
        ``reduce``: pictures that were compressed before lack the fine detail that reduced ones have.
        """
        weights = np.array([np.sqrt(image.shape[0] * image.shape[1]) for image in self.train])
        chosen = rng.choice(len(self.train), size, p=weights / weights.sum())
        return to_tensor([_random_crop(self.train[i], crop, rng, reduce) for i in chosen])

    def samples(self, count: int, side: int) -> list[NDArray[np.uint8]]:
        """The central crop, of ``side`` at most, of ``count`` pictures to train on, evenly spread over them."""
        chosen = np.linspace(0, len(self.train) - 1, count).astype(int)
        return [np.ascontiguousarray(_centre(self.train[i], side)) for i in chosen]

    def held_out_crops(self, crop: int) -> Tensor:
        """The central crop of each held-out picture (N, 3, crop, crop) in [-0.5, 0.5]."""
        return to_tensor([_centre(image, crop) for image in self.held_out])


def _crop(image: NDArray[np.uint8], top: int, left: int, size: int) -> NDArray[np.uint8]:
    return image[top : top + size, left : left + size]


def _centre(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return _crop(image, max(0, image.shape[0] - size) // 2, max(0, image.shape[1] - size) // 2, size)


def _random_crop(image: NDArray[np.uint8], size: int, rng: np.random.Generator, reduce: float) -> NDArray[np.uint8]:
    largest = min(reduce, min(image.shape[:2]) / size)
    side = int(size * rng.uniform(1, largest)) if largest > 1 and rng.random() < REDUCED else size
    top, left = rng.integers(image.shape[0] - side + 1), rng.integers(image.shape[1] - side + 1)
    crop = _crop(image, int(top), int(left), side)
    if side > size:
        crop = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS))
    return np.rot90(crop, k=int(rng.integers(4)))[:, :: int(rng.choice([-1, 1]))]


def to_tensor(crops: list[NDArray[np.uint8]]) -> Tensor:
    """Pixels (H, W, 3) of one size to a channels-last tensor (N, 3, H, W) in [-0.5, 0.5]."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(crops)))
    return stacked.permute(0, 3, 1, 2).float() / 255 - 0.5
