/** Running the graphs of a model in ONNX Runtime. */

import { windows } from "./windows.js";

export const GRID_WINDOW = 2 ** 14; // vectors that a graph on their grid takes at once; bounds memory

/**
 * What runs the graphs: the part of onnxruntime-web that is used here.
 * @typedef {object} Runtime
 * @property {{create(bytes: Uint8Array, options?: object): Promise<any>}} InferenceSession
 * @property {string[]} providers what may compute, the first that can
 * @property {new (type: "float32", data: Float32Array, shape: number[]) => any} Tensor
 */

/** A map of features, the channels first: (channels, height, width). */
export class FeatureMap {
  /** @param {number} channels @param {number} height @param {number} width @param {Float32Array} [data] */
  constructor(channels, height, width, data = new Float32Array(channels * height * width)) {
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.data = data;
  }

  /** Compute every number. @param {(channel: number, row: number, column: number) => number} value */
  fill(value) {
    for (let c = 0, at = 0; c < this.channels; c++) {
      for (let r = 0; r < this.height; r++) {
        for (let x = 0; x < this.width; x++) this.data[at++] = value(c, r, x);
      }
    }
  }

  /** The channels from `first` on, without a copy. @param {number} first */
  channelsFrom(first) {
    const area = this.height * this.width;
    return new FeatureMap(this.channels - first, this.height, this.width, this.data.subarray(first * area));
  }

  /** A part of the map. @param {import("./windows.js").Area} area @returns {FeatureMap} */
  crop({ top, bottom, left, right }) {
    const part = new FeatureMap(this.channels, bottom - top, right - left);
    part.paste(this, { top, left, rows: part.height, count: part.width }, { top: 0, left: 0 });
    return part;
  }

  /**
   * Copy what a window gives of what it read.
   * @param {FeatureMap} part of the area `outer` @param {import("./windows.js").Area} outer
   * @param {import("./windows.js").Area} inner
   */
  pasteInner(part, outer, inner) {
    const size = { rows: inner.bottom - inner.top, count: inner.right - inner.left };
    this.paste(part, { top: inner.top - outer.top, left: inner.left - outer.left, ...size }, inner);
  }

  /** Copy `count` columns of `rows` rows of `from`, from column `left` and row `top`, to a place in this map. */
  paste(from, { top, left, rows, count }, to) {
    for (let c = 0; c < this.channels; c++) {
      for (let r = 0; r < rows; r++) {
        const begin = (c * from.height + top + r) * from.width + left;
        this.data.set(from.data.subarray(begin, begin + count), (c * this.height + to.top + r) * this.width + to.left);
      }
    }
  }
}

/**
 * @param {import("./model.js").Model} model @param {Runtime} runtime @param {string} name of the graph's file
 * @returns {Promise<any>} a session
 */
export async function openSession(model, runtime, name) {
  return runtime.InferenceSession.create(await model.file(name), { executionProviders: runtime.providers });
}

/**
 * A map and a mix of anchors in, a map out.
 * @param {Runtime} runtime @param {any} session @param {FeatureMap} map @param {Float32Array} mix
 * @returns {Promise<FeatureMap>}
 */
export async function runGraph({ Tensor }, session, map, mix) {
  const inputs = {
    input: new Tensor("float32", map.data, [1, map.channels, map.height, map.width]),
    mix: new Tensor("float32", mix, [1, mix.length]),
  };
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, inputs[name]]));
  const { output } = await session.run(feeds);
  const [, channels, height, width] = output.dims;
  return new FeatureMap(channels, height, width, output.data);
}

/**
 * Run a graph on all of a map, a window at a time.
 * @param {number} height @param {number} width of the map @param {number} most positions of a window @param {number} margin
 * @param {(area: import("./windows.js").Area) => Promise<FeatureMap>} run gives a map of the area's size
 * @returns {Promise<FeatureMap>}
 */
export async function runByWindows(height, width, most, margin, run) {
  let map = null;
  for (const { outer, inner } of windows(height, width, 1, most, margin)) {
    const part = await run(outer);
    map ??= new FeatureMap(part.channels, height, width);
    map.pasteInner(part, outer, inner);
  }
  return map;
}

/** The mix of anchors of a quality. @param {number} quality @param {number} anchors @returns {Float32Array} */
export function mixOf(quality, anchors) {
  const where = ((quality - 1) / 99) * (anchors - 1);
  return Float32Array.from({ length: anchors }, (_, i) => Math.max(0, 1 - Math.abs(where - i)));
}
