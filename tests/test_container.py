"""The container: what is packed comes back, and nothing damaged gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finola_codec.container import (
    ALPHA,
    CHECKS,
    EXIF,
    HYPER,
    ICC,
    LAYER,
    MODES,
    VECTORS,
    Header,
    checks,
    pack,
    salvage,
    unpack,
)
from finola_codec.errors import FormatError, LimitError

HEADER = Header(b"\x00\x11\x22\x33", 768, 512, "RGB", 50)
CHUNKS = {HYPER: b"hyper" * 9, VECTORS: b"vectors" * 40}
headers = st.builds(
    Header,
    model_id=st.binary(min_size=4, max_size=4),
    width=st.integers(1, 1000),
    height=st.integers(1, 1000),
    mode=st.sampled_from(MODES),
    quality=st.integers(1, 100),
)


@given(headers, st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=20), st.binary(max_size=20))
def test_round_trip(header: Header, hyper: bytes, vectors: bytes, alpha: bytes, icc: bytes) -> None:
    chunks = {HYPER: hyper, VECTORS: vectors, ALPHA: alpha, ICC: icc}
    assert unpack(pack(header, chunks)) == (header, chunks)


def test_overhead_of_a_plain_file_is_at_most_32_bytes() -> None:
    header = Header(b"\xff" * 4, 12_000, 9_000, "RGB", 100)
    chunks = {HYPER: bytes(100_000), VECTORS: bytes(2_000_000)}
    assert len(pack(header, chunks)) - 2_100_000 <= 32


def test_metadata_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(LimitError, match="ICC profile chunk would have 16777217 bytes"):
        pack(HEADER, CHUNKS | {ICC: bytes(2**24 + 1)})


def test_every_truncation_is_an_error() -> None:
    data = pack(HEADER, CHUNKS)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            unpack(data[:length])


def test_every_flipped_bit_is_an_error() -> None:
    data = pack(HEADER, CHUNKS)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            unpack(bytes(damaged))


def test_unknown_ancillary_chunks_are_skipped_and_critical_ones_refused() -> None:
    assert unpack(pack(HEADER, CHUNKS | {0xC7: b"later"}))[1] == CHUNKS
    with pytest.raises(FormatError, match="critical chunk of unknown type 0x47"):
        unpack(pack(HEADER, CHUNKS | {0x47: b"later"}))


@pytest.mark.parametrize("missing", [HYPER, VECTORS])
def test_missing_chunks_are_an_error(missing: int) -> None:
    with pytest.raises(FormatError, match="missing"):
        unpack(pack(HEADER, {k: v for k, v in CHUNKS.items() if k != missing}))


def test_a_mode_with_alpha_needs_its_plane() -> None:
    with pytest.raises(FormatError, match="alpha chunk is missing"):
        unpack(pack(Header(b"abcd", 1, 1, "RGBA", 1), CHUNKS))


def test_limits_come_before_everything_else() -> None:
    data = pack(Header(b"abcd", 2**20, 2**20, "RGB", 50), CHUNKS)
    with pytest.raises(LimitError, match="pixels"):
        unpack(data)
    assert unpack(data, max_pixels=None)[0].width == 2**20
    with pytest.raises(LimitError, match="EXIF"):
        unpack(pack(HEADER, {HYPER: b"", EXIF: bytes(2**24 + 1), VECTORS: b""}))


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "not a .fin"), (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a .fin"), (b"\xf1FIN", "trunc")]
)
def test_foreign_files_are_named_as_such(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        unpack(data)


def test_another_version_is_refused() -> None:
    data = bytearray(pack(HEADER, CHUNKS))
    for version in (1, 3):
        data[4] = version
        with pytest.raises(FormatError, match=f"version {version}; this finola-codec reads version 2"):
            unpack(bytes(data))


def test_a_side_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(LimitError, match="1048577 x 2 pixels: a side may have 1048576"):
        pack(Header(b"abcd", 2**20 + 1, 2, "RGB", 50), CHUNKS)


def test_a_layer_may_do_without_vectors_but_not_with_half_of_them() -> None:
    assert unpack(pack(HEADER, {LAYER: b"layer"}))[1] == {LAYER: b"layer"}
    with pytest.raises(FormatError, match="vectors chunk is missing"):
        unpack(pack(HEADER, {LAYER: b"layer", HYPER: b"hyper"}))


def salvaged(data: bytes) -> tuple[dict[int, bytes], list[str]]:
    header, chunks, problems = salvage(data)
    assert header == HEADER
    return chunks, problems


def test_salvage_of_a_whole_file_has_no_problems() -> None:
    assert salvaged(pack(HEADER, CHUNKS)) == (CHUNKS, [])


def test_salvage_ignores_what_follows_a_whole_file() -> None:
    chunks, problems = salvaged(pack(HEADER, CHUNKS) + b"\x85")
    assert chunks == CHUNKS
    assert problems == ["after the vectors chunk: truncated within a number"]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_salvage_of_a_cut_within_a_chunks_head_keeps_what_came_before(cut: int) -> None:
    whole = pack(HEADER, CHUNKS)
    chunks, problems = salvaged(pack(HEADER, CHUNKS | {EXIF: bytes(2000)})[: len(whole) + cut])
    assert chunks == CHUNKS
    assert len(problems) == 1


def test_salvage_keeps_the_beginning_of_cut_vectors() -> None:
    chunks, problems = salvaged(pack(HEADER, CHUNKS)[:-50])
    assert CHUNKS[VECTORS].startswith(chunks[VECTORS])
    assert len(chunks[VECTORS]) == len(CHUNKS[VECTORS]) - 46
    assert problems == ["the vectors chunk is cut off where the file ends"]


@pytest.mark.parametrize("place", [0, 2047, 2048, 9_000, 9_999])
def test_checks_find_the_damage_within_vectors(place: int) -> None:
    vectors = bytes(range(250)) * 40
    chunks = {HYPER: b"hyper", VECTORS: vectors, CHECKS: checks(vectors)}
    assert len(chunks[CHECKS]) == 10
    data = bytearray(pack(HEADER, chunks))
    data[data.index(vectors) + place] ^= 8
    found, problems = salvaged(bytes(data))
    assert found[VECTORS] == vectors[: place // 2048 * 2048]
    assert problems == ["the vectors chunk is damaged: its checksum does not match"]


def test_damaged_vectors_without_checks_are_left_out() -> None:
    data = bytearray(pack(HEADER, CHUNKS))
    data[-20] ^= 1
    chunks, problems = salvaged(bytes(data))
    assert chunks == {HYPER: CHUNKS[HYPER], VECTORS: b""}
    assert problems == ["the vectors chunk is damaged: its checksum does not match"]
