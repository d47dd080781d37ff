"""Files that are written whole or not at all, and never over what was not asked to be replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from finola_codec.errors import FinolaError

# Linux can write a file that has no name yet; it is given its name through /proc.
NAMELESS = hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")


def read(path: Path) -> bytes:
    """Return the bytes of a file. Raises :class:`FinolaError`, which does not name it."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FinolaError("no such file") from error
    except OSError as error:
        raise FinolaError(error.strerror or str(error)) from error


def check_target(target: Path, force: bool) -> None:
    """Refuse to write over a file that exists without ``force``, and over a folder. Raises :class:`FinolaError`.

    Pipes and character devices are no such files: writing into them destroys nothing.
    """
    if target.is_dir():
        raise FinolaError(f"{target}: is a folder; name the file, or give --out-dir")
    if not force and target.exists() and not _loses_nothing(target):
        raise FinolaError(f"{target}: exists already; overwrite it with --force")


def check_apart(targets: Iterable[Path | int], inputs: Iterable[Path | int]) -> None:
    """Refuse targets that are inputs too, under whatever name; an integer is an open file, as 0 is standard input.

    Raises :class:`FinolaError`. Writing would destroy what was to be read, which is never what is wanted.
    """
    read = {identity for identity in map(_identity, inputs) if identity}
    for target in targets:
        if _identity(target) in read:
            name = "standard output" if isinstance(target, int) else target
            raise FinolaError(f"{name}: is the input too, which would be lost; write to another file")


def check_folder(folder: Path, force: bool, own: str | None = None) -> None:
    """Refuse a folder that holds anything without ``force``, unless it has the file ``own``, which says whose it is.

    Raises :class:`FinolaError`, also where ``folder`` is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise FinolaError(f"{folder}: is a file, not a folder")
    if force or not folder.is_dir() or (own and (folder / own).exists()):
        return
    if any(folder.iterdir()):
        raise FinolaError(f"{folder}: holds other files; name a new folder, or write among them with --force")


def write_whole(target: Path, data: bytes, force: bool = False) -> None:
    """Write a new file beside ``target`` and give it that name when it is complete.

    A file that exists is replaced only with ``force``; its mode stays, and where permitted its owner. Of a symbolic
    link it is the file that it leads to. A pipe, a device, or a file that is open here already (/dev/stdout) is written
    into.
    Raises :class:`FinolaError` as :func:`check_target` does, and :class:`OSError` naming ``target``.
    """
    check_target(target, force)
    try:
        if _is_stream(target):
            _write_into(target, data)
        else:
            _replace(Path(os.path.realpath(target)), data, force)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _replace(target: Path, data: bytes, force: bool) -> None:
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    old = target.stat() if target.exists() else None
    try:
        _write_draft(draft, data, old)
        _rename(draft, target, force)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)


def _write_draft(draft: Path, data: bytes, old: os.stat_result | None) -> None:
    """Write a whole new file. Where the system can, it gets its name last, so that a killed process leaves nothing."""
    if NAMELESS:
        with contextlib.suppress(OSError):  # what is not for want of such files, a full disk say, comes again below
            handle = os.open(draft.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
            with open(handle, "wb") as file:
                _fill(file, data, old)
                # With a folder to start from, which an absolute path does not need, Python follows the link in /proc.
                os.link(f"/proc/self/fd/{handle}", draft, src_dir_fd=handle)
            return
    with draft.open("xb") as file:
        _fill(file, data, old)


def _fill(file: BinaryIO, data: bytes, old: os.stat_result | None) -> None:
    file.write(data)
    file.flush()
    if old and os.name == "posix":
        for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), owner, group)
        os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
    os.fsync(file.fileno())


def _rename(draft: Path, target: Path, force: bool) -> None:
    if force:
        os.replace(draft, target)
        return
    try:
        os.link(draft, target)  # unlike a rename it fails where the name is taken, if only since a moment ago
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.replace(draft, target)


def _write_into(target: Path, data: bytes) -> None:
    number = _open_here(target)
    # Neither created nor cut off; opening an open file anew would start at its beginning.
    handle = os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0)) if number is None else os.dup(number)
    with open(handle, "wb") as file:
        file.write(data)


def _is_stream(path: Path) -> bool:
    return path.exists() and (not stat.S_ISREG(path.stat().st_mode) or _open_here(path) is not None)


def _loses_nothing(path: Path) -> bool:
    return _is_stream(path) and not stat.S_ISBLK(path.stat().st_mode)


def _open_here(path: Path) -> int | None:
    """Return the number of the open file that /dev/stdout, /dev/fd/3 and links to them stand for; ``path`` exists."""
    here = os.path.realpath("/dev/fd")
    while True:
        if path.name.isdecimal() and os.path.realpath(path.parent) == here:
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)


def _identity(place: Path | int) -> tuple[int, int] | None:
    """Return what tells a file from others whatever it is called; None for what writing does not destroy."""
    try:
        found = os.stat(place)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) or stat.S_ISBLK(found.st_mode) else None
