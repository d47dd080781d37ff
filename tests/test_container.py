"""The container: what is packed comes back, and nothing damaged gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finola_codec.container import ALPHA, EXIF, HYPER, ICC, MODES, VECTORS, Header, pack, unpack
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
    with pytest.raises(LimitError, match="believed"):
        unpack(pack(Header(b"abcd", 4000, 3000, "RGB", 50), CHUNKS))
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
    data[4] = 2
    with pytest.raises(FormatError, match="version 2"):
        unpack(bytes(data))
