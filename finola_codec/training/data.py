"""Pictures to train on, and crops of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from finola_codec.training.cache import INDEX, PIXELS

REDUCED = 2 / 3  # share of the training crops of photographs that are reduced
HELD_OUT_A_KIND = 3  # graphics held out of each kind


class Region(NamedTuple):
    """A square of a picture that becomes a crop; it is turned to the left, and then mirrored."""

    picture: int  # its number among photographs to train on and, after these, graphics
    top: int
    left: int
    side: int
    turns: int  # by 90 degrees
    is_mirrored: bool


@dataclass(frozen=True)
class Pictures:
    """A cache opened for reading: photographs and graphics, each split into pictures to train on and held out.

    ``graphics`` are screenshots, charts, text: pictures whose edges are exact, which reducing would blur.
    ``held_out_graphics`` maps their kind, the name of the folder they are in, to the pictures held out.
    """

    train: list[NDArray[np.uint8]]
    held_out: list[NDArray[np.uint8]]
    graphics: list[NDArray[np.uint8]] = field(default_factory=list)
    held_out_graphics: dict[str, list[NDArray[np.uint8]]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, held_out: int, graphics: str = "graphics") -> Pictures:
        """Map the cache and hold pictures out of training: every n-th by name, never more than a tenth.

        ``held_out`` photographs are held out, and :data:`HELD_OUT_A_KIND` pictures of each kind of graphics:
        of each folder within a folder that is named ``graphics``.
        """
        entries = json.loads((folder / INDEX).read_text())["images"]
        pixels = np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")
        kinds: dict[str, list[NDArray[np.uint8]]] = {"": []}  # "" has the photographs
        for e in entries:
            parts = Path(e["name"]).parent.parts
            kind = "/".join(parts[parts.index(graphics) + 1 :]) or graphics if graphics in parts else ""
            image = pixels[e["offset"] : e["offset"] + int(np.prod(e["shape"]))].reshape(e["shape"])
            kinds.setdefault(kind, []).append(image)
        train, out = _hold_out(kinds.pop(""), held_out)
        split = {kind: _hold_out(images, HELD_OUT_A_KIND) for kind, images in sorted(kinds.items())}
        return cls(
            train,
            out,
            [image for kept, _ in split.values() for image in kept],
            {kind: held for kind, (_, held) in split.items()},
        )

    def batch(
        self, rngs: Sequence[np.random.Generator], crop: int, reduce: float = 1.0, graphics: float = 0.0
    ) -> Tensor:
        """Draw a crop by each generator: (N, 3, crop, crop) in [-0.5, 0.5], flipped and transposed at random.

        Each crop is of a graphic with probability ``graphics``, of a photograph otherwise. Within either, a picture is
        drawn in proportion to the square root of its area: large ones hold more to see, small ones are more varied.
        Two thirds of the photographs' crops are of a larger region, reduced by a random factor up to ``reduce``:
        pictures that were compressed before lack the fine detail that reduced ones have.
        """
        drawn = [self.draw(rng, crop, reduce, graphics) for rng in rngs]
        return to_tensor([_cut(self.to_train[region.picture], region, crop) for region in drawn])

    def draw(self, rng: np.random.Generator, crop: int, reduce: float, graphics: float) -> Region:
        """Draw a picture and what of it becomes a crop, as :meth:`batch` says."""
        is_graphic = (bool(self.graphics) and rng.random() < graphics) or not self.train
        images = self.graphics if is_graphic else self.train
        number = int(rng.choice(len(images), p=self._shares[is_graphic]))
        height, width = images[number].shape[:2]
        square = _random_square(height, width, crop, rng, 1.0 if is_graphic else reduce)
        return Region(number + is_graphic * len(self.train), *square)

    @cached_property
    def to_train(self) -> list[NDArray[np.uint8]]:
        """Photographs, then graphics."""
        return self.train + self.graphics

    @cached_property
    def _shares(self) -> list[NDArray[np.float64]]:
        """How likely each photograph is drawn among photographs, and each graphic among graphics."""
        sizes = [
            [np.sqrt(image.shape[0] * image.shape[1]) for image in images] for images in (self.train, self.graphics)
        ]
        return [np.array(areas) / max(np.sum(areas), 1) for areas in sizes]

    def samples(self, count: int, side: int) -> list[NDArray[np.uint8]]:
        """Return the central crop, of ``side`` at most, of ``count`` pictures to train on, evenly spread over them."""
        chosen = np.linspace(0, len(self.to_train) - 1, count).astype(int)
        return [np.ascontiguousarray(_centre(self.to_train[i], side)) for i in chosen]

    def held_out_crops(self, crop: int) -> Tensor:
        """Return the central crop of each held-out photograph (N, 3, crop, crop) in [-0.5, 0.5]."""
        return to_tensor([_centre(image, crop) for image in self.held_out])

    def held_out_samples(self, count: int, side: int) -> list[NDArray[np.uint8]]:
        """Return the central crop, of ``side`` at most, of ``count`` held-out pictures, evenly spread over them."""
        images = self.held_out + [image for held in self.held_out_graphics.values() for image in held]
        chosen = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
        return [np.ascontiguousarray(_centre(images[i], side)) for i in chosen]

    def held_out_graphics_crops(self, unit: int, largest: int = 512) -> dict[str, list[Tensor]]:
        """By kind, as much of each held-out graphic (1, 3, H, W) as whole units and ``largest`` allow.

        A small crop from the centre of a page may well be white.
        """
        crops = {}
        for kind, images in self.held_out_graphics.items():
            sides = [[min(largest, side // unit * unit) for side in image.shape[:2]] for image in images]
            crops[kind] = [to_tensor([image[:h, :w]]) for image, (h, w) in zip(images, sides, strict=True)]
        return crops


def _hold_out(images: list[NDArray[np.uint8]], count: int) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    count = min(count, len(images) // 10)
    chosen = {int(i) for i in np.linspace(0, len(images) - 1, count)} if count else set()
    kept = [image for i, image in enumerate(images) if i not in chosen]
    return kept, [images[i] for i in sorted(chosen)]


def _centre(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    top, left = max(0, image.shape[0] - size) // 2, max(0, image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def _random_square(
    height: int, width: int, size: int, rng: np.random.Generator, reduce: float
) -> tuple[int, int, int, int, bool]:
    largest = min(reduce, min(height, width) / size)
    side = int(size * rng.uniform(1, largest)) if largest > 1 and rng.random() < REDUCED else size
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return int(top), int(left), side, int(rng.integers(4)), bool(rng.choice([-1, 1]) < 0)


def _cut(image: NDArray[np.uint8], region: Region, size: int) -> NDArray[np.uint8]:
    crop = image[region.top : region.top + region.side, region.left : region.left + region.side]
    if region.side > size:
        crop = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS))
    crop = np.rot90(crop, k=region.turns)
    return crop[:, ::-1] if region.is_mirrored else crop


def generators(count: int, *seed: int) -> list[np.random.Generator]:
    """Return a generator for each of ``count`` crops, which depends on ``seed`` and the crop's own number alone."""
    return [np.random.default_rng([*seed, number]) for number in range(count)]


def to_tensor(crops: list[NDArray[np.uint8]]) -> Tensor:
    """Pixels (H, W, 3) of one size to a channels-last tensor (N, 3, H, W) in [-0.5, 0.5]."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(crops)))
    return stacked.permute(0, 3, 1, 2).float() / 255 - 0.5
