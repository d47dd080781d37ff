/** The .fin container: a header and checked chunks. `docs/format.md` is its specification. */

import { crc32 } from "./crc32.js";
import { FormatError, LimitError } from "./errors.js";

const MAGIC = [0xf1, 0x46, 0x49, 0x4e];
const VERSION = 2;
const MODES = ["RGB", "L", "RGBA", "LA"];
const MAX_SIDE = 2 ** 20;
const MAX_METADATA = 2 ** 24; // bytes of any one chunk but those that hold pixels
const COVER = 2; // the blocks that cover a picture may be that many times the limit, or SMALL_COVER
const SMALL_COVER = 2 ** 20;
const ANCILLARY = 0x80;
const CHECKED = 2048; // bytes of the vectors' payload that one check is over
const UNCHECKED = 4096; // a payload of at most so many bytes has no checks

/** The limit on pixels where none is given. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

/** Chunk types by what they hold. */
export const CHUNK = Object.freeze({
  HYPER: 0x01,
  VECTORS: 0x02,
  ALPHA: 0x03,
  LAYER: 0x04,
  ICC: 0x84,
  EXIF: 0x85,
  XMP: 0x86,
  RESOLUTION: 0x87,
  CHECKS: 0x88,
});

/** What each chunk is called in messages, by its type. */
export const CHUNK_NAMES = new Map([
  [CHUNK.HYPER, "hyper vectors"],
  [CHUNK.VECTORS, "vectors"],
  [CHUNK.ALPHA, "alpha"],
  [CHUNK.LAYER, "layer"],
  [CHUNK.ICC, "ICC profile"],
  [CHUNK.EXIF, "EXIF"],
  [CHUNK.XMP, "XMP"],
  [CHUNK.RESOLUTION, "resolution"],
  [CHUNK.CHECKS, "checks"],
]);
const UNLIMITED = [CHUNK.VECTORS, CHUNK.ALPHA, CHUNK.LAYER];

/**
 * What stands before the chunks.
 * @typedef {object} Header
 * @property {string} modelId 8 hexadecimal digits
 * @property {"RGB" | "L" | "RGBA" | "LA"} mode
 * @property {number} quality from 1 to 100
 * @property {number} width in pixels
 * @property {number} height in pixels
 */

/**
 * The header and the chunks of a whole file, checked before anything is decoded.
 * @param {Uint8Array} data
 * @param {number} [maxPixels] `Infinity` for no limit
 * @returns {{header: Header, chunks: Map<number, Uint8Array>}} payloads by type
 * @throws {FormatError} if the data are not a whole .fin file
 * @throws {LimitError} if they claim more than `maxPixels`
 */
export function unpack(data, maxPixels = DEFAULT_MAX_PIXELS) {
  const { header, end: headEnd } = readHeader(data, maxPixels);
  const chunks = new Map();
  let position = headEnd;
  while (position < data.length) {
    const chunk = readChunk(data, position, headEnd);
    if (!chunk.isWhole) throw new FormatError(`truncated within the ${nameOf(chunk.type)} chunk`);
    if (!chunk.isIntact) {
      throw new FormatError(`the ${nameOf(chunk.type)} chunk is damaged: its checksum does not match`);
    }
    if (chunks.has(chunk.type)) throw new FormatError(`two ${nameOf(chunk.type)} chunks`);
    if (CHUNK_NAMES.has(chunk.type)) {
      chunks.set(chunk.type, chunk.payload);
    } else if (!(chunk.type & ANCILLARY)) {
      throw new FormatError(
        `critical chunk of unknown type ${nameOf(chunk.type)}: the file needs a newer finola-codec`,
      );
    }
    position = chunk.end;
  }
  const missing = missingChunks(header, chunks);
  if (missing.length) throw new FormatError(`the ${nameOf(missing[0])} chunk is missing: the file is truncated`);
  return { header, chunks };
}

/**
 * The bytes of a file.
 * @param {Header} header
 * @param {Map<number, Uint8Array>} chunks payloads by type, in the order in which they are written
 * @returns {Uint8Array}
 */
export function pack({ modelId, mode, quality, width, height }, chunks) {
  const id = [0, 2, 4, 6].map((at) => Number.parseInt(modelId.slice(at, at + 2), 16));
  const head = Uint8Array.from([...MAGIC, VERSION, ...id, MODES.indexOf(mode), quality, ...varint(width), ...varint(height)]);
  const parts = [head];
  for (const [type, payload] of chunks) {
    const start = Uint8Array.from([type, ...varint(payload.length)]);
    parts.push(start, payload, littleEndian(crc32(head, start, payload), 4));
  }
  return joined(parts);
}

/** The checks of a payload of vectors: the low half of a CRC-32 for each 2,048 bytes; nothing for a small payload. */
export function checksOf(vectors) {
  const found = [];
  if (vectors.length > UNCHECKED) {
    for (let at = 0; at < vectors.length; at += CHECKED) {
      found.push(littleEndian(crc32(vectors.subarray(at, at + CHECKED)), 2));
    }
  }
  return joined(found);
}

/** Parts one after the other. @param {Uint8Array[]} parts @returns {Uint8Array} */
export function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * What has come of a file that is still arriving: whole chunks that are intact, and the beginning of the last one.
 * @param {Uint8Array} data the beginning of a file
 * @param {number} [maxPixels]
 * @returns {{header: Header, chunks: Map<number, Uint8Array>} | null} null while the header has not come
 * @throws {FormatError} where what has come is damaged already
 */
export function unpackBeginning(data, maxPixels = DEFAULT_MAX_PIXELS) {
  let position, headEnd, header;
  try {
    ({ header, end: headEnd } = readHeader(data, maxPixels));
  } catch (error) {
    if (data.length < 32 && !(error instanceof LimitError)) return null;
    throw error;
  }
  const chunks = new Map();
  for (position = headEnd; position < data.length; ) {
    if (data.length - position < 6) break; // type and length may not be there yet
    const chunk = readChunk(data, position, headEnd);
    if (chunk.isWhole && !chunk.isIntact) throw new FormatError(`the ${nameOf(chunk.type)} chunk is damaged`);
    chunks.set(chunk.type, chunk.payload);
    if (!chunk.isWhole) break;
    position = chunk.end;
  }
  return { header, chunks };
}

/**
 * Refuse to work on more pixels than a limit allows: a thin picture is little, but the blocks that cover it are not.
 * @param {number} covered pixels that the blocks cover
 * @param {number} [maxPixels]
 * @throws {LimitError}
 */
export function checkCover(covered, maxPixels = DEFAULT_MAX_PIXELS) {
  const limit = Math.max(COVER * maxPixels, SMALL_COVER);
  if (covered > limit) throw new LimitError(`its blocks cover ${covered} pixels, more than the limit of ${limit}`);
}

/** @param {number} type @returns {string} */
function nameOf(type) {
  return CHUNK_NAMES.get(type) ?? `0x${type.toString(16).padStart(2, "0")}`;
}

/** The types of the chunks that a file must have and does not: a layer may do without any vectors. */
function missingChunks(header, chunks) {
  const { HYPER, VECTORS, ALPHA, LAYER } = CHUNK;
  const bare = chunks.has(LAYER) && !chunks.has(HYPER) && !chunks.has(VECTORS);
  const required = [...(bare ? [] : [HYPER, VECTORS]), ...(header.mode.endsWith("A") ? [ALPHA] : [])];
  return required.filter((type) => !chunks.has(type));
}

function readHeader(data, maxPixels) {
  const begun = Math.min(data.length, MAGIC.length);
  if (!data.length || MAGIC.slice(0, begun).some((byte, i) => data[i] !== byte)) throw new FormatError("not a .fin file");
  if (data.length < MAGIC.length + 9) throw new FormatError("truncated within the header");
  const [version, mode, quality] = [data[4], data[9], data[10]];
  if (version !== VERSION) {
    throw new FormatError(`format version ${version}; this finola-codec reads version ${VERSION}`);
  }
  if (mode >= MODES.length) throw new FormatError(`unknown colour mode ${mode}`);
  if (quality < 1 || quality > 100) throw new FormatError(`quality ${quality} is not within 1..100`);
  const width = readVarint(data, 11);
  const height = readVarint(data, width.end);
  checkSize(width.value, height.value, maxPixels);
  const modelId = Array.from(data.subarray(5, 9), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const header = { modelId, mode: MODES[mode], quality, width: width.value, height: height.value };
  return { header, end: height.end };
}

/**
 * Refuse a size that no file may have, or that exceeds a limit.
 * @param {number} width @param {number} height @param {number} maxPixels
 * @throws {FormatError}
 */
export function checkSize(width, height, maxPixels) {
  if (!(width && height)) throw new FormatError(`impossible size ${width} x ${height}`);
  if (Math.max(width, height) > MAX_SIDE) {
    throw new LimitError(`${width} x ${height} pixels: a side may have ${MAX_SIDE} pixels at most`);
  }
  if (width * height > maxPixels) {
    throw new LimitError(`${width} x ${height} pixels, more than the limit of ${maxPixels}`);
  }
}

/** One chunk as it stands in a file: is everything of it there, and does its checksum match? */
function readChunk(data, start, headEnd) {
  const type = data[start];
  const { value: length, end: begin } = readVarint(data, start + 1);
  if (!UNLIMITED.includes(type) && length > MAX_METADATA) {
    throw new LimitError(`the ${nameOf(type)} chunk claims ${length} bytes, more than the limit of ${MAX_METADATA}`);
  }
  const end = begin + length + 4;
  const isWhole = end <= data.length;
  const payload = data.subarray(begin, Math.min(begin + length, data.length));
  const isIntact =
    isWhole && crc32(data.subarray(0, headEnd), data.subarray(start, begin + length)) === readUint32(data, end - 4);
  return { type, payload, end, isWhole, isIntact };
}

function littleEndian(value, bytes) {
  return Uint8Array.from({ length: bytes }, (_, i) => value >>> (8 * i));
}

function varint(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function readUint32(data, position) {
  return new DataView(data.buffer, data.byteOffset + position, 4).getUint32(0, true);
}

/** An unsigned LEB128 number of at most five bytes, which fits a float64 but not 32 bits. */
function readVarint(data, start) {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    if (start + i >= data.length) throw new FormatError("truncated within a number");
    const byte = data[start + i];
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (byte === 0 && i) throw new FormatError("a number is longer than it needs to be");
      return { value, end: start + i + 1 };
    }
  }
  throw new FormatError("a number is too long");
}
