"""Encoding or decoding folders of any size, resumably."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from finola_codec import codec, images
from finola_codec.errors import ConfigError, FinolaError
from finola_codec.files import write_whole
from finola_codec.parallel import Engine
from finola_codec.runtime.model import DEFAULT_MODEL, load_model

MANIFEST = "manifest.jsonl"
Job = tuple[Path, Path | None]  # a file, and one that has the same result


@dataclass(frozen=True)
class Batch:
    """What is done to every file of ``source``, and the folder ``target`` that gets the results."""

    source: Path
    target: Path
    decode: bool = False
    model: str = DEFAULT_MODEL
    quality: int = 50
    effort: int = codec.DEFAULT_EFFORT

    def files(self) -> Iterator[Path]:
        """The files to work on, relative to ``source``, in a fixed order, found as they are needed."""
        suffixes = {".fin"} if self.decode else images.suffixes()
        for folder, folders, names in os.walk(self.source):
            folders.sort()
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in suffixes:
                    yield (Path(folder) / name).relative_to(self.source)

    def work(self, threads: int, job: Job) -> dict[str, Any]:
        """Encode or decode one file and return its line of the manifest."""
        file, clash = job
        if clash is not None:
            return {"file": file.as_posix(), "error": f"would overwrite the result of {clash}"}
        began = time.perf_counter()
        out = self.target / file.with_suffix(".png" if self.decode else ".fin")
        try:
            data = (self.source / file).read_bytes()
            result = self._decoded(data, threads) if self.decode else self._encoded(data, str(file), threads)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(out, result)
        except (FinolaError, OSError) as error:
            return {"file": file.as_posix(), "error": str(error)}
        seconds = round(time.perf_counter() - began, 4)
        return {"file": file.as_posix(), "bytes_in": len(data), "bytes_out": len(result), "seconds": seconds}

    def _encoded(self, data: bytes, name: str, threads: int) -> bytes:
        model = load_model(self.model, threads)
        return codec.encode(images.read(io.BytesIO(data), name), self.quality, model=model, effort=self.effort)

    def _decoded(self, data: bytes, threads: int) -> bytes:
        out = io.BytesIO()
        images.save(codec.decode(data, threads=threads), out, ".png")
        return out.getvalue()


def run(batch: Batch, engine: Engine, retry_failed: bool) -> Iterator[dict[str, Any]]:
    """Work on what the manifest in the target does not list yet, or not as done with ``retry_failed``.

    Yields each new line of the manifest as it is written. Raises :class:`ConfigError` for a source that is no
    folder.
    """
    if not batch.source.is_dir():
        raise ConfigError(f"{batch.source}: no such folder")
    batch.target.mkdir(parents=True, exist_ok=True)
    skipped = {r["file"] for r in manifest(batch.target).values() if not (retry_failed and "error" in r)}
    todo = (job for job in _with_clashes(batch.files()) if job[0].as_posix() not in skipped)
    with (batch.target / MANIFEST).open("a") as file:
        for line in engine.map(partial(batch.work, engine.threads), todo):
            file.write(json.dumps(line) + "\n")
            file.flush()
            yield line


def manifest(target: Path) -> dict[str, dict[str, Any]]:
    """The newest line of the manifest about each file; a last line that was cut off is ignored."""
    path = target / MANIFEST
    if not path.exists():
        return {}
    with path.open() as lines:
        found = (json.loads(line) for line in lines if line.endswith("\n"))
        return {r["file"]: r for r in found}


def _with_clashes(files: Iterator[Path]) -> Iterator[Job]:
    """Each file, with the earlier one whose result it would overwrite: of its folder, with another suffix."""
    folder, stems = None, dict[str, Path]()
    for file in files:  # those of one folder come one after the other
        if file.parent != folder:
            folder, stems = file.parent, {}
        yield file, stems.get(file.stem)
        stems.setdefault(file.stem, file)
