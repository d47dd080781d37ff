/** A decoded picture as a PNG, which the browser shows, prints and saves with the colours of its ICC profile. */

import { joined } from "./container.js";
import { crc32 } from "./crc32.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const STORED = 65535; // bytes that a block of deflate has at most where nothing is compressed
const COLOUR_TYPES = { L: 0, RGB: 2, LA: 4, RGBA: 6 };

/**
 * The bytes of a PNG. Its data are not compressed: it stays in memory, where compressing would take longer than decoding.
 * @param {import("./decoder.js").Picture} picture
 * @returns {Blob}
 */
export function toPng({ width, height, mode, data, icc }) {
  const header = imageHeader(width, height, mode);
  const profile = icc ? [chunk("iCCP", [Uint8Array.from([0x69, 0x63, 0x63, 0, 0]), ...stored([icc])])] : [];
  const parts = [chunk("IHDR", [header]), ...profile, chunk("IDAT", stored(scanlines(width, height, mode, data))), chunk("IEND", [])];
  return new Blob([Uint8Array.from(SIGNATURE), ...parts.flat()], { type: "image/png" });
}

/**
 * The bytes of a grey PNG of an alpha plane, compressed.
 * @param {Uint8Array} alpha (height, width) @param {number} width @param {number} height
 * @returns {Promise<Uint8Array>}
 */
export async function alphaToPng(alpha, width, height) {
  const tried = await Promise.all([0, 1, 2].map((filter) => deflated(filtered(alpha, width, height, filter))));
  const data = tried.reduce((best, other) => (other.length < best.length ? other : best));
  const parts = [chunk("IHDR", [imageHeader(width, height, "L")]), chunk("IDAT", [data]), chunk("IEND", [])];
  return joined([Uint8Array.from(SIGNATURE), ...parts.flat()]);
}

/** Rows behind the number of their filter: 0 for none, 1 for differences from the left, 2 for those from above. */
function filtered(alpha, width, height, filter) {
  const rows = new Uint8Array((1 + width) * height);
  for (let y = 0, to = 0, at = 0; y < height; y++) {
    rows[to++] = filter;
    for (let x = 0; x < width; x++, at++) {
      const before = filter === 1 && x ? alpha[at - 1] : filter === 2 && y ? alpha[at - width] : 0;
      rows[to++] = alpha[at] - before;
    }
  }
  return rows;
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function imageHeader(width, height, mode) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = COLOUR_TYPES[mode];
  return header;
}

/** Rows of samples, each behind a byte that says that it is not filtered. */
function scanlines(width, height, mode, data) {
  const used = { L: [0], LA: [0, 3], RGB: [0, 1, 2], RGBA: [0, 1, 2, 3] }[mode];
  return Array.from({ length: height }, (_, y) => {
    const row = new Uint8Array(1 + width * used.length);
    for (let x = 0, to = 1; x < width; x++) {
      for (const c of used) row[to++] = data[4 * (y * width + x) + c];
    }
    return row;
  });
}

/** A zlib stream of stored blocks. */
function stored(parts) {
  const bytes = joined(parts);
  const size = bytes.length;
  let [a, b] = [1, 0]; // Adler-32
  const out = [Uint8Array.from([0x78, 0x01])];
  for (let begin = 0; begin < size || begin === 0; begin += STORED) {
    const block = bytes.subarray(begin, begin + STORED);
    const head = new DataView(new ArrayBuffer(5));
    head.setUint8(0, begin + STORED >= size ? 1 : 0);
    head.setUint16(1, block.length, true);
    head.setUint16(3, block.length ^ 0xffff, true);
    out.push(new Uint8Array(head.buffer), block);
  }
  for (let begin = 0; begin < size; begin += 3800) {
    for (const byte of bytes.subarray(begin, begin + 3800)) b += a += byte; // below 2^53, so the remainders can wait
    a %= 65521;
    b %= 65521;
  }
  const sum = new DataView(new ArrayBuffer(4));
  sum.setUint16(0, b);
  sum.setUint16(2, a);
  return [...out, new Uint8Array(sum.buffer)];
}

function chunk(type, parts) {
  const name = Uint8Array.from(type, (letter) => letter.charCodeAt(0));
  const ends = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
  ends[0].setUint32(0, parts.reduce((sum, part) => sum + part.length, 0));
  ends[1].setUint32(0, crc32(name, ...parts));
  return [new Uint8Array(ends[0].buffer), name, ...parts, new Uint8Array(ends[1].buffer)];
}
