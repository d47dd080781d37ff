"""What a pixel of a picture of few colours takes, given its neighbours, and choosing colours by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finola_codec.layer.palette import Indexed, Pixels

SLOTS = 4_194_301  # a prime; counts of colours in their contexts are kept in so many
STRENGTH = 2.0  # how many pixels the wider context counts for beside those seen in the narrower one
ROUNDS = 2  # of choosing colours; later ones change little
LEAN = 0.7  # how much of the estimated bits counts when colours are chosen: they tell less than the error does

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


class Contexts:
    """How often each colour of a picture occurs, after a left neighbour, and after left and upper neighbours."""

    def __init__(self, index: Index, colours: int) -> None:
        self.colours = colours
        left, above = neighbours(index)
        nothing = np.zeros_like(index)
        self._tables = [
            (_counts(context, colours**order), _counts(context * colours + index, colours ** (order + 1)))
            for order, context in enumerate((nothing, left, left * colours + above))
        ]

    def bits(self, left: Index, above: Index, colour: Index, itself: int = 0) -> Floats:
        """Estimate what a ``colour`` takes beside these neighbours, all of one shape.

        The probability is how often it occurs with both neighbours, mixed with how often with the left one, and so on.
        ``itself`` is 1 if the pixels that are asked for are those that were counted, so that what occurs once is dear.
        """
        probability: Floats = np.full(colour.shape, 1 / self.colours)
        contexts = (np.zeros_like(left), left, left * self.colours + above)
        for context, (seen, together) in zip(contexts, self._tables, strict=True):
            joint = together[(context * self.colours + colour) % SLOTS] - itself
            probability = (joint + STRENGTH * probability) / (seen[context % SLOTS] - itself + STRENGTH)
        return -np.log2(probability)


def neighbours(index: Index) -> tuple[Index, Index]:
    """Return the left and the upper neighbour of each pixel, colour 0 beyond the picture."""
    padded = np.pad(index, ((1, 0), (1, 0)))
    return padded[1:, :-1], padded[:-1, 1:]


def code_lengths(indexed: Indexed) -> Floats:
    """Estimate the bits that each pixel (H, W) takes."""
    left, above = neighbours(indexed.index)
    return Contexts(indexed.index, len(indexed.palette)).bits(left, above, indexed.index, itself=1)


def tidy(indexed: Indexed, pixels: Pixels, weight: float, scale: float) -> Indexed:
    """Give pixels the colour of a neighbour where that makes bits + ``weight`` * squared error less.

    ``scale`` says how many bits of a real code come of one estimated bit. The pixels of the two colours of a
    checkerboard are chosen in turn, so that of two neighbours one stays as it is (iterated conditional modes).
    """
    index, palette = indexed.index.copy(), indexed.palette.astype(np.float64)
    for _ in range(ROUNDS):
        contexts = Contexts(index, len(palette))
        for phase in (0, 1):
            _choose(index, palette, pixels, contexts, weight, LEAN * scale, phase)
    return Indexed(index, indexed.palette)


def _choose(
    index: Index, palette: Floats, pixels: Pixels, contexts: Contexts, weight: float, scale: float, phase: int
) -> None:
    """Choose anew, in place, the pixels of one phase of the checkerboard that differ from a neighbour."""
    around = np.pad(index, 1, mode="edge")
    own = around[1:-1, 1:-1]
    sides = [around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]]
    differs = np.logical_or.reduce([own != side for side in sides])
    differs[phase::2, ::2] = differs[1 - phase :: 2, 1::2] = False
    rows, columns = np.nonzero(differs)
    left, right, above, below = (side[rows, columns] for side in sides)
    above_right, below_left = around[rows, columns + 2], around[rows + 2, columns]
    wanted = pixels[rows, columns].astype(np.float64)

    def cost(colour: Index) -> Floats:
        bits = contexts.bits(left, above, colour)
        bits += contexts.bits(colour, above_right, right) + contexts.bits(below_left, colour, below)
        return weight * ((wanted - palette[colour]) ** 2).sum(1) + scale * bits

    best = index[rows, columns]
    least = cost(best)
    for colour in (left, right, above, below):
        other = cost(colour)
        best = np.where(other < least, colour, best)
        least = np.minimum(least, other)
    index[rows, columns] = best


def _counts(keys: Index, possible: int) -> NDArray[np.intp]:
    """Count the keys, which are below ``possible``. With many colours two may share a slot, which is rare."""
    return np.bincount((keys % SLOTS).ravel(), minlength=min(possible, SLOTS))
