/** Reading of NumPy's archives: a ZIP of .npy files without compression, as model folders have them. */

import { ModelError } from "./errors.js";

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const TYPES = {
  "<i2": (view, at) => view.getInt16(at, true),
  "<i4": (view, at) => view.getInt32(at, true),
  "<u4": (view, at) => view.getUint32(at, true),
};
const SIZES = { "<i2": 2, "<i4": 4, "<u4": 4 };
const ARRAYS = { "<i2": Int16Array, "<i4": Int32Array, "<u4": Uint32Array };

/**
 * An array of integers, the last index running fastest.
 * @typedef {object} NumberArray
 * @property {number[]} shape
 * @property {Int16Array | Int32Array | Uint32Array} data
 */

/**
 * The arrays of an archive by name.
 * @param {Uint8Array} archive
 * @returns {Map<string, NumberArray>}
 * @throws {ModelError} where it is not such an archive
 */
export function readNpz(archive) {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  try {
    return new Map(entries(view).map(({ name, begin, size }) => [name.replace(/\.npy$/, ""), readNpy(view, begin, size)]));
  } catch (error) {
    if (error instanceof RangeError) throw new ModelError("the prior's archive is truncated", { cause: error });
    throw error;
  }
}

/** Where the members lie. Sizes and offsets fit 32 bits, since a model's archive is far smaller. */
function entries(view) {
  let end = view.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== END_OF_DIRECTORY) end -= 1;
  if (end < 0) throw new ModelError("the prior is not a ZIP archive");
  const found = [];
  let at = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count--) {
    const method = view.getUint16(at + 10, true);
    if (view.getUint32(at, true) !== DIRECTORY_ENTRY || method !== 0) {
      throw new ModelError("the prior's archive is damaged or compressed");
    }
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const local = view.getUint32(at + 42, true);
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    found.push({ name: text(view, at + 46, nameLength), begin, size: view.getUint32(at + 20, true) });
    at += 46 + nameLength + extra + comment;
  }
  return found;
}

function readNpy(view, begin, size) {
  const headerLength = view.getUint16(begin + 8, true);
  const header = text(view, begin + 10, headerLength);
  const type = /'descr': '([^']*)'/.exec(header)?.[1];
  const dimensions = /'shape': \(([^)]*)\)/.exec(header)?.[1];
  if (text(view, begin + 1, 5) !== "NUMPY" || !(type in TYPES) || dimensions === undefined || /True/.test(header)) {
    throw new ModelError("the prior has an array of an unknown form");
  }
  const shape = dimensions.split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  const count = shape.reduce((product, side) => product * side, 1);
  const first = begin + 10 + headerLength;
  if (10 + headerLength + count * SIZES[type] !== size) throw new ModelError("an array of the prior has the wrong size");
  const data = new ARRAYS[type](count);
  for (let i = 0; i < count; i++) data[i] = TYPES[type](view, first + i * SIZES[type]);
  return { shape, data };
}

function text(view, at, length) {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));
}
