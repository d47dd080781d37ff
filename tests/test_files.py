"""What is written is whole, and never takes the place of what was not asked to be replaced."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from finola_codec import FinolaError, files
from finola_codec.files import check_apart, check_folder, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and pipes are those of POSIX")


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def drafts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of writing a file before it has its final name."""
    if not request.param:
        monkeypatch.setattr(files, "NAMELESS", False)


@pytest.mark.usefixtures("drafts")
def test_a_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_whole(target, b"one")
    with pytest.raises(FinolaError, match="exists already"):
        write_whole(target, b"two")
    assert target.read_bytes() == b"one"
    write_whole(target, b"two", force=True)
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("drafts")
@pytest.mark.parametrize("links", [True, False])
def test_a_name_taken_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    target = tmp_path / "a"
    fsync, link = os.fsync, os.link

    def another(handle: int) -> None:
        target.write_bytes(b"another's")
        fsync(handle)

    def unsupported(source: str | Path, name: Path, **options: int) -> None:
        if name == target:
            raise PermissionError("no links here")
        link(source, name, **options)

    monkeypatch.setattr(os, "fsync", another)
    if not links:
        monkeypatch.setattr(os, "link", unsupported)
    with pytest.raises(FileExistsError):
        write_whole(target, b"ours")
    assert target.read_bytes() == b"another's"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("drafts")
def test_a_write_that_fails_leaves_nothing_and_names_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "a", b"data")
    assert caught.value.filename == str(tmp_path / "a")
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.usefixtures("drafts")
def test_mode_and_owner_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(target, 12345, 23456)
    before = target.stat()
    write_whole(target, b"new", force=True)
    after = target.stat()
    assert target.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@posix
@pytest.mark.usefixtures("drafts")
def test_new_files_have_the_mode_that_others_have(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_whole(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix
def test_the_file_behind_a_link_is_what_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    real, link = tmp_path / "deep" / "real", tmp_path / "link"
    link.symlink_to(Path("deep") / "real")
    write_whole(link, b"one")  # the file that the link leads to is not there yet
    with pytest.raises(FinolaError, match="exists already"):
        write_whole(link, b"two")
    write_whole(link, b"two", force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"two"


@posix
@pytest.mark.parametrize("force", [True, False])
def test_a_pipe_is_written_into(tmp_path: Path, force: bool) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"data", force)
    reader.join(timeout=30)
    assert got == [b"data"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@posix
@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices on this system")
def test_a_device_is_written_into(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    write_whole(link, b"data", force=True)
    assert Path("/dev/null").is_char_device()
    assert link.is_symlink()


@posix
@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd on this system")
def test_an_open_file_goes_on_where_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b", buffering=0) as file:
        file.write(b"before ")
        link = tmp_path / "link"
        link.symlink_to(f"/dev/fd/{file.fileno()}")
        write_whole(link, b"data ")
        write_whole(Path(f"/dev/fd/{file.fileno()}"), b"data ", force=True)
        file.write(b"after")
    assert (tmp_path / "log").read_bytes() == b"before data data after"


def test_inputs_are_recognised_under_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"data")
    (tmp_path / "hard").hardlink_to(source)
    names: list[Path | int] = [source, tmp_path / "b" / ".." / "a", tmp_path / "hard"]
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    names.append(Path("a"))
    if os.name == "posix":
        (tmp_path / "soft").symlink_to("hard")
        names.append(tmp_path / "soft")
    with source.open("rb") as file:
        for name in [*names, file.fileno()]:
            with pytest.raises(FinolaError, match="is the input too"):
                check_apart([tmp_path / "other", name], [tmp_path / "missing", source])
    check_apart([tmp_path / "other"], names)
    check_apart([Path(os.devnull)], [Path(os.devnull)])


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    check_folder(tmp_path, force=False)
    check_folder(tmp_path / "missing", force=False)
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FinolaError, match="holds other files"):
        check_folder(tmp_path, force=False, own="b")
    with pytest.raises(FinolaError, match="not a folder"):
        check_folder(tmp_path / "a", force=True)
    check_folder(tmp_path, force=False, own="a")
    check_folder(tmp_path, force=True)


@pytest.mark.skipif(not files.NAMELESS, reason="this system has no files without a name")
def test_a_kill_while_writing_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal; from finola_codec.files import write_whole;"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL);"
        f"write_whole(pathlib.Path({str(tmp_path / 'a')!r}), bytes(1000000))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_while_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    """A loop of writes, killed at a random moment, again and again: what has the final name is whole."""
    data = os.urandom(20000)
    (tmp_path / "whole").write_bytes(data)
    target = tmp_path / "out"
    program = (
        "import pathlib; from finola_codec.files import write_whole;"
        f"data = pathlib.Path({str(tmp_path / 'whole')!r}).read_bytes(); target = pathlib.Path({str(target)!r});"
        "print('ready', flush=True)\nwhile True: write_whole(target, data, force=True)"
    )
    seen = 0
    for attempt in range(20):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.001 * (attempt % 10))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if target.exists():
            seen += 1
            assert target.read_bytes() == data
            target.unlink()
    assert seen > 0
