"""The .fin container: a header and checked chunks, nothing else. ``docs/format.md`` is its specification.

>>> header = Header(b"\\x01\\x02\\x03\\x04", width=640, height=427, mode="RGB", quality=50)
>>> data = pack(header, {HYPER: b"abcd", VECTORS: b"efghijkl"})
>>> len(data) - 12
27
>>> unpack(data)[0] == header
True
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from finola_codec.errors import FormatError, LimitError

MAGIC = b"\xf1FIN"
VERSION = 1
MODES = ("RGB", "L", "RGBA", "LA")
DEFAULT_MAX_PIXELS = 178_956_970  # as Pillow's MAX_IMAGE_PIXELS times two, where it stops with an error
MAX_SIDE = 2**20
MAX_PIXELS_PER_BYTE = 1024  # a white picture at quality 1 has 600
SMALL_CLAIM = 2**20  # pixels that a file of any size may claim
MAX_METADATA = 2**24  # bytes of any one chunk but the vectors

# Chunk types. Bit 7 set: ancillary, a reader that does not know it skips it.
HYPER, VECTORS, ALPHA, ICC, EXIF = 0x01, 0x02, 0x03, 0x84, 0x85
ANCILLARY = 0x80
NAMES = {HYPER: "hyper vectors", VECTORS: "vectors", ALPHA: "alpha", ICC: "ICC profile", EXIF: "EXIF"}


@dataclass(frozen=True)
class Header:
    """What stands before the chunks. ``model_id`` is the first 4 bytes of the model's SHA-256."""

    model_id: bytes
    width: int
    height: int
    mode: str
    quality: int


def pack(header: Header, chunks: Mapping[int, bytes]) -> bytes:
    """Header and chunks, in the order given, to the bytes of a file.

    Raises :class:`LimitError` for metadata that no reader would take.
    """
    out = bytearray(MAGIC)
    out.append(VERSION)
    out += header.model_id
    out.append(MODES.index(header.mode))
    out.append(header.quality)
    out += _varint(header.width) + _varint(header.height)
    head = bytes(out)
    for kind, payload in chunks.items():
        if kind not in (VECTORS, ALPHA) and len(payload) > MAX_METADATA:
            name = NAMES.get(kind, f"0x{kind:02x}")
            raise LimitError(f"the {name} chunk would have {len(payload)} bytes, more than the limit of {MAX_METADATA}")
        start = bytes([kind]) + _varint(len(payload))
        out += start + payload + _crc(head, start, payload)
    return bytes(out)


def unpack(data: bytes, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> tuple[Header, dict[int, bytes]]:
    """The header and the chunks of a file, checked before anything is decoded.

    Raises :class:`FormatError` if the file is not a whole .fin file, and :class:`LimitError` if it claims more
    than ``max_pixels``, or more than its bytes can hold (None: no such limits).
    """
    header, position = _unpack_header(data, max_pixels)
    head = data[:position]
    chunks: dict[int, bytes] = {}
    while position < len(data):
        kind, payload, position = _unpack_chunk(data, position, head)
        if kind in chunks:
            raise FormatError(f"two chunks of type 0x{kind:02x}")
        if kind in NAMES:
            chunks[kind] = payload
        elif not kind & ANCILLARY:
            raise FormatError(f"critical chunk of unknown type 0x{kind:02x}: the file needs a newer finola-codec")
    for kind in _required(header):
        if kind not in chunks:
            raise FormatError(f"the {NAMES[kind]} chunk is missing: the file is truncated")
    return header, chunks


def salvage(data: bytes, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> tuple[Header, dict[int, bytes], list[str]]:
    """The header, what is intact of the chunks, and what is wrong with the rest.

    Of vectors that are cut off, the beginning counts as intact; a damaged chunk is left out. Raises
    :class:`FormatError` where not even the hyper vectors are intact, for nothing can be shown without them.
    """
    header, position = _unpack_header(data, max_pixels)
    head = data[:position]
    chunks: dict[int, bytes] = {}
    problems = []
    while position < len(data):
        try:
            kind, payload, position = _unpack_chunk(data, position, head)
        except FormatError as error:
            problems.append(str(error))
            kind = data[position]
            length, start = _read_varint(data, position + 1)
            position = start + length + 4
            if kind != VECTORS or position <= len(data):
                continue
            payload = data[start:]
        if kind in NAMES:
            chunks.setdefault(kind, payload)
    if HYPER not in chunks:
        raise FormatError("; ".join([*problems, "without intact hyper vectors nothing can be recovered"]))
    problems += [f"the {NAMES[kind]} chunk is missing" for kind in _required(header) if kind not in chunks]
    return header, chunks, problems


def _required(header: Header) -> list[int]:
    return [HYPER, VECTORS] + ([ALPHA] if header.mode.endswith("A") else [])


def _unpack_header(data: bytes, max_pixels: int | None) -> tuple[Header, int]:
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise FormatError("not a .fin file")
    if len(data) < len(MAGIC) + 9:
        raise FormatError("truncated within the header")
    version, model_id, mode, quality = data[4], data[5:9], data[9], data[10]
    if version != VERSION:
        raise FormatError(f"format version {version}; this finola-codec reads version {VERSION}")
    if mode >= len(MODES):
        raise FormatError(f"unknown colour mode {mode}")
    if not 1 <= quality <= 100:
        raise FormatError(f"quality {quality} is not within 1..100")
    width, position = _read_varint(data, 11)
    height, position = _read_varint(data, position)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise FormatError(f"impossible size {width} x {height}")
    if max_pixels is not None:
        _check(f"claims {width} x {height} pixels", width * height, len(data), max_pixels)
    return Header(model_id, width, height, MODES[mode], quality), position


def check_cover(covered: int, size: int, max_pixels: int | None) -> None:
    """Refuse to work on ``covered`` pixels for a file of ``size`` bytes.

    A thin picture is little, but the blocks that cover it may be many. Raises :class:`LimitError` for more than twice
    ``max_pixels``, or more than the bytes can hold (None: no such limits).
    """
    if max_pixels is not None:
        _check(f"its blocks cover {covered} pixels", covered, size, max(2 * max_pixels, SMALL_CLAIM))


def _check(claim: str, pixels: int, size: int, limit: int) -> None:
    if pixels > limit:
        raise LimitError(f"{claim}, more than the limit of {limit}")
    if pixels > max(SMALL_CLAIM, size * MAX_PIXELS_PER_BYTE):
        raise LimitError(f"{claim} in {size} bytes, more than can be believed")


def _unpack_chunk(data: bytes, position: int, head: bytes) -> tuple[int, bytes, int]:
    start = position
    kind = data[position]
    length, position = _read_varint(data, position + 1)
    name = NAMES.get(kind, f"0x{kind:02x}")
    if kind not in (VECTORS, ALPHA) and length > MAX_METADATA:
        raise LimitError(f"the {name} chunk claims {length} bytes, more than the limit of {MAX_METADATA}")
    end = position + length
    if end + 4 > len(data):
        raise FormatError(f"truncated within the {name} chunk")
    payload = data[position:end]
    if _crc(head, data[start:position], payload) != data[end : end + 4]:
        raise FormatError(f"the {name} chunk is damaged: its checksum does not match")
    return kind, payload, end + 4


def _crc(*parts: bytes) -> bytes:
    # The header is part of every chunk's checksum, so it needs none of its own.
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value.to_bytes(4, "little")


def _varint(value: int) -> bytes:
    """Unsigned LEB128: seven bits a byte, low ones first, the top bit set on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            raise FormatError("truncated within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise FormatError("a number is longer than it needs to be")
            return value, position
    raise FormatError("a number is too long")
