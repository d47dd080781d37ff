"""Lines of JSON that are appended one by one, and that are read again whatever cut one of them off."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def load(path: Path) -> Iterator[Line]:
    """The lines that are whole, none where there is no file.

    A line without an end, and one that another was appended to, come of a full disk or of a process that was killed.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    yield line


@contextlib.contextmanager
def appending(path: Path) -> Iterator[Callable[[Line], None]]:
    """A function that appends a line. It and the opening raise :class:`OSError`, which names ``path``."""
    with path.open("a+b", buffering=0) as file:

        def write(data: bytes) -> None:
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from error

        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                write(b"\n")  # what was cut off stays a line of its own
        yield lambda line: write(json.dumps(line).encode() + b"\n")
