"""Codecs that are programs, with stand-ins for them on the PATH."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finola_codec.errors import ConfigError
from finola_codec.evaluation.codecs import find
from tests.conftest import psnr


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of programs that comes first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_vvc_is_given_planes_and_gives_them_back(programs: Path, photo: Image.Image) -> None:
    install(programs, "vvencapp", '[ "$2" ] && [ "$4" = 451x300 ] && [ "${10}" = 23 ] && cp "$2" "${12}"')
    install(programs, "vvdecapp", 'cp "$2" "$4"')
    (codec,) = find(["vvc"], [])
    data = codec.encode(photo, 23)
    assert len(data) == 3 * 451 * 300 + 4
    assert psnr(codec.decode(data), photo) > 40  # YCbCr in 8 bits and back


def test_bpg_goes_through_png(programs: Path, photo: Image.Image) -> None:
    install(programs, "bpgenc", 'cp "$7" "$6"')
    install(programs, "bpgdec", 'cp "$3" "$2"')
    (codec,) = find(["bpg"], [])
    assert (np.asarray(codec.decode(codec.encode(photo, 30))) == np.asarray(photo)).all()


def test_another_cjpeg_is_not_mozjpeg(programs: Path) -> None:
    install(programs, "cjpeg", "echo libjpeg-turbo version 2")
    with pytest.raises(ConfigError, match="mozjpeg's cjpeg"):
        find(["mozjpeg"], [])
    install(programs, "cjpeg", "echo mozjpeg version 4")
    assert find(["mozjpeg"], [])[0].name == "mozjpeg"


def test_a_program_that_fails_is_named(programs: Path, photo: Image.Image) -> None:
    install(programs, "bpgenc", "echo no such thing >&2; exit 1")
    install(programs, "bpgdec", "exit 1")
    with pytest.raises(ConfigError, match="bpgenc failed: no such thing"):
        find(["bpg"], [])[0].encode(photo, 30)


def test_what_is_not_installed_is_said(programs: Path) -> None:
    with pytest.raises(ConfigError, match="vvc needs the program vvencapp, which is not installed"):
        find(["vvc"], [])
