/** The exact factorised prior: a table for each channel and quality, moved by the activity of each tile. */

import { FormatError } from "./errors.js";
import { LIMIT, ONE, clip } from "./fixed.js";
import { cheaper, nearest } from "./quantizer.js";
import { ResidualReader, ResidualWriter } from "./residuals.js";

const ACTIVITY_TABLE = 22;
const ACTIVITY_BINS = 2; // tables that an activity of one moves by
const MAX_ACTIVITY = 7; // the largest that is looked for
const BINS = 64;
const ROUNDS = 2; // residuals and activity are each chosen given the other

export class Factorised {
  /**
   * @param {import("./model.js").Profile} profile
   * @param {(name: string) => import("./npz.js").NumberArray} array what the model has under a name
   * @param {import("./tables.js").Tables} tables
   */
  constructor(profile, array, tables) {
    this._channels = profile.channels;
    this._depth = profile.channels / (profile.block / profile.stride) ** 2;
    this._steps = array("step").data;
    this._bins = array("bin").data;
    this._tables = tables;
  }

  /** As {@link import("./hyperprior.js").Hyperprior.decode}; there are no hyper vectors. */
  decode(hyper, vectors, grid, quality, partial = false) {
    if (hyper.length) throw new FormatError("the file has hyper vectors, which its model does not");
    const channels = this._channels;
    const row = (quality - 1) * channels;
    const reader = new ResidualReader(this._tables, vectors, partial);
    const values = new Int32Array(grid.height * grid.width * channels);
    const own = this._bins.subarray(row, row + channels);
    for (let begin = 0; begin < values.length; begin += channels) {
      const activity = reader.read(new Uint8Array(this._depth).fill(ACTIVITY_TABLE));
      const residuals = reader.read(this._moved(own, activity));
      for (let c = 0; c < channels; c++) {
        values[begin + c] = clip(residuals[c] * this._steps[row + c], -LIMIT, LIMIT);
      }
    }
    reader.finish();
    return values;
  }

  /** As {@link import("./hyperprior.js").Hyperprior.encode}; `z` is null. */
  encode(y, z, grid, quality, price) {
    const channels = this._channels;
    const row = (quality - 1) * channels;
    const writer = new ResidualWriter(this._tables);
    const steps = Float64Array.from(this._steps.subarray(row, row + channels), (step) => step / ONE);
    const own = this._bins.subarray(row, row + channels);
    const prices = steps.map((step) => price * step ** 2);
    for (let begin = 0; begin < y.length; begin += channels) {
      const wanted = steps.map((step, c) => y[begin + c] / step);
      let residuals = Int32Array.from(wanted, nearest);
      let activity = this._activity(residuals, own);
      for (let i = 0; i < ROUNDS; i++) {
        residuals = cheaper(wanted, this._moved(own, activity), prices, this._tables);
        activity = this._activity(residuals, own);
      }
      writer.write(activity, new Uint8Array(this._depth).fill(ACTIVITY_TABLE));
      writer.write(residuals, this._moved(own, activity));
    }
    return { hyper: new Uint8Array(0), vectors: writer.finish() };
  }

  /** The activity of each component that `residuals` take the fewest bits with. */
  _activity(residuals, own) {
    const activity = new Int32Array(this._depth);
    const least = new Float64Array(this._depth).fill(Infinity);
    for (let level = -MAX_ACTIVITY; level <= MAX_ACTIVITY; level++) {
      const bits = new Float64Array(this._depth).fill(this._tables.bits(level, ACTIVITY_TABLE));
      for (let c = 0; c < residuals.length; c++) {
        const bin = clip(own[c] + ACTIVITY_BINS * level, 0, BINS - 1);
        bits[c % this._depth] += this._tables.bits(residuals[c], bin);
      }
      bits.forEach((sum, d) => {
        if (sum < least[d]) [least[d], activity[d]] = [sum, level];
      });
    }
    return activity;
  }

  /** The tables of all channels, moved by the activity of each component. */
  _moved(own, activity) {
    return Uint8Array.from(own, (bin, c) => clip(bin + ACTIVITY_BINS * activity[c % this._depth], 0, BINS - 1));
  }
}
