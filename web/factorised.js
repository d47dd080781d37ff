/** The exact factorised prior: a table for each channel and quality, moved by the activity of each tile. */

import { FormatError } from "./errors.js";
import { LIMIT, clip } from "./fixed.js";
import { ResidualReader } from "./residuals.js";

const ACTIVITY_TABLE = 22;
const ACTIVITY_BINS = 2; // tables that an activity of one moves by
const BINS = 64;

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
    const bins = new Uint8Array(channels);
    for (let begin = 0; begin < values.length; begin += channels) {
      const activity = reader.read(new Uint8Array(this._depth).fill(ACTIVITY_TABLE));
      for (let c = 0; c < channels; c++) {
        bins[c] = clip(this._bins[row + c] + ACTIVITY_BINS * activity[c % this._depth], 0, BINS - 1);
      }
      const residuals = reader.read(bins);
      for (let c = 0; c < channels; c++) {
        values[begin + c] = clip(residuals[c] * this._steps[row + c], -LIMIT, LIMIT);
      }
    }
    reader.finish();
    return values;
  }
}
