"""Pictures that are hard for a codec, or for its limits, by kind; each is made in any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw


def _grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")


def _gradient(width: int, height: int) -> Image.Image:
    return _grey(np.add.outer(np.linspace(0, 120, height), np.linspace(0, 135, width)))


def _text(width: int, height: int) -> Image.Image:
    page = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(page).text((width // 8, height // 3), "One line of text on a page.", fill="black")
    return page


def _checkerboard(width: int, height: int) -> Image.Image:
    return _grey(np.add.outer(np.arange(height), np.arange(width)) % 2 * 255)


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def _transparent(width: int, height: int) -> Image.Image:
    picture = _gradient(width, height)
    picture.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)))
    return picture


PICTURES: dict[str, Callable[[int, int], Image.Image]] = {
    "white": lambda width, height: Image.new("RGB", (width, height), "white"),
    "black": lambda width, height: Image.new("RGB", (width, height), "black"),
    "gradient": _gradient,
    "text": _text,
    "checkerboard": _checkerboard,
    "noise": _noise,
    "dithered": lambda width, height: _gradient(width, height).convert("1"),
    "transparent": _transparent,
}
