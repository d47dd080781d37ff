/** The transform from vectors to pixels, by ONNX Runtime, a window at a time. */

import { ONE, clip, round } from "./fixed.js";
import { GRID_WINDOW, FeatureMap, mixOf, openSession, runByWindows, runGraph } from "./graphs.js";
import { windows } from "./windows.js";

const WINDOW = 2 ** 19; // pixels that are synthesised at once; bounds memory
const GROWN_AT_ONCE = 4; // vectors of a tile codec that are grown together: their map is large

export class Synthesis {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./graphs.js").Runtime} runtime
   * @returns {Promise<Synthesis>}
   */
  static async open(model, runtime) {
    const first = model.profile.kind === "tile" ? "growth.onnx" : "decoder_grid.onnx";
    const sessions = [await openSession(model, runtime, first), await openSession(model, runtime, "decoder.onnx")];
    return new Synthesis(model, runtime, ...sessions);
  }

  /** @private use {@link Synthesis.open} */
  constructor(model, runtime, first, decoder) {
    this._model = model;
    this._runtime = runtime;
    this._first = first; // what vectors go through
    this._decoder = decoder;
  }

  /**
   * Synthesise a picture.
   * @param {Int32Array} values (h, w, C) with 12 fractional bits
   * @param {import("./container.js").Header} header
   * @returns {Promise<Uint8ClampedArray>} (height, width, 4): RGB, and an alpha of 255
   */
  async pixels(values, { width, height, quality }) {
    const { profile, margins } = this._model;
    const grid = this._model.grid(width, height);
    const mix = mixOf(quality, profile.anchors);
    const isTiled = profile.kind === "tile";
    const patch = isTiled ? profile.block / profile.stride : 1; // positions a side of the map for a vector
    const side = profile.block / patch;
    const run = (x) => runGraph(this._runtime, this._first, x, mix);
    const source = isTiled
      ? new Grown(run, values, grid, profile.channels, patch)
      : await Seeded.open(run, values, grid, profile.channels, margins.decoder_grid);
    const out = new Uint8ClampedArray(4 * width * height);
    for (const { outer, inner } of windows(grid.height * patch, grid.width * patch, side, WINDOW, margins.decoder)) {
      const x = await runGraph(this._runtime, this._decoder, await source.window(outer), mix);
      paint(x, outer, inner, side, out, width, height);
    }
    return out;
  }
}

/** The map of a codec of blocks: the vectors, and what FINOLA grows from. */
class Seeded {
  static async open(run, values, grid, channels, margin) {
    const vectors = (area) => vectorsOf(values, grid.width, channels, area);
    const seeds = await runByWindows(grid.height, grid.width, GRID_WINDOW, margin, (area) => run(vectors(area)));
    return new Seeded(vectors, seeds);
  }

  /** @private use {@link Seeded.open} */
  constructor(vectors, seeds) {
    this._vectors = vectors;
    this._seeds = seeds;
  }

  window(area) {
    const [vectors, seeds] = [this._vectors(area), this._seeds.crop(area)];
    const map = new FeatureMap(vectors.channels + seeds.channels, vectors.height, vectors.width);
    map.data.set(vectors.data);
    map.data.set(seeds.data, vectors.data.length);
    return map;
  }
}

/** The map that a tile codec grows from its vectors, made by rows of tiles as windows ask for them, downwards. */
class Grown {
  constructor(run, values, grid, channels, patch) {
    this._run = run;
    this._values = values;
    this._grid = grid;
    this._channels = channels;
    this._patch = patch;
    /** @type {Map<number, FeatureMap>} */
    this._rows = new Map();
  }

  async window({ top, bottom, left, right }) {
    const [first, last] = [Math.floor(top / this._patch), Math.ceil(bottom / this._patch)];
    for (const row of this._rows.keys()) if (row < first || row >= last) this._rows.delete(row);
    for (let row = first; row < last; row++) if (!this._rows.has(row)) this._rows.set(row, await this._grow(row));
    const map = new FeatureMap(this._rows.get(first).channels, bottom - top, right - left);
    for (let row = first; row < last; row++) {
      const begin = Math.max(top, row * this._patch);
      const end = Math.min(bottom, (row + 1) * this._patch);
      const from = { top: begin - row * this._patch, left, rows: end - begin, count: right - left };
      map.paste(this._rows.get(row), from, { top: begin - top, left: 0 });
    }
    return map;
  }

  async _grow(row) {
    let strip = null;
    for (let left = 0; left < this._grid.width; left += GROWN_AT_ONCE) {
      const right = Math.min(left + GROWN_AT_ONCE, this._grid.width);
      const area = { top: row, bottom: row + 1, left, right };
      const part = await this._run(vectorsOf(this._values, this._grid.width, this._channels, area));
      strip ??= new FeatureMap(part.channels, this._patch, this._grid.width * this._patch);
      const whole = { top: 0, left: 0, rows: part.height, count: part.width };
      strip.paste(part, whole, { top: 0, left: left * this._patch });
    }
    return strip;
  }
}

/** The vectors of an area as real numbers, the channels first. */
function vectorsOf(values, gridWidth, channels, { top, bottom, left, right }) {
  const map = new FeatureMap(channels, bottom - top, right - left);
  const area = map.height * map.width;
  for (let y = top, to = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, to++) {
      const from = (y * gridWidth + x) * channels;
      for (let c = 0; c < channels; c++) map.data[c * area + to] = values[from + c] / ONE;
    }
  }
  return map;
}

/** Write the levels of the inner part of a window into the picture, as far as that reaches. */
function paint(x, outer, inner, side, out, width, height) {
  const area = x.height * x.width;
  for (let y = inner.top * side; y < Math.min(inner.bottom * side, height); y++) {
    let from = (y - outer.top * side) * x.width + (inner.left - outer.left) * side;
    let to = 4 * (y * width + inner.left * side);
    for (let column = inner.left * side; column < Math.min(inner.right * side, width); column++, from++, to += 4) {
      for (let c = 0; c < 3; c++) out[to + c] = level(x.data[c * area + from]);
      out[to + 3] = 255;
    }
  }
}

/** A level of the decoder's output, in float32 as everybody else computes it. */
function level(x) {
  return clip(round(Math.fround(Math.fround(x + 0.5) * 255)), 0, 255);
}
