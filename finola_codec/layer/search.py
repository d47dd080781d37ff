"""Whether a lossless layer over a picture pays, and which: by bits + lambda times error of the whole file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec import container, grid, images
from finola_codec.entropy.exact import Payloads
from finola_codec.layer import blocks, palette
from finola_codec.layer.contexts import code_lengths, tidy
from finola_codec.layer.fill import fill
from finola_codec.layer.palette import Colours, Indexed, Mask, Pixels

MAX_PIXELS = 2**24  # in larger pictures no layer is looked for: it would take some 100 bytes a pixel
FEW_COLOURS, CONTRAST = 12, 32  # a block of at most so many, and at least so much, is text or a line: no photograph's
SHARP_BLOCKS, FLAT_BLOCKS = 0.005, 0.25  # the share of such blocks, or of those of one colour, that is worth a search
# What the bits of colours are counted at when they are merged, for a candidate each over the whole picture.
RATES = (1.6, 0.6, 1.1, 2.3, 3.3)
PASSES = 2  # of choosing blocks, and then a palette for them
GAIN = 0.98  # a mixture is coded only if it promises to cost no more than this share of what the best has
FULL = 200  # colours of a palette that seems to want more than palette.FEW
TIDIED = 2  # of the candidates, the best ones, have their pixels tidied
HOPELESS = 1.3  # where the first of these candidates costs so many times what no layer does, the others are not tried
EXACT = 0.2  # merging may be a mistake where its error is a larger share than this of the cost

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """The learned part of a file: its payloads, and what they come to."""

    payloads: Payloads
    size: int  # bytes of their chunks
    pixels: Pixels  # as they decode
    bits: NDArray[np.float32]  # (h, w), what each C-vector takes


@dataclass(frozen=True)
class Choice:
    """What a file has: a learned part, a layer (H, W, 4), or a layer over a learned part."""

    learned: Payloads | None
    layer: Pixels | None
    pixels: Pixels | None  # as they decode, where that is known


class _Option(NamedTuple):
    """What a picture may be coded as, and what that costs."""

    bits: int
    error: float  # squared, summed over all pixels and channels
    choice: Choice

    def cost(self, weight: float) -> float:
        """Return bits + ``weight`` * squared error."""
        return self.bits + weight * self.error


class _Candidate:
    """A layer of few colours over the blocks of a mask (rows, columns)."""

    def __init__(self, original: Pixels, indexed: Indexed, mask: Mask) -> None:
        self.indexed, self.mask = indexed, mask
        self.covered = grid.widen(mask, blocks.SIDE, *original.shape[:2])
        self.layer = _layer(indexed.pixels, self.covered)
        self.size = container.chunk_bytes(images.pack_layer(self.layer, images.QUICK))
        # Of all blocks, as if they were in the layer.
        self.error = grid.sums(_squared(original, indexed.pixels), blocks.SIDE)

    @cached_property
    def scale(self) -> float:
        """How many bits of the layer come of one that is estimated."""
        return 8 * self.size / max(float(self._lengths[self.covered].sum()), 1)

    @cached_property
    def bits(self) -> Floats:
        """An estimate of what each block takes, or would take."""
        return self.scale * grid.sums(self._lengths, blocks.SIDE)

    @cached_property
    def _lengths(self) -> Floats:
        return code_lengths(self.indexed)

    def cost(self, weight: float) -> float:
        """Return what the layer costs, in bits."""
        return 8 * self.size + weight * float(self.error[self.mask].sum())


class Search:
    """The search for a picture's layer, at any number of qualities.

    ``side`` is how many pixels a C-vector covers in each direction, a multiple of that of a block.
    """

    def __init__(self, pixels: Pixels, side: int) -> None:
        self._pixels, self._side = pixels, side
        self._height, self._width = pixels.shape[:2]

    @cached_property
    def worthwhile(self) -> bool:
        """Whether enough blocks are like those of graphics: a cheap test that few photographs pass."""
        if self._height * self._width > MAX_PIXELS or max(self._height, self._width) > images.MAX_LAYER_SIDE:
            return False
        colours, contrast = self._survey.colours, self._survey.contrast
        sharp = (colours <= FEW_COLOURS) & (contrast >= CONTRAST)
        return bool(sharp.mean() >= SHARP_BLOCKS or (colours == 1).mean() >= FLAT_BLOCKS)

    def choose(self, plain: Learned, weight: float, fine: float, again: Callable[[Pixels, Mask], Learned]) -> Choice:
        """Return the best of no layer, nothing but a layer, and a layer over some blocks.

        ``plain`` is the picture without a layer, ``weight`` the bits that a squared error of one level is worth, and
        ``again`` codes other pixels, with a mask (h, w) of C-vectors that need not be coded. Where a layer is chosen,
        one over the whole picture that is better by the weight ``fine`` takes its place, if it costs less than
        ``plain``.
        """
        without = self._option(8 * plain.size, Choice(plain.payloads, None, plain.pixels))
        hopeless = HOPELESS * without.cost(weight)
        alone = self._alone(weight, hopeless)
        best = min(without, self._whole(alone), key=lambda o: o.cost(weight))
        if weight * alone.error.sum() > EXACT * alone.cost(weight):
            best = min(best, self._exact, key=lambda o: o.cost(weight))
        mixture = self._mixture(plain, alone, weight, GAIN * best.cost(weight))
        if mixture is not None:
            below = again(fill(self._pixels, mixture.covered), self._free(mixture.covered))
            pixels = np.where(mixture.covered[:, :, None], mixture.layer[:, :, :3], below.pixels)
            both = self._option(8 * (below.size + mixture.size), Choice(below.payloads, mixture.layer, pixels))
            best = min(best, both, key=lambda o: o.cost(weight))
        if fine > weight and best is not without and alone.cost(weight) < hopeless:
            finer = self._finer(fine)
            if finer.cost(weight) < without.cost(weight):
                best = min(best, finer, key=lambda o: o.cost(fine))
        return best.choice

    def _finer(self, fine: float) -> _Option:
        """Return the best layer over the whole picture by the weight ``fine``.

        Merging colours can break what lossless coding predicts, so it is the exact one where that is no larger.
        """
        merged = self._whole(self._alone(fine))
        return merged if merged.bits < self._exact.bits else self._exact

    def _whole(self, alone: _Candidate) -> _Option:
        return self._option(8 * alone.size, Choice(None, alone.layer, alone.indexed.pixels))

    @cached_property
    def _exact(self) -> _Option:
        layer = _layer(self._pixels, np.ones((self._height, self._width), bool))
        size = container.chunk_bytes(images.pack_layer(layer, images.QUICK))
        return self._option(8 * size, Choice(None, layer, self._pixels))

    def _option(self, bits: int, choice: Choice) -> _Option:
        assert choice.pixels is not None
        return _Option(bits, float(_squared(self._pixels, choice.pixels).sum()), choice)

    @cached_property
    def _survey(self) -> blocks.Survey:
        return blocks.survey(self._pixels)

    @property
    def _everywhere(self) -> Mask:
        return np.ones(self._survey.colours.shape, bool)

    @cached_property
    def _colours(self) -> Colours:
        return palette.colours(self._pixels)

    @cached_property
    def _rate(self) -> float:
        """How many bits a pixel of a layer takes for each that an ideal code without contexts would give it."""
        indexed = palette.merge(self._colours, None, 1.0, 0.0)
        counts = np.bincount(indexed.index.ravel()).astype(np.float64)
        counts = counts[counts > 0]
        ideal = float((counts * np.log2(counts.sum() / counts)).sum())
        return 8 * _Candidate(self._pixels, indexed, self._everywhere).size / max(ideal, 1)

    def _alone(self, weight: float, hopeless: float = math.inf) -> _Candidate:
        """Return the best layer over the whole picture, or the first one where that costs ``hopeless`` bits or more."""

        def candidate(rate: float, colours: int = palette.FEW) -> _Candidate:
            indexed = palette.merge(self._colours, None, weight, rate * self._rate, colours)
            return _Candidate(self._pixels, indexed, self._everywhere)

        first = candidate(RATES[0])
        if first.cost(weight) >= hopeless:
            return first
        found = [first, *map(candidate, RATES[1:])]
        if max(len(c.indexed.palette) for c in found) > FULL:
            found.append(candidate(1.0, palette.MANY))
        found.sort(key=lambda c: c.cost(weight))
        return min((self._tidied(c, weight) for c in found[:TIDIED]), key=lambda c: c.cost(weight))

    def _mixture(self, plain: Learned, alone: _Candidate, weight: float, limit: float) -> _Candidate | None:
        """Return the layer over some blocks that promises the least cost, if that is below ``limit``."""
        learned = self._spread(plain) + weight * grid.sums(_squared(self._pixels, plain.pixels), blocks.SIDE)
        found = alone
        if np.minimum(alone.bits + weight * alone.error, learned).sum() >= limit:
            return None
        for _ in range(PASSES):
            mask = blocks.smooth(found.bits + weight * found.error < learned)
            if not mask.any() or mask.all():
                return None
            merged = palette.merge(self._colours, self._widened(mask), weight, self._rate)
            found = _Candidate(self._pixels, merged, mask)
        found = self._tidied(found, weight)
        promised = found.cost(weight) + float(learned[~found.mask].sum())
        return found if promised < limit else None

    def _spread(self, plain: Learned) -> Floats:
        """Return what each block takes of the learned part; what is no C-vector's is everybody's."""
        bits = plain.bits.astype(np.float64)
        bits += (8 * plain.size - bits.sum()) / bits.size
        rows, columns = self._survey.colours.shape
        side = self._side // blocks.SIDE
        return grid.widen(bits, side, rows, columns) / side**2

    def _tidied(self, candidate: _Candidate, weight: float) -> _Candidate:
        """Return the candidate with tidier pixels, if they cost less."""
        tidier = tidy(candidate.indexed, self._pixels, weight, candidate.scale)
        return min(candidate, _Candidate(self._pixels, tidier, candidate.mask), key=lambda c: c.cost(weight))

    def _free(self, covered: Mask) -> Mask:
        """Say of which C-vectors (h, w) all pixels are covered."""
        return grid.sums((~covered).astype(np.float64), self._side) == 0

    def _widened(self, mask: Mask) -> Mask:
        return grid.widen(mask, blocks.SIDE, self._height, self._width)


def fine_weight(weight: float, quality: int) -> float:
    """Return what errors weigh in a layer over the whole picture, from what they weigh elsewhere at a quality.

    Above 80 it grows faster than lambda does: otherwise nothing would lie between some 45 dB and a lossless file.
    """
    return weight * 2 ** max(0.0, (quality - 80) / 4)


def _layer(pixels: Pixels, covered: Mask) -> Pixels:
    """RGBA pixels, opaque where they are covered, and nothing elsewhere."""
    return np.dstack([pixels * covered[:, :, None], covered * np.uint8(255)])


def _squared(a: Pixels, b: Pixels) -> Floats:
    """Return the squared error (H, W), summed over channels."""
    difference = a.astype(np.int32) - b
    return (difference * difference).sum(2).astype(np.float64)
