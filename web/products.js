/**
 * Products of integer matrices: a WebAssembly kernel where there is SIMD, and the same in JavaScript elsewhere.
 *
 * Weights and what they are multiplied with lie in one memory, from which {@link Products.room} gives out float64
 * arrays. The two ways give the same numbers, because every sum is exact.
 */

import { LIMIT, ONE, clip, round } from "./fixed.js";
import { KERNEL } from "./kernel.js";

const PAGE = 65536;
const ROWS = 4; // rows and outputs are filled up to multiples
const ROWS_MASK = ROWS - 1;

/** @param {number} count @returns {number} */
const filled = (count) => (count + ROWS_MASK) & ~ROWS_MASK;

/**
 * A linear layer whose weights lie in the memory of a {@link Products}.
 * @typedef {object} Layer
 * @property {number} inputs
 * @property {number} outputs
 * @property {number} weights where panels of four outputs lie, in bytes
 * @property {number} bias where the bias lies, in bytes, with 24 fractional bits
 */

export class Products {
  /**
   * @param {number} capacity how many numbers the memory has room for
   * @param {boolean} [simd] whether to use the kernel, if it runs here
   */
  constructor(capacity, simd = true) {
    const pages = Math.ceil((8 * capacity) / PAGE);
    this._next = 0;
    this._kernel = null;
    if (simd) {
      try {
        const memory = new WebAssembly.Memory({ initial: pages });
        const bytes = Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0));
        const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
        this._kernel = instance.exports.linear;
        this._buffer = memory.buffer;
      } catch {
        this._kernel = null; // no WebAssembly, no SIMD, or a page that forbids it: JavaScript does
      }
    }
    if (!this._kernel) this._buffer = new ArrayBuffer(pages * PAGE);
  }

  /** Numbers that {@link Products.layer} takes of the memory. @param {number} outputs @param {number} inputs */
  static layerSize(outputs, inputs) {
    return filled(outputs) * (inputs + 1) + 2;
  }

  /** Numbers that {@link Products.room} takes of the memory. @param {number} rows @param {number} columns */
  static roomSize(rows, columns) {
    return filled(rows) * filled(columns) + 2;
  }

  /**
   * Room for a matrix, whose rows are as many as `rows` or up to three more.
   * @param {number} rows @param {number} columns
   * @returns {Float64Array}
   */
  room(rows, columns) {
    return this._take(filled(rows) * filled(columns));
  }

  /**
   * Bring a layer into the memory.
   * @param {ArrayLike<number>} weights (outputs, inputs)
   * @param {ArrayLike<number> | null} bias (outputs,); null for none
   * @param {number} outputs
   * @returns {Layer}
   */
  layer(weights, bias, outputs) {
    const inputs = weights.length / outputs;
    const panels = this._take(filled(outputs) * inputs);
    for (let o = 0; o < outputs; o++) {
      const panel = (o & ~ROWS_MASK) * inputs + (o & ROWS_MASK);
      for (let i = 0; i < inputs; i++) panels[panel + ROWS * i] = weights[o * inputs + i];
    }
    const shifted = this._take(filled(outputs));
    for (let o = 0; o < outputs; o++) shifted[o] = bias ? bias[o] * ONE : 0;
    return { inputs, outputs, weights: panels.byteOffset, bias: shifted.byteOffset };
  }

  /**
   * Multiply rows by a layer, drop 12 fractional bits and saturate. Rows up to the next multiple of four are
   * computed too, and columns up to the next one in a row of `y`.
   * @param {Layer} layer
   * @param {Float64Array} x from {@link Products.room}, rows of `layer.inputs` numbers
   * @param {Float64Array} y from {@link Products.room}, rows of `layer.outputs` numbers up to a multiple of four
   * @param {number} rows
   * @param {number} [low] what smaller results become: 0 makes the layer a rectified one
   */
  linear(layer, x, y, rows, low = -LIMIT) {
    const run = this._kernel ?? ((...sizes) => linear(this._buffer, ...sizes));
    run(x.byteOffset, layer.weights, layer.bias, y.byteOffset, filled(rows), layer.inputs, filled(layer.outputs), low);
  }

  _take(count) {
    const array = new Float64Array(this._buffer, this._next, count);
    this._next += 16 * Math.ceil(array.byteLength / 16);
    return array;
  }
}

/** What the kernel does, in JavaScript. */
function linear(buffer, xAt, weightsAt, biasAt, yAt, rows, inputs, outputs, low) {
  const x = new Float64Array(buffer, xAt, rows * inputs);
  const weights = new Float64Array(buffer, weightsAt, inputs * outputs);
  const bias = new Float64Array(buffer, biasAt, outputs);
  const y = new Float64Array(buffer, yAt, rows * outputs);
  for (let row = 0; row < rows; row++) {
    const begin = row * inputs;
    for (let out = 0; out < outputs; out += ROWS) {
      let [a, b, c, d] = [bias[out], bias[out + 1], bias[out + 2], bias[out + 3]];
      for (let i = begin, w = out * inputs; i < begin + inputs; i++, w += ROWS) {
        const value = x[i];
        a += value * weights[w];
        b += value * weights[w + 1];
        c += value * weights[w + 2];
        d += value * weights[w + 3];
      }
      const at = row * outputs + out;
      y[at] = clip(round(a / ONE), low, LIMIT);
      y[at + 1] = clip(round(b / ONE), low, LIMIT);
      y[at + 2] = clip(round(c / ONE), low, LIMIT);
      y[at + 3] = clip(round(d / ONE), low, LIMIT);
    }
  }
}
