"""What `batch` knows of the folder that it writes into: what was done there, and which files are its own."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from finola_codec import journal
from finola_codec.errors import ConfigError
from finola_codec.journal import Line

MANIFEST = "manifest.jsonl"
STARTED = "manifest.started.jsonl"  # what a run has begun; stays only where one did not end as it should
SAME = ("settings", "bytes_in", "mtime_ns")  # in two lines about a file: there is nothing to do again


class Manifest:
    """The manifest of a folder as a run finds it; ``newest`` has the last line about each file.

    A line tells about a ``file`` of the folder ``source`` its size ``bytes_in`` and its ``mtime_ns``, and with what
    ``settings`` it was worked on. Then it has an ``error``, or the result's ``bytes_out`` and ``sha256``.

    Raises :class:`ConfigError` where the file is something else.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.newest: dict[str, Line] = {}
        self._origins: dict[Path, Line] = {}  # of each result, what it was made of
        for line in journal.load(target / MANIFEST):
            if "file" not in line or not ("error" in line or "bytes_out" in line):
                raise ConfigError(f"{target / MANIFEST}: is not a manifest of batch; name another folder")
            self.newest[line["file"]] = line
            if "error" not in line:
                self._origins[self.result(line)] = line
        for line in journal.load(target / STARTED):
            self._origins[self.result(line)] = line

    def result(self, about: Line) -> Path:
        """Where the result of a file goes."""
        return self.target / result_of(Path(about["file"]))

    def settled(self, about: Line, retry_failed: bool) -> bool:
        """Whether nothing is left to do: the file is as it was, and has failed, or its result is there."""
        newest = self.newest.get(about["file"], {})
        if any(newest.get(key) != about[key] for key in SAME):
            return False
        return not retry_failed if "error" in newest else self.result(about).exists()

    def owner(self, about: Line) -> str | None:
        """The file, still in the same folder, whose result has the name of this one's: this file itself or another."""
        origin = self._origins.get(self.result(about))
        if origin is None or origin.get("source") != about["source"]:
            return None
        return origin["file"] if Path(origin["source"], origin["file"]).exists() else None

    def made(self, about: Line) -> bool:
        """Whether the result that is there was made of this file, and is as it was left.

        What a killed run has left cannot be known; but it started on nothing that was there already.
        """
        result = self.result(about)
        origin = self._origins.get(result, {})
        if not result.is_file() or any(origin.get(key) != about[key] for key in ("source", "file")):
            return False
        return "sha256" not in origin or hashlib.sha256(result.read_bytes()).hexdigest() == origin["sha256"]


@contextlib.contextmanager
def writing(target: Path) -> Iterator[tuple[Callable[[Line], None], Callable[[Line], None]]]:
    """Functions that note a file whose result will be written next, and what has become of a file."""
    with journal.appending(target / MANIFEST) as done, journal.appending(target / STARTED) as started:
        yield started, done
    (target / STARTED).unlink()


def result_of(file: Path) -> Path:
    """What a file becomes: a picture of a .fin file, a .fin file of any other."""
    return file.with_suffix(".png" if file.suffix.lower() == ".fin" else ".fin")
