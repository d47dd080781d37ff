"""Damaged and hostile input: an error of ours, never another, never a wrong picture."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from finola_codec import FinolaError, FormatError, Model, decode, encode, salvage
from finola_codec.cli import main
from finola_codec.container import EXIF, HYPER, VECTORS, pack, unpack
from tests import hard
from tests.conftest import psnr
from tests.fuzz import kill_encodes


@pytest.fixture(scope="module")
def small(tiny_model: Model, photo: Image.Image) -> bytes:
    """A small file, whole."""
    return encode(photo.crop((100, 100, 140, 130)), 40, model=tiny_model)


def test_every_truncation_is_an_error(small: bytes, tiny_model: Model) -> None:
    for length in range(len(small)):
        with pytest.raises(FinolaError):
            decode(small[:length], model=tiny_model)


def test_every_flipped_bit_is_an_error(small: bytes, tiny_model: Model) -> None:
    for bit in range(8 * len(small)):
        damaged = bytearray(small)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FinolaError):
            decode(bytes(damaged), model=tiny_model)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hyper=st.binary(max_size=80), vectors=st.binary(max_size=200), quality=st.integers(1, 100))
def test_payloads_with_valid_checksums_give_a_picture_or_our_error(
    small: bytes, tiny_model: Model, hyper: bytes, vectors: bytes, quality: int
) -> None:
    header, _ = unpack(small)
    hostile = pack(type(header)(header.model_id, 50, 40, "RGB", quality), {HYPER: hyper, VECTORS: vectors})
    with contextlib.suppress(FinolaError):
        assert decode(hostile, model=tiny_model).size == (50, 40)


def test_hostile_metadata_is_carried_and_not_interpreted(small: bytes, tiny_model: Model) -> None:
    header, chunks = unpack(small)
    assert decode(pack(header, chunks | {EXIF: b"\xff" * 99}), model=tiny_model).info["exif"] == b"\xff" * 99


def test_salvage_gets_better_with_what_is_there(tiny_model: Model, photo: Image.Image) -> None:
    data = encode(photo, 70, model=tiny_model)
    chunks = unpack(data)[1]
    whole = decode(data, model=tiny_model)
    picture, problems = salvage(data, model=tiny_model)
    assert (psnr(picture, whole), problems) == (psnr(whole, whole), [])
    reached = []
    start = len(data) - len(chunks[VECTORS]) - 4
    for length in (start, start + len(chunks[VECTORS]) // 2, len(data) - 1):
        picture, problems = salvage(data[:length], model=tiny_model)
        assert picture.size == photo.size
        assert problems
        reached.append(psnr(picture, photo))
    assert sorted(reached) == reached
    assert reached[0] > 12
    assert reached[-1] > reached[0] + 3


def test_salvage_recovers_whatever_follows_intact_hyper_vectors(small: bytes, tiny_model: Model) -> None:
    header, chunks = unpack(small)
    end_of_hyper = len(pack(header, {HYPER: chunks[HYPER]}))
    for length in range(0, len(small), 3):
        if length < end_of_hyper:
            with pytest.raises(FormatError):
                salvage(small[:length], model=tiny_model)
        else:
            picture, problems = salvage(small[:length], model=tiny_model)
            assert picture.size == (40, 30)
            assert problems
    for place in range(end_of_hyper, len(small), 5):
        damaged = small[:place] + bytes([small[place] ^ 64]) + small[place + 1 :]
        picture, problems = salvage(damaged, model=tiny_model)
        assert picture.size == (40, 30)
        assert problems


def test_salvage_keeps_vectors_that_are_whole(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(photo.size))
    data = encode(picture, 70, model=tiny_model)
    whole = decode(data, model=tiny_model).convert("RGB")
    recovered, problems = salvage(data[:-20], model=tiny_model)
    assert np.array_equal(np.asarray(recovered.convert("RGB")), np.asarray(whole))
    assert problems == ["the alpha chunk is cut off where the file ends", "the alpha chunk is missing"]
    recovered, problems = salvage(data + b"x", model=tiny_model)
    assert np.array_equal(np.asarray(recovered), np.asarray(decode(data, model=tiny_model)))
    assert problems == ["after the alpha chunk: truncated within a number"]


def test_salvage_finds_the_part_that_is_damaged(photo: Image.Image) -> None:
    picture = Image.fromarray(skimage.data.astronaut())
    data = encode(picture, 60)
    place = data.index(unpack(data)[1][VECTORS]) + len(unpack(data)[1][VECTORS]) - 40
    damaged = bytearray(data)
    damaged[place] ^= 1
    recovered, problems = salvage(bytes(damaged))
    assert problems[1] == "7 of 8 parts of the vectors were recovered"
    cut, _ = salvage(data[:place])
    assert psnr(recovered, picture) > psnr(cut, picture) - 0.5


def test_salvage_of_a_short_beginning_of_a_large_file(tiny_model: Model) -> None:
    data = encode(hard.PICTURES["noise"](2000, 1200), 1, model=tiny_model)
    header, chunks = unpack(data)
    picture, problems = salvage(data[: len(pack(header, {HYPER: chunks[HYPER]})) + 20], model=tiny_model)
    assert picture.size == (2000, 1200)
    assert problems


def test_salvage_command_says_what_is_missing(tiny_model: Model, photo: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "cut.fin").write_bytes(encode(photo, 50, model=tiny_model)[:-200])
    arguments = ["decode", str(tmp_path / "cut.fin"), str(tmp_path / "out.png"), "--model", str(tiny_model.folder)]
    assert CliRunner().invoke(main, arguments).exit_code == 2
    done = CliRunner().invoke(main, [*arguments, "--salvage"])
    assert done.exit_code == 3
    assert "the vectors chunk is cut off where the file ends" in done.output
    assert Image.open(tmp_path / "out.png").size == photo.size


@pytest.mark.slow
def test_killed_encodes_leave_no_partial_file(tiny_model: Model) -> None:
    killed, _ = kill_encodes.run(10, str(tiny_model.folder))
    assert killed > 0
