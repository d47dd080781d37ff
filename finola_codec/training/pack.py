"""Pictures in parts of a size, for a machine that can be sent only so much at a time."""

from __future__ import annotations

import heapq
import shutil
from pathlib import Path

from finola_codec import formats
from finola_codec.errors import ConfigError


def pack(source: Path, folder: Path, most: int) -> list[Path]:
    """Copy the pictures of ``source`` into numbered folders in ``folder``, each of ``most`` bytes or less.

    Nothing else is copied. Pictures keep their paths, so that parts copied over each other are all of them again. Each
    part has some of every folder, and so is a fair sample. Returns the parts. Raises :class:`ConfigError` where
    ``folder`` exists, a picture is larger than a part, or ``source`` has none.
    """
    if folder.exists():
        raise ConfigError(f"{folder}: exists already; name a new folder")
    paths = formats.pictures_in(source)
    sizes = {path: path.stat().st_size for path in paths}
    if not paths:
        raise ConfigError(f"{source}: has no pictures")
    largest = max(paths, key=sizes.__getitem__)
    if sizes[largest] > most:
        raise ConfigError(f"{largest}: takes {sizes[largest]} bytes, more than a part may")
    count = -(-sum(sizes.values()) // most)
    while max(sum(sizes[path] for path in part) for part in _deal(sizes, count)) > most:
        count += 1
    for number, part in enumerate(_deal(sizes, count), 1):
        for path in part:
            target = folder / str(number) / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return [folder / str(number) for number in range(1, count + 1)]


def _deal(sizes: dict[Path, int], count: int) -> list[list[Path]]:
    """Give each picture in turn to the part that is the smallest so far."""
    parts: list[list[Path]] = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for path, size in sizes.items():
        taken, number = heapq.heappop(heap)
        parts[number].append(path)
        heapq.heappush(heap, (taken + size, number))
    return parts
