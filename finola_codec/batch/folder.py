"""Files and folders of any size, encoded or decoded into one folder; resumably, if that is wanted."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from finola_codec.batch.manifest import Manifest, writing
from finola_codec.batch.work import Decoding, Work
from finola_codec.errors import ConfigError, FinolaError, ModelError, TargetError, told
from finola_codec.files import check_apart, check_target, write_whole
from finola_codec.journal import Line
from finola_codec.parallel import Engine

# Errors of writing that every other file would meet too.
FULL = {errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Job:
    """The file at ``path``, what its line will tell about it, and why it must not be worked on, if it must not."""

    path: Path
    about: Line
    replace: bool = False
    refusal: str | None = None


@dataclass(frozen=True)
class Batch:
    """The work on every file of ``sources``, files and folders, and the folder ``target`` that gets the results.

    With ``force``, files in the target that are no results of the same files are replaced; with ``skip_existing``, what
    would be written over a file is not done. A ``resumable`` batch has one folder as its source, and keeps a manifest
    in the target: what that lists is not done again, unless it has failed and ``retry_failed`` is set.
    """

    sources: tuple[Path, ...]
    target: Path
    work: Work
    force: bool = False
    skip_existing: bool = False
    resumable: bool = False
    retry_failed: bool = False

    def files(self) -> Iterator[tuple[Path, Path]]:
        """The files to work on: the folder that each was found in, and its path below it, in a fixed order.

        Hidden files and folders are left out.
        """
        for source in self.sources:
            if not source.is_dir():
                yield source.parent, Path(source.name)
                continue
            for folder, folders, names in os.walk(source):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    if os.path.splitext(name)[1].lower() in self.work.accepts and not name.startswith("."):
                        yield source, (Path(folder) / name).relative_to(source)

    def jobs(self) -> Iterator[Job]:
        """Return what is not done yet, found as it is needed.

        Raises, at once, :class:`ConfigError` for a source of a resumable batch that is no folder or for
        sources without files, and :class:`ModelError` for an unknown model.
        """
        if self.resumable and not self.sources[0].is_dir():
            raise ConfigError(f"{self.sources[0]}: no such folder")
        settings = self.work.settings()
        if next(self.files(), None) is None:
            raise ConfigError(f"{', '.join(map(str, self.sources))}: holds no file to work on")
        return self._jobs(settings, self._manifest())

    def lines(self) -> list[Line]:
        """Return what the manifest says of the files that are in the source now."""
        newest = self._manifest().newest
        return [newest[name] for name in (file.as_posix() for _, file in self.files()) if name in newest]

    def _manifest(self) -> Manifest:
        return Manifest(self.target, is_kept=self.resumable)

    def _jobs(self, settings: Line, manifest: Manifest) -> Iterator[Job]:
        for root, file, earlier in self._with_clashes():
            about: Line = {"file": file.as_posix(), "source": str(root.resolve()), "settings": settings}
            about["result"] = file.with_suffix(self.work.suffix).as_posix()
            try:
                found = (root / file).stat()
                about |= {"bytes_in": found.st_size, "mtime_ns": found.st_mtime_ns}
                if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
                    raise FinolaError(f"{root / file}: is not a file")
                owner = manifest.owner(about) or earlier
                if owner not in (None, root.resolve() / file):
                    raise FinolaError(f"{root / file}: would overwrite the result of {owner}")
                out = self.target / about["result"]
                if manifest.settled(about, self.retry_failed) or (self.skip_existing and out.exists()):
                    continue
                replace = self.force or manifest.made(about)
                self._check(root / file, out, replace)
                yield Job(root / file, about, replace)
            except (FinolaError, OSError) as error:
                yield Job(root / file, about, refusal=told(error))

    def _with_clashes(self) -> Iterator[tuple[Path, Path, Path | None]]:
        """Each of :meth:`files`, and the earlier file whose result it would overwrite."""
        folder, writers = None, dict[Path, Path]()
        for root, file in self.files():
            # The files of one folder come one after the other, so a single source needs no memory of the others.
            if len(self.sources) == 1 and file.parent != folder:
                folder, writers = file.parent, {}
            yield root, file, writers.get(file.with_suffix(""))
            writers.setdefault(file.with_suffix(""), root.resolve() / file)

    @cached_property
    def _resolved(self) -> frozenset[Path]:
        return frozenset(source.resolve() for source in self.sources)

    def _check(self, file: Path, out: Path, replace: bool) -> None:
        real = out.resolve()  # through a link it may be another of the inputs
        is_below = real.suffix.lower() in self.work.accepts and not self._resolved.isdisjoint(real.parents)
        check_apart([out], [file, *([real] if is_below or real in self._resolved else [])])
        check_target(out, replace)

    def do(self, threads: int, job: Job) -> Line:
        """Work on one file and return its line of the manifest.

        Raises what every other file would meet too: a :class:`ConfigError`, a full disk.
        """
        if job.refusal is not None:
            return {"file": job.about["file"], "error": job.refusal}
        began = time.perf_counter()
        out = self.target / job.about["result"]
        try:
            result = self.work(job.path, str(job.path), threads)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(out, result.data, job.replace)
        except (FinolaError, OSError) as error:
            if self._concerns_all(error):
                raise
            return job.about | {"error": told(error)}
        return job.about | {
            "bytes_out": len(result.data),
            "sha256": hashlib.sha256(result.data).hexdigest(),
            "pixels": result.pixels,
            "seconds": round(time.perf_counter() - began, 4),
            "missing": result.missing,
            "notes": result.notes,
        }

    def _concerns_all(self, error: FinolaError | OSError) -> bool:
        if isinstance(error, OSError):
            return error.errno in FULL
        if isinstance(error, TargetError):
            return False  # another picture may meet it
        # Of decoding, the files name the models that it needs.
        return isinstance(error, ConfigError) or (isinstance(error, ModelError) and not isinstance(self.work, Decoding))


def run(batch: Batch, engine: Engine, threads: int = 0) -> Generator[Line, None, None]:
    """Work on what is not done yet, and yield each new line as it is written.

    ``threads`` is how many CPU threads one process alone uses, 0 for all. Raises what :meth:`Batch.jobs` and
    :meth:`Batch.do` raise.
    """
    jobs = batch.jobs()
    batch.target.mkdir(parents=True, exist_ok=True)
    with writing(batch.target) if batch.resumable else contextlib.nullcontext((_unnoted, _unnoted)) as (started, done):
        do = partial(batch.do, engine.threads or threads)
        with contextlib.closing(engine.map(do, _noted(jobs, started))) as found:
            for line in found:
                done(line)
                yield line


def _unnoted(line: Line) -> None:
    """Do nothing, because there is no manifest."""


def _noted(jobs: Iterable[Job], started: Callable[[Line], None]) -> Iterator[Job]:
    for job in jobs:
        if job.refusal is None:
            started({key: job.about[key] for key in ("file", "source", "result")})
        yield job
