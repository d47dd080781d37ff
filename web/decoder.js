/** A whole .fin file to pixels: where the stages meet. It runs in the worker. */

import { CHUNK, unpack, unpackBeginning } from "./container.js";
import { FormatError } from "./errors.js";
import { decodeIntegers } from "./integers.js";
import { Synthesis } from "./pixels.js";
import { decodeAlpha, decodeLayer } from "./raster.js";

/**
 * A decoded picture.
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {"RGB" | "L" | "RGBA" | "LA"} mode
 * @property {number} quality
 * @property {Uint8ClampedArray} data (height, width, 4) RGBA, not premultiplied, in the colours of `icc` or sRGB
 * @property {Uint8Array | null} icc
 * @property {Uint8Array | null} exif
 */

export class Decoder {
  /**
   * @param {import("./models.js").Models} models
   * @param {() => Promise<import("./graphs.js").Runtime>} runtime loads ONNX Runtime
   */
  constructor(models, runtime) {
    this._models = models;
    this._loadRuntime = runtime;
    /** @type {Map<import("./model.js").Model, Promise<Synthesis>>} */
    this._syntheses = new Map();
  }

  /**
   * Decode a whole file.
   * @param {Uint8Array} data @param {number} [maxPixels] @returns {Promise<Picture>}
   */
  async decode(data, maxPixels) {
    const { header, chunks } = unpack(data, maxPixels);
    return this._picture(header, chunks, maxPixels, false);
  }

  /**
   * What can be shown of a file that is still arriving.
   * @param {Uint8Array} data the beginning of a file
   * @param {number} [maxPixels]
   * @returns {Promise<Picture | null>} null while that is nothing
   */
  async preview(data, maxPixels) {
    const begun = unpackBeginning(data, maxPixels);
    if (!begun?.chunks.has(CHUNK.VECTORS)) return null; // so the hyper vectors are whole
    const { header, chunks } = begun;
    chunks.delete(CHUNK.ALPHA); // it may be cut off, and so may a layer
    chunks.delete(CHUNK.LAYER);
    return this._picture(header, chunks, maxPixels, true);
  }

  async _picture(header, chunks, maxPixels, partial) {
    const { width, height, mode, quality } = header;
    const isGrey = mode.startsWith("L");
    const layer = chunks.has(CHUNK.LAYER) ? await decodeLayer(chunks.get(CHUNK.LAYER), width, height, isGrey) : null;
    const data = chunks.has(CHUNK.VECTORS)
      ? await this._synthesised(header, chunks, maxPixels, partial)
      : new Uint8ClampedArray(4 * width * height);
    if (isGrey) toGrey(data);
    if (layer) lay(layer, data, !chunks.has(CHUNK.VECTORS));
    if (mode.endsWith("A") && chunks.has(CHUNK.ALPHA)) {
      const alpha = await decodeAlpha(chunks.get(CHUNK.ALPHA), width, height);
      alpha?.forEach((value, i) => (data[4 * i + 3] = value));
    }
    const [icc, exif] = [CHUNK.ICC, CHUNK.EXIF].map((type) => chunks.get(type)?.slice() ?? null);
    return { width, height, mode, quality, data, icc, exif };
  }

  async _synthesised(header, chunks, maxPixels, partial) {
    const model = await this._models.find(header.modelId);
    const synthesis = this._synthesis(model); // fetched while the integers are computed
    synthesis.catch(() => undefined);
    const values = await decodeIntegers(model, header, chunks, { maxPixels, partial });
    return (await synthesis).pixels(values, header);
  }

  _synthesis(model) {
    if (!this._syntheses.has(model)) {
      const opened = this._loadRuntime().then((runtime) => Synthesis.open(model, runtime));
      opened.catch(() => this._syntheses.delete(model));
      this._syntheses.set(model, opened);
    }
    return this._syntheses.get(model);
  }
}

/** Replace colours by their luma, as Pillow does. */
function toGrey(data) {
  for (let i = 0; i < data.length; i += 4) {
    const luma = (19595 * data[i] + 38470 * data[i + 1] + 7471 * data[i + 2] + 32768) >> 16;
    data[i] = data[i + 1] = data[i + 2] = luma;
  }
}

/** Put a layer over the pixels; with nothing below, it must be opaque everywhere. */
function lay(layer, data, isAlone) {
  for (let i = 0; i < data.length; i += 4) {
    if (layer[i + 3] === 255) data.set(layer.subarray(i, i + 4), i);
    else if (isAlone) throw new FormatError("the vectors are missing, and the layer is not opaque everywhere");
  }
}
