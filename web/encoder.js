/** Pixels to a whole .fin file: where the stages meet. It runs in the worker. */

import { Analysis } from "./analysis.js";
import { CHUNK, DEFAULT_MAX_PIXELS, checkCover, checkSize, checksOf, pack } from "./container.js";
import { alphaToPng } from "./png.js";

export class Encoder {
  /**
   * @param {import("./models.js").Models} models
   * @param {() => Promise<import("./graphs.js").Runtime>} runtime loads ONNX Runtime
   */
  constructor(models, runtime) {
    this._models = models;
    this._loadRuntime = runtime;
    /** @type {Map<import("./model.js").Model, Promise<Analysis>>} */
    this._analyses = new Map();
  }

  /**
   * Encode a picture.
   * @param {{data: Uint8ClampedArray, width: number, height: number}} pixels RGBA
   * @param {number} quality from 1 to 100
   * @param {string} [name] of the model
   * @returns {Promise<Uint8Array>}
   */
  async encode({ data, width, height }, quality, name) {
    checkSize(width, height, DEFAULT_MAX_PIXELS);
    const model = await this._models.named(name);
    const grid = model.grid(width, height);
    checkCover(grid.height * grid.width * model.profile.block ** 2);
    const analysis = await this._analysis(model);
    const y = await analysis.vectors(data, width, height, quality);
    const z = await analysis.hyperVectors(y, grid, quality);
    const prior = await model.prior();
    const { hyper, vectors } = prior.encode(y, z, grid, quality, priceOf(model.profile, quality));
    const chunks = new Map([[CHUNK.HYPER, hyper], [CHUNK.VECTORS, vectors]]);
    const checks = checksOf(vectors);
    if (checks.length) chunks.set(CHUNK.CHECKS, checks);
    const alpha = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]);
    const isOpaque = alpha.every((value) => value === 255);
    if (!isOpaque) chunks.set(CHUNK.ALPHA, await alphaToPng(alpha, width, height));
    return pack({ modelId: model.id, mode: isOpaque ? "RGB" : "RGBA", quality, width, height }, chunks);
  }

  _analysis(model) {
    if (!this._analyses.has(model)) {
      const opened = this._loadRuntime().then((runtime) => Analysis.open(model, runtime));
      opened.catch(() => this._analyses.delete(model));
      this._analyses.set(model, opened);
    }
    return this._analyses.get(model);
  }
}

/** The bits that a squared error of one natural unit of the latent is worth. */
function priceOf({ lambda_min: lowest, lambda_max: highest, unit }, quality) {
  const lambda = lowest * (highest / lowest) ** ((quality - 1) / 99);
  return (lambda * 255 ** 2) / 3 / unit ** 2;
}
