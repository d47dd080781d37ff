"""Merging colours by entropy-constrained vector quantization, to as few as a picture's quality pays for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FEW = 255  # colours: with the transparent one, as many as a WebP palette has
MANY = 1023  # colours: as many as WebP's cache of recent ones holds well
ROUNDS = 8  # of assigning colours and moving the palette's entries
ENTRY_BITS = 24  # what an entry of the palette takes
FINE = 2**14  # with more colours than this, those that differ in the low two bits count as one
AT_ONCE = 2**14  # colours that are assigned together; bounds memory, changes no result

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Indexed:
    """A picture of few colours: an index (H, W) into a palette (K, 3)."""

    index: NDArray[np.intp]
    palette: Pixels

    @property
    def pixels(self) -> Pixels:
        """The picture (H, W, 3)."""
        return self.palette[self.index]


@dataclass(frozen=True)
class Colours:
    """The different colours of a picture."""

    values: NDArray[np.float64]  # (U, 3)
    which: NDArray[np.intp]  # (H, W), an index into them

    def counts(self, where: Mask | None) -> NDArray[np.float64]:
        """Return how often each occurs, among the pixels ``where`` (H, W) if given."""
        which = self.which if where is None else self.which[where]
        return np.bincount(which.ravel(), minlength=len(self.values)).astype(np.float64)


def codes(pixels: Pixels) -> NDArray[np.int32]:
    """Return each pixel's colour as one number, of the shape of the picture."""
    wide = pixels.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def colours(pixels: Pixels) -> Colours:
    """Find the different colours of a picture (H, W, 3); with too many, those that nearly agree count as one."""
    found, which = np.unique(codes(pixels), return_inverse=True)
    values = np.stack([found >> 16, found >> 8 & 255, found & 255], 1)
    which = which.reshape(pixels.shape[:2])
    if len(found) > FINE:
        cells, joined = np.unique(codes((values >> 2).astype(np.uint8)), return_inverse=True)
        joined = joined.ravel()
        counts = np.bincount(which.ravel(), minlength=len(values)).astype(np.float64)
        values, which = _means(values.astype(np.float64), counts, joined, len(cells)), joined[which]
    return Colours(values.astype(np.float64), which)


def merge(found: Colours, where: Mask | None, weight: float, rate: float, most: int = FEW) -> Indexed:
    """Choose a palette for the pixels ``where`` (all if None), and give every pixel of the picture its entry.

    It has ``most`` entries at most. A colour goes to the entry that makes ``weight`` * squared error + ``rate`` * bits
    least, with the bits that an ideal code for the entries has; ``rate`` says how many of those a pixel really takes.
    So how many entries are left follows from the weight.
    """
    counts = found.counts(where)
    seen = np.flatnonzero(counts)
    values, counts = found.values[seen], counts[seen]
    palette = _start(values, counts, most)
    bits = np.full(len(palette), np.log2(len(palette)) + 1)
    for _ in range(ROUNDS):
        entry = _assign(values, palette, weight, rate * bits)
        used = np.bincount(entry, counts, len(palette))
        kept = used > 0
        palette = _means(values, counts, entry, len(palette))[kept]
        bits = np.log2(counts.sum() / used[kept]) + ENTRY_BITS / used[kept]
    palette = np.rint(palette)
    entry = _assign(found.values, palette, weight, rate * bits)
    return Indexed(entry[found.which], palette.astype(np.uint8))


def _start(values: NDArray[np.float64], counts: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the colours themselves if they fit a palette, otherwise some that stand for them."""
    if len(values) <= most:
        return values
    return _median_cut(values, counts) if most <= FEW else _frequent(values, counts, most)


def _median_cut(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    # Median cut weighs by area, so each colour gets some pixels for its count.
    repeated = np.repeat(np.rint(values).astype(np.uint8), np.ceil(np.sqrt(counts)).astype(int), axis=0)
    image = Image.fromarray(repeated[None], "RGB").quantize(FEW, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = image.getpalette()
    assert palette is not None
    return np.array(palette, np.float64).reshape(-1, 3)[np.unique(np.asarray(image))]


def _frequent(values: NDArray[np.float64], counts: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the means of the fullest cells of the finest grid that has at most twice as many: Pillow stops at 256."""
    for dropped_bits in range(1, 8):
        cells, cell = np.unique(codes(np.rint(values).astype(np.uint8) >> np.uint8(dropped_bits)), return_inverse=True)
        if len(cells) <= 2 * most:
            break
    used = np.bincount(cell.ravel(), counts, len(cells))
    return _means(values, counts, cell.ravel(), len(cells))[np.argsort(-used, kind="stable")[:most]]


def _assign(
    values: NDArray[np.float64], palette: NDArray[np.float64], weight: float, bits: NDArray[np.float64]
) -> NDArray[np.intp]:
    own = weight * (palette**2).sum(1) + bits
    entry = [
        (own - 2 * weight * (values[i : i + AT_ONCE] @ palette.T)).argmin(1) for i in range(0, len(values), AT_ONCE)
    ]
    return np.concatenate(entry)


def _means(
    values: NDArray[np.float64], counts: NDArray[np.float64], group: NDArray[np.intp], groups: int
) -> NDArray[np.float64]:
    """Return the mean colour (groups, 3) of each group; what has no members is zero."""
    total = np.maximum(np.bincount(group, counts, groups), 1e-9)
    return np.stack([np.bincount(group, counts * channel, groups) / total for channel in values.T], 1)
