"""Windows: what of a large picture is transformed at once, with the margin that the networks see around it."""

from __future__ import annotations

import math
from collections.abc import Iterator

Window = tuple[slice, slice]


def windows(height: int, width: int, block: int, size: int, margin: int) -> Iterator[tuple[Window, Window, Window]]:
    """Cover a grid of blocks: what a window reads, what it gives, and where that lies in what it reads.

    Windows read ``margin`` pixels more than they give on every side, rounded up to whole blocks, and ``size`` pixels at
    most, or else give one block. Of such divisions it is the one that reads least. Windows come row by row. The first
    is as large as any other, though it could be smaller, so that the runtime allocates its peak memory at once and in
    one piece. All slices are in blocks.

    >>> [(outer[1], inner[1]) for outer, inner, _ in windows(3, 10, block=16, size=3 * 7 * 256, margin=16)]
    [(slice(0, 6, None), slice(0, 5, None)), (slice(4, 10, None), slice(5, 10, None))]
    """
    margin = -(-margin // block)
    down, across = _division(height, width, size // block**2, margin)
    rows, columns = -(-height // down), -(-width // across)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            outer, inner, crop = zip(_span(top, height, rows, margin), _span(left, width, columns, margin), strict=True)
            yield outer, inner, crop


def _division(height: int, width: int, most: int, margin: int) -> tuple[int, int]:
    """Return in how many windows down and across the least is read, where each reads ``most`` blocks."""

    best, least = (height, width), math.inf
    for across in range(1, width + 1):
        fit = most // _reads(width, across, margin)
        down = next((parts for parts in (1, 2) if _reads(height, parts, margin) <= fit), 0)
        if not down and fit > 2 * margin:
            down = -(-height // (fit - 2 * margin))
        read = (height + margin * _margins(down)) * (width + margin * _margins(across))
        if down and read < least:
            best, least = (down, across), read
    return best


def _margins(parts: int) -> int:
    """Return how many margins ``parts`` windows read along a side; of more than two the first reads one to spare."""
    return 2 * (parts - 1) + (parts > 2)


def _reads(size: int, parts: int, margin: int) -> int:
    """Return what each of ``parts`` windows reads along a side of ``size``: two of them have one margin each."""
    return min(size, -(-size // parts) + margin * min(parts - 1, 2))


def _span(start: int, size: int, side: int, margin: int) -> tuple[slice, slice, slice]:
    stop, reads = min(start + side, size), _reads(size, -(-size // side), margin)
    first = max(0, start - margin)
    return slice(first, min(first + reads, size)), slice(start, stop), slice(start - first, stop - first)


def scaled(blocks: slice, block: int) -> slice:
    """Return the pixels of a slice of blocks."""
    return slice(blocks.start * block, blocks.stop * block)
