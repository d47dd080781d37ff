/** FINOLA on integers: hyper vectors grow into square patches of features. */

import { FINOLA_LIMIT, clip, normalise, round } from "./fixed.js";
import { Products } from "./products.js";

const DIRECTIONS = ["right", "left", "down", "up"];
const CELLS_AT_ONCE = 64; // bounds memory, changes no result

export class Growth {
  /** Numbers that it takes of the memory of {@link Products}. @param {number} channels @returns {number} */
  static size(channels) {
    return DIRECTIONS.length * Products.layerSize(channels, channels) + 2 * Products.roomSize(CELLS_AT_ONCE, channels);
  }

  /**
   * @param {Products} products
   * @param {(name: string) => import("./npz.js").NumberArray} array what the model has under a name
   * @param {number} channels C_hyper
   * @param {number} patch positions a side that a hyper vector grows into
   */
  constructor(products, array, channels, patch) {
    this._products = products;
    this._channels = channels;
    this._patch = patch;
    this._matrices = Object.fromEntries(
      DIRECTIONS.map((d) => [d, products.layer(array(`finola_${d}`).data, null, channels)]),
    );
    this._x = products.room(CELLS_AT_ONCE, channels);
    this._y = products.room(CELLS_AT_ONCE, channels);
  }

  /**
   * Grow hyper vectors into the features of a grid, which is cut off at its right and lower edge.
   * @param {Float64Array} vectors (cells, C_hyper), within the limit
   * @param {number} height rows of positions
   * @param {number} width columns of positions
   * @returns {Int32Array} (height * width, C_hyper)
   */
  grow(vectors, height, width) {
    const [channels, patch] = [this._channels, this._patch];
    const columns = Math.ceil(width / patch);
    const features = new Int32Array(height * width * channels);
    for (let first = 0; first * channels < vectors.length; first += CELLS_AT_ONCE) {
      const seeds = vectors.slice(first * channels, (first + CELLS_AT_ONCE) * channels);
      const rowsFirst = this._patches(seeds, "right", "left", "down", "up");
      const columnsFirst = this._patches(seeds, "down", "up", "right", "left");
      for (let cell = 0; cell * channels < seeds.length; cell++) {
        const top = Math.floor((first + cell) / columns) * patch;
        const left = ((first + cell) % columns) * patch;
        for (let r = 0; r < Math.min(patch, height - top); r++) {
          for (let c = 0; c < Math.min(patch, width - left); c++) {
            const to = ((top + r) * width + left + c) * channels;
            for (let i = 0; i < channels; i++) {
              const sum = rowsFirst[r][c][cell * channels + i] + columnsFirst[c][r][cell * channels + i];
              features[to + i] = round(sum / 2);
            }
          }
        }
      }
    }
    return features;
  }

  /** Patches as [along the second axis][along the first axis] = (cells, C_hyper): the first axis is grown first. */
  _patches(seeds, forward, backward, secondForward, secondBackward) {
    const lines = this._line(seeds, forward, backward).map((start) => this._line(start, secondForward, secondBackward));
    return lines[0].map((_, second) => lines.map((line) => line[second]));
  }

  /** The places of a line through `start`, which stands where the seed does. */
  _line(start, forward, backward) {
    const seed = Math.floor((this._patch - 1) / 2);
    const places = [];
    places[seed] = start;
    for (let i = seed + 1; i < this._patch; i++) places[i] = this._step(places[i - 1], forward);
    for (let i = seed - 1; i >= 0; i--) places[i] = this._step(places[i + 1], backward);
    return places;
  }

  /** One step of FINOLA for vectors (cells, C_hyper). */
  _step(from, direction) {
    const channels = this._channels;
    const cells = from.length / channels;
    normalise(from, channels, this._x.subarray(0, from.length));
    this._products.linear(this._matrices[direction], this._x, this._y, cells);
    const stride = this._y.length / CELLS_AT_ONCE; // the channels, up to a multiple of four
    const to = new Float64Array(from.length);
    for (let cell = 0; cell < cells; cell++) {
      for (let i = 0; i < channels; i++) {
        const at = cell * channels + i;
        to[at] = clip(from[at] + this._y[cell * stride + i], -FINOLA_LIMIT, FINOLA_LIMIT);
      }
    }
    return to;
  }
}
