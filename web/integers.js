/** The exact half of decoding: a file to its integers, the same on every machine. */

import { CHUNK, checkCover, unpack } from "./container.js";
import { ModelError } from "./errors.js";
import { sha256 } from "./model.js";

/**
 * The integers of a file whose chunks have been checked.
 * @param {import("./model.js").Model} model
 * @param {import("./container.js").Header} header
 * @param {Map<number, Uint8Array>} chunks
 * @param {{maxPixels?: number, partial?: boolean}} [options] `partial`: the vectors may be cut off
 * @returns {Promise<Int32Array>} (h, w, C) with 12 fractional bits
 */
export async function decodeIntegers(model, header, chunks, { maxPixels, partial = false } = {}) {
  if (model.id !== header.modelId) {
    throw new ModelError(`the file was written with the model ${header.modelId}, which is not ${model.name} (${model.id})`);
  }
  const grid = model.grid(header.width, header.height);
  checkCover(grid.height * grid.width * model.profile.block ** 2, maxPixels);
  const prior = await model.prior();
  const nothing = new Uint8Array(0);
  return prior.decode(chunks.get(CHUNK.HYPER), chunks.get(CHUNK.VECTORS) ?? nothing, grid, header.quality, partial);
}

/**
 * SHA-256, in hexadecimal, of the integers that a file decodes to, as `finola-codec info --verify` prints it.
 * @param {Uint8Array} data
 * @param {import("./model.js").Model} model
 * @returns {Promise<string>}
 */
export async function fingerprint(data, model) {
  const { header, chunks } = unpack(data);
  // A file that is a layer alone has no integers.
  const values = chunks.has(CHUNK.HYPER) ? await decodeIntegers(model, header, chunks) : new Int32Array(0);
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => bytes.setInt32(4 * i, value, true));
  return sha256(bytes);
}
