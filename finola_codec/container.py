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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from finola_codec.errors import FormatError, LimitError

MAGIC = b"\xf1FIN"
VERSION = 2
MODES = ("RGB", "L", "RGBA", "LA")
DEFAULT_MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS, which is where Pillow refuses a picture
MAX_SIDE = 2**20
MAX_METADATA = 2**24  # the largest size, in bytes, of a chunk that holds no pixels
COVER = 2  # blocks may cover this many times ``max_pixels``, and SMALL_COVER pixels in any case
SMALL_COVER = 2**20

# Chunk types. Where bit 7 is set the chunk is ancillary, and a reader that does not know its type skips it.
HYPER, VECTORS, ALPHA, LAYER = 0x01, 0x02, 0x03, 0x04
ICC, EXIF, XMP, RESOLUTION, CHECKS = 0x84, 0x85, 0x86, 0x87, 0x88
ANCILLARY = 0x80
CRC_BYTES = 4  # at the end of each chunk
NAMES = {
    HYPER: "hyper vectors",
    VECTORS: "vectors",
    ALPHA: "alpha",
    LAYER: "layer",
    ICC: "ICC profile",
    EXIF: "EXIF",
    XMP: "XMP",
    RESOLUTION: "resolution",
    CHECKS: "checks",
}
LARGE = (VECTORS, ALPHA, LAYER)  # these chunks have no limit of their own

CHECKED = 2048  # one check covers this many bytes of the vectors' payload
UNCHECKED = 4096  # a payload of at most this many bytes has no checks


@dataclass(frozen=True)
class Header:
    """What stands before the chunks. ``model_id`` is the first 4 bytes of the model's SHA-256."""

    model_id: bytes
    width: int
    height: int
    mode: str
    quality: int


def pack(header: Header, chunks: Mapping[int, bytes]) -> bytes:
    """Write a header and chunks, in the order given, as the bytes of a file.

    Raises :class:`LimitError` for a side or metadata larger than readers take.
    """
    check_size(header.width, header.height, max_pixels=None)
    out = bytearray(MAGIC)
    out.append(VERSION)
    out += header.model_id
    out.append(MODES.index(header.mode))
    out.append(header.quality)
    out += _varint(header.width) + _varint(header.height)
    head = bytes(out)
    for kind, payload in chunks.items():
        if kind not in LARGE and len(payload) > MAX_METADATA:
            name = _name(kind)
            raise LimitError(f"the {name} chunk would have {len(payload)} bytes, more than the limit of {MAX_METADATA}")
        start = bytes([kind]) + _varint(len(payload))
        out += start + payload + _crc(head, start, payload)
    return bytes(out)


def chunk_bytes(payload: bytes) -> int:
    """Return how many bytes a chunk takes: its type, length and checksum beside its payload."""
    return 1 + len(_varint(len(payload))) + len(payload) + CRC_BYTES


def unpack(data: bytes, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> tuple[Header, dict[int, bytes]]:
    """Read the header and the chunks of a file, and check them before anything is decoded.

    Raises :class:`FormatError` if the file is not a whole .fin file, and :class:`LimitError` if it claims more
    than ``max_pixels`` (None: no such limit).
    """
    header, position = _unpack_header(data, max_pixels)
    head = data[:position]
    chunks: dict[int, bytes] = {}
    while position < len(data):
        chunk = _read_chunk(data, position, head)
        if not chunk.is_whole:
            raise FormatError(f"truncated within the {_name(chunk.kind)} chunk")
        if not chunk.is_intact:
            raise FormatError(f"the {_name(chunk.kind)} chunk is damaged: its checksum does not match")
        if chunk.kind in chunks:
            raise FormatError(f"two chunks of type 0x{chunk.kind:02x}")
        if chunk.kind in NAMES:
            chunks[chunk.kind] = chunk.payload
        elif not chunk.kind & ANCILLARY:
            raise FormatError(f"critical chunk of unknown type 0x{chunk.kind:02x}: the file needs a newer finola-codec")
        position = chunk.end
    if missing := _missing(header, chunks):
        raise FormatError(f"the {_name(missing[0])} chunk is missing: the file is truncated")
    return header, chunks


def salvage(data: bytes, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> tuple[Header, dict[int, bytes], list[str]]:
    """Read the header and what is intact of the chunks, and say what is wrong with the rest.

    Of vectors that are cut off or damaged, the beginning that is known to be intact is kept: up to where the file
    ends, or up to the first check that does not match. Any other damaged chunk is left out. Raises
    :class:`FormatError` where neither hyper vectors nor a layer are intact, for nothing can be shown without them.
    """
    header, position = _unpack_header(data, max_pixels)
    head = data[:position]
    chunks: dict[int, bytes] = {}
    cut: _Chunk | None = None
    problems = []
    while position < len(data):
        try:
            chunk = _read_chunk(data, position, head)
        except FormatError as error:
            problems.append(f"after the {_name(list(chunks)[-1])} chunk: {error}" if chunks else str(error))
            break
        position = chunk.end
        if chunk.is_intact and chunk.kind in NAMES:
            chunks.setdefault(chunk.kind, chunk.payload)
        elif not chunk.is_intact:
            what = "damaged: its checksum does not match" if chunk.is_whole else "cut off where the file ends"
            problems.append(f"the {_name(chunk.kind)} chunk is {what}")
            cut = chunk if chunk.kind == VECTORS else cut
    if VECTORS not in chunks and cut:
        chunks[VECTORS] = cut.payload[: _intact_length(cut, chunks.get(CHECKS))]
    if HYPER not in chunks and LAYER not in chunks:
        raise FormatError("; ".join([*problems, "without intact hyper vectors nothing can be recovered"]))
    problems += [f"the {_name(kind)} chunk is missing" for kind in _missing(header, chunks)]
    return header, chunks, problems


def checks(vectors: bytes) -> bytes:
    """Make what finds damage within the vectors' payload: two bytes for each CHECKED bytes, nothing for a small one."""
    if len(vectors) <= UNCHECKED:
        return b""
    return b"".join(_crc(vectors[i : i + CHECKED])[:2] for i in range(0, len(vectors), CHECKED))


def _intact_length(vectors: _Chunk, expected: bytes | None) -> int:
    """Count the bytes at the beginning of a cut or damaged payload that are known to be intact."""
    if not vectors.is_whole:
        return len(vectors.payload)
    if not expected:
        return 0
    found = checks(vectors.payload)
    wrong = (i for i in range(0, len(found), 2) if found[i : i + 2] != expected[i : i + 2])
    return min(next(wrong, len(found)) // 2 * CHECKED, len(vectors.payload))


def check_cover(covered: int, max_pixels: int | None) -> None:
    """Refuse to work on ``covered`` pixels: a thin picture is little, but the blocks that cover it may be many.

    Raises :class:`LimitError` for more than twice ``max_pixels`` (None: no such limit).
    """
    limit = None if max_pixels is None else max(COVER * max_pixels, SMALL_COVER)
    if limit is not None and covered > limit:
        raise LimitError(f"its blocks cover {covered} pixels, more than the limit of {limit}")


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raise :class:`LimitError` for a side that no file may have, or more than ``max_pixels`` (None: no such limit)."""
    if max(width, height) > MAX_SIDE:
        raise LimitError(f"{width} x {height} pixels: a side may have {MAX_SIDE} pixels at most")
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(f"{width} x {height} pixels, more than the limit of {max_pixels}")


def _name(kind: int) -> str:
    return NAMES.get(kind, f"0x{kind:02x}")


def _missing(header: Header, chunks: Iterable[int]) -> list[int]:
    """List the chunks that a file must have and does not. A layer may do without any vectors."""
    vectors = [] if LAYER in chunks and HYPER not in chunks and VECTORS not in chunks else [HYPER, VECTORS]
    required = vectors + ([ALPHA] if header.mode.endswith("A") else [])
    return [kind for kind in required if kind not in chunks]


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
    if not (width and height):
        raise FormatError(f"impossible size {width} x {height}")
    check_size(width, height, max_pixels)
    return Header(model_id, width, height, MODES[mode], quality), position


@dataclass(frozen=True)
class _Chunk:
    """One chunk as it stands in a file: is everything of it there, and does its checksum match?"""

    kind: int
    payload: bytes
    end: int
    is_whole: bool
    is_intact: bool


def _read_chunk(data: bytes, start: int, head: bytes) -> _Chunk:
    kind = data[start]
    length, position = _read_varint(data, start + 1)
    if kind not in LARGE and length > MAX_METADATA:
        raise LimitError(f"the {_name(kind)} chunk claims {length} bytes, more than the limit of {MAX_METADATA}")
    payload, end = data[position : position + length], position + length + CRC_BYTES
    is_whole = end <= len(data)
    is_intact = is_whole and _crc(head, data[start:position], payload) == data[end - CRC_BYTES : end]
    return _Chunk(kind, payload, end, is_whole, is_intact)


def _crc(*parts: bytes) -> bytes:
    # The header is part of every chunk's checksum, so it needs none of its own.
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value.to_bytes(CRC_BYTES, "little")


def _varint(value: int) -> bytes:
    """Write unsigned LEB128: seven bits a byte, low ones first, with the top bit set on all bytes but the last."""
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
