/** The transforms from pixels to vectors and hyper vectors, by ONNX Runtime, a window at a time. */

import { GRID_WINDOW, FeatureMap, mixOf, openSession, runByWindows, runGraph } from "./graphs.js";
import { windows } from "./windows.js";

const WINDOW = 2 ** 19; // pixels that are transformed at once; bounds memory

export class Analysis {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./graphs.js").Runtime} runtime
   * @returns {Promise<Analysis>}
   */
  static async open(model, runtime) {
    const encoder = await openSession(model, runtime, "encoder.onnx");
    if (model.profile.kind === "tile") return new Analysis(model, runtime, encoder, null, null);
    const blocks = await openSession(model, runtime, "encoder_grid.onnx");
    return new Analysis(model, runtime, encoder, blocks, await openSession(model, runtime, "hyper_encoder.onnx"));
  }

  /** @private use {@link Analysis.open} */
  constructor(model, runtime, encoder, blocks, hyper) {
    this._model = model;
    this._runtime = runtime;
    this._encoder = encoder;
    this._blocks = blocks;
    this._hyper = hyper;
  }

  /**
   * Pixels to vectors.
   * @param {Uint8ClampedArray} rgba (height, width, 4)
   * @returns {Promise<Float32Array>} (h, w, C)
   */
  async vectors(rgba, width, height, quality) {
    const { profile, margins } = this._model;
    const { block, channels } = profile;
    const grid = this._model.grid(width, height);
    const size = this._blocks ? WINDOW : block ** 2; // a tile codec encodes each tile by itself
    const mix = mixOf(quality, profile.anchors);
    const y = new Float32Array(grid.height * grid.width * channels);
    let features = null; // what a codec of blocks has beside its vectors
    for (const { outer, inner } of windows(grid.height, grid.width, block, size, margins.encoder)) {
      const x = new FeatureMap(3, (outer.bottom - outer.top) * block, (outer.right - outer.left) * block);
      const [top, left] = [outer.top * block, outer.left * block];
      // A window mirrors what it has itself of the picture, as Python's does: to a tile that is much.
      const rows = Math.min(x.height, height - top);
      const columns = Math.min(x.width, width - left);
      x.fill((c, row, column) => {
        const py = top + mirrored(row, rows);
        const px = left + mirrored(column, columns);
        return Math.fround(rgba[4 * (py * width + px) + c] / 255) - 0.5;
      });
      const found = await runGraph(this._runtime, this._encoder, x, mix);
      collect(found, outer, inner, y, grid.width, channels);
      if (!this._blocks) continue;
      features ??= new FeatureMap(found.channels - channels, grid.height, grid.width);
      features.pasteInner(found.channelsFrom(channels), outer, inner);
    }
    if (features) await this._addDetail(features, y, mix);
    return y;
  }

  /** Add to vectors `y` what the encoder's last stage makes of the features. */
  async _addDetail(features, y, mix) {
    const { profile, margins } = this._model;
    const { height, width } = features;
    const detail = await runByWindows(height, width, GRID_WINDOW, margins.encoder_grid, (area) =>
      runGraph(this._runtime, this._blocks, features.crop(area), mix),
    );
    const area = height * width;
    for (let c = 0; c < profile.channels; c++) {
      for (let i = 0; i < area; i++) y[i * profile.channels + c] += detail.data[c * area + i];
    }
  }

  /**
   * Vectors to hyper vectors.
   * @param {Float32Array} y (h, w, C)
   * @param {{height: number, width: number}} grid
   * @returns {Promise<Float32Array | null>} (ceil(h / p), ceil(w / p), C_hyper), or null for a model without them
   */
  async hyperVectors(y, grid, quality) {
    if (!this._hyper) return null;
    const { channels, anchors, hyper_patch: patch, hyper_channels: hyperChannels } = this._model.profile;
    const cells = { height: Math.ceil(grid.height / patch), width: Math.ceil(grid.width / patch) };
    const z = new Float32Array(cells.height * cells.width * hyperChannels);
    for (const { outer, inner } of windows(cells.height, cells.width, patch, GRID_WINDOW, patch)) {
      const part = new FeatureMap(channels, (outer.bottom - outer.top) * patch, (outer.right - outer.left) * patch);
      part.fill((c, row, column) => {
        const py = Math.min(outer.top * patch + row, grid.height - 1);
        const px = Math.min(outer.left * patch + column, grid.width - 1);
        return y[(py * grid.width + px) * channels + c];
      });
      const found = await runGraph(this._runtime, this._hyper, part, mixOf(quality, anchors));
      collect(found, outer, inner, z, cells.width, hyperChannels);
    }
    return z;
  }
}

/** Where a place beyond the end is mirrored to; the last place is repeated first. */
function mirrored(place, size) {
  const within = place % (2 * size);
  return within < size ? within : 2 * size - 1 - within;
}

/** Copy the inner part of a window's first channels, channels first, to where it belongs with the channels last. */
function collect(found, outer, inner, out, gridWidth, channels) {
  for (let y = inner.top; y < inner.bottom; y++) {
    for (let x = inner.left; x < inner.right; x++) {
      const from = (y - outer.top) * found.width + x - outer.left;
      const to = (y * gridWidth + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = found.data[c * found.height * found.width + from];
    }
  }
}
