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
BEGUN = {"file", "source", "result"}  # what a line about a file that was begun has
DONE = BEGUN | {"bytes_in", "bytes_out", "sha256", "pixels", "missing", "notes"}  # and one about a file that is done
SAME = ("source", "settings", "bytes_in", "mtime_ns")  # in two lines about a file: there is nothing to do again


class Manifest:
    """The manifest of a folder as a run finds it; ``newest`` has the last line about each file.

    A line tells about a ``file`` of the folder ``source`` what its ``result`` is called, its size ``bytes_in`` and its
    ``mtime_ns``, and with what ``settings`` it was worked on. Then it has an ``error``, or the result's ``bytes_out``
    and ``sha256``. A manifest that is not kept knows of nothing.

    Raises :class:`ConfigError` where the file is something else.
    """

    def __init__(self, target: Path, is_kept: bool = True) -> None:
        self.target = target
        self.newest: dict[str, Line] = {}
        self._origins: dict[str, Line] = {}  # of each result, what it was made of
        if not is_kept:
            return
        for line in journal.load(target / MANIFEST):
            if "file" not in line or not ("error" in line or set(line) >= DONE):
                raise ConfigError(f"{target / MANIFEST}: is not a manifest of batch; name another folder")
            self.newest[line["file"]] = line
            if "error" not in line:
                self._origins[line["result"]] = line
        for line in journal.load(target / STARTED):
            if not set(line) >= BEGUN:
                raise ConfigError(f"{target / STARTED}: is not a manifest of batch; name another folder")
            self._origins[line["result"]] = line

    def settled(self, about: Line, retry_failed: bool) -> bool:
        """Return whether nothing is left to do: the file is as it was, and has failed, or its result is there."""
        newest = self.newest.get(about["file"], {})
        if any(newest.get(key) != about[key] for key in SAME):
            return False
        return not retry_failed if "error" in newest else (self.target / about["result"]).exists()

    def owner(self, about: Line) -> Path | None:
        """Return the file whose result has the name of this one's: this file itself or another.

        It must still be in the same folder.
        """
        origin = self._origins.get(about["result"])
        if origin is None or origin.get("source") != about["source"]:
            return None
        path = Path(origin["source"], origin["file"])
        return path if path.exists() else None

    def made(self, about: Line) -> bool:
        """Return whether the result that is there was made of this file, and is as it was left.

        What a killed run has left cannot be known; but it started on nothing that was there already.
        """
        result = self.target / about["result"]
        origin = self._origins.get(about["result"], {})
        if not result.is_file() or any(origin.get(key) != about[key] for key in ("source", "file")):
            return False
        return "sha256" not in origin or hashlib.sha256(result.read_bytes()).hexdigest() == origin["sha256"]


@contextlib.contextmanager
def writing(target: Path) -> Iterator[tuple[Callable[[Line], None], Callable[[Line], None]]]:
    """Yield two functions: the first notes that work on a file begins, the second what has become of it."""
    with journal.appending(target / MANIFEST) as done, journal.appending(target / STARTED) as started:
        yield started, done
    (target / STARTED).unlink(missing_ok=True)  # another run may have ended before
