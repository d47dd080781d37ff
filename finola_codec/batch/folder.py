"""Encoding or decoding folders of any size, resumably."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from finola_codec import codec, images
from finola_codec.batch.manifest import Manifest, result_of, writing
from finola_codec.errors import ConfigError, FinolaError, ModelError
from finola_codec.files import check_apart, check_target, write_whole
from finola_codec.journal import Line
from finola_codec.parallel import Engine
from finola_codec.runtime.model import DEFAULT_MODEL, load_model

# Errors of writing that every other file would meet too.
FULL = {errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Job:
    """A file to work on, as the manifest will tell about it, or why it must not be worked on."""

    about: Line
    replace: bool = False
    refusal: str | None = None


@dataclass(frozen=True)
class Batch:
    """What is done to every file of ``source``, and the folder ``target`` that gets the results.

    ``model`` is a name or a folder; without one, encoding uses the default, decoding the one that each file names. With
    ``force``, files in the target that are no results of the same files are replaced.
    """

    source: Path
    target: Path
    decode: bool = False
    model: str | None = None
    quality: int = 50
    effort: int = codec.DEFAULT_EFFORT
    retry_failed: bool = False
    force: bool = False

    def files(self) -> Iterator[Path]:
        """The files to work on, relative to ``source``, in a fixed order, found as they are needed."""
        for folder, folders, names in os.walk(self.source):
            folders.sort()
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in self._suffixes():
                    yield (Path(folder) / name).relative_to(self.source)

    def jobs(self) -> Iterator[Job]:
        """What the manifest does not list as done yet, found as it is needed.

        Raises, at once, :class:`ConfigError` for a source that is no folder, :class:`ModelError` for an unknown model.
        """
        if not self.source.is_dir():
            raise ConfigError(f"{self.source}: no such folder")
        return self._jobs(self._settings(), Manifest(self.target))

    def _jobs(self, settings: Line, manifest: Manifest) -> Iterator[Job]:
        for file, earlier in _with_clashes(self.files()):
            about: Line = {"file": file.as_posix(), "source": str(self.source.resolve()), "settings": settings}
            try:
                found = (self.source / file).stat()
                about |= {"bytes_in": found.st_size, "mtime_ns": found.st_mtime_ns}
                owner = manifest.owner(about) or earlier
                if owner not in (None, about["file"]):
                    raise FinolaError(f"would overwrite the result of {owner}")
                if not manifest.settled(about, self.retry_failed):
                    replace = self.force or manifest.made(about)
                    self._check(file, replace)
                    yield Job(about, replace)
            except (FinolaError, OSError) as error:
                yield Job(about, refusal=str(error))

    def _check(self, file: Path, replace: bool) -> None:
        out = self.target / result_of(file)
        real = out.resolve()  # through a link it may be another of the inputs
        is_input = real.suffix.lower() in self._suffixes() and real.is_relative_to(self.source.resolve())
        check_apart([out], [self.source / file, *([real] if is_input else [])])
        check_target(out, replace)

    def _suffixes(self) -> set[str]:
        return {".fin"} if self.decode else images.suffixes()

    def _settings(self) -> Line:
        """What a result depends on beside the file. Opens the model, so that a wrong one is found before any work."""
        if self.decode:
            return {"direction": "decode", "model": load_model(self.model).id.hex() if self.model else None}
        model = load_model(self.model or DEFAULT_MODEL).id.hex()
        return {"direction": "encode", "model": model, "quality": self.quality, "effort": self.effort}

    def work(self, threads: int, job: Job) -> Line:
        """Encode or decode one file and return its line of the manifest.

        Raises what every other file would meet too: a :class:`ConfigError`, a full disk.
        """
        file = Path(job.about["file"])
        if job.refusal is not None:
            return {"file": file.as_posix(), "error": job.refusal}
        began = time.perf_counter()
        out = self.target / result_of(file)
        try:
            data = (self.source / file).read_bytes()
            result = self._decoded(data, threads) if self.decode else self._encoded(data, str(file), threads)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(out, result, job.replace)
        except (FinolaError, OSError) as error:
            if self._concerns_all(error):
                raise
            return job.about | {"error": str(error)}
        seconds = round(time.perf_counter() - began, 4)
        written = {"bytes_out": len(result), "sha256": hashlib.sha256(result).hexdigest()}
        return job.about | written | {"seconds": seconds}

    def _concerns_all(self, error: FinolaError | OSError) -> bool:
        if isinstance(error, OSError):
            return error.errno in FULL
        # Of decoding, the files name the models that it needs.
        return isinstance(error, ConfigError) or (isinstance(error, ModelError) and not self.decode)

    def _encoded(self, data: bytes, name: str, threads: int) -> bytes:
        model = load_model(self.model or DEFAULT_MODEL, threads)
        return codec.encode(images.read(io.BytesIO(data), name), self.quality, model=model, effort=self.effort)

    def _decoded(self, data: bytes, threads: int) -> bytes:
        out = io.BytesIO()
        model = load_model(self.model, threads) if self.model else None
        images.save(codec.decode(data, model=model, threads=threads), out, ".png")
        return out.getvalue()


def run(batch: Batch, engine: Engine) -> Generator[Line, None, None]:
    """Work on what is not done yet, and yield each new line of the manifest as it is written.

    Raises what :meth:`Batch.jobs` and :meth:`Batch.work` raise.
    """
    jobs = batch.jobs()
    batch.target.mkdir(parents=True, exist_ok=True)
    with writing(batch.target) as (started, done):
        work = partial(batch.work, engine.threads)
        with contextlib.closing(engine.map(work, _noted(jobs, started))) as found:
            for line in found:
                done(line)
                yield line


def lines(batch: Batch) -> list[Line]:
    """What the manifest says of the files that are in the source now."""
    newest = Manifest(batch.target).newest
    return [newest[name] for name in (file.as_posix() for file in batch.files()) if name in newest]


def _noted(jobs: Iterable[Job], started: Callable[[Line], None]) -> Iterator[Job]:
    for job in jobs:
        if job.refusal is None:
            started({key: job.about[key] for key in ("file", "source")})
        yield job


def _with_clashes(files: Iterator[Path]) -> Iterator[tuple[Path, str | None]]:
    """Each file, with the earlier one whose result it would overwrite: of its folder, with another suffix."""
    folder, stems = None, dict[str, str]()
    for file in files:  # those of one folder come one after the other
        if file.parent != folder:
            folder, stems = file.parent, {}
        yield file, stems.get(file.stem)
        stems.setdefault(file.stem, file.as_posix())
