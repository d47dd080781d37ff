"""Windows: what of a large picture is transformed at once, with the margin that the networks see around it."""

from __future__ import annotations

from collections.abc import Iterator

Window = tuple[slice, slice]


def windows(height: int, width: int, block: int, size: int, margin: int) -> Iterator[tuple[Window, Window, Window]]:
    """Cover a grid of blocks: what a window reads, what it gives, and where that lies in what it reads.

    Windows have ``size`` pixels at most and are up to twice as wide as high. They read ``margin`` pixels more on every
    side, rounded up to whole blocks. All slices are in blocks, and a window has one block at least.

    >>> [inner for _, inner, _ in windows(2, 3, block=16, size=512, margin=16)]
    [(slice(0, 1, None), slice(0, 2, None)), (slice(0, 1, None), slice(2, 3, None)), \
(slice(1, 2, None), slice(0, 2, None)), (slice(1, 2, None), slice(2, 3, None))]
    """
    blocks, margin = size // block**2, -(-margin // block)
    columns = max(1, min(width, int((2 * blocks) ** 0.5)))
    rows = max(1, blocks // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            outer, inner, crop = zip(_span(top, height, rows, margin), _span(left, width, columns, margin), strict=True)
            yield outer, inner, crop


def _span(start: int, size: int, side: int, margin: int) -> tuple[slice, slice, slice]:
    stop = min(start + side, size)
    first = max(0, start - margin)
    return slice(first, min(stop + margin, size)), slice(start, stop), slice(start - first, stop - first)


def scaled(blocks: slice, block: int) -> slice:
    """Return the pixels of a slice of blocks."""
    return slice(blocks.start * block, blocks.stop * block)
