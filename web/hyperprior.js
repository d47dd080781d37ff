/** The exact hyperprior: from hyper vectors and vectors, as coded, to the integers that the pixels are made of. */

import { FINOLA_LIMIT, LIMIT, ONE, clip, exactMix, rescale, round } from "./fixed.js";
import { Growth } from "./growth.js";
import { Products } from "./products.js";
import { cheaper, nearest } from "./quantizer.js";
import { cellBefore, costOfRepeats, positionsOfCells, readRepeats, writeRepeats } from "./repeats.js";
import { ResidualReader, ResidualWriter } from "./residuals.js";

const PART_SITES = 8192; // positions that are coded together; part of the format
const SITES_AT_ONCE = 64; // positions that are computed with together; changes no result
const BINS = 64;
const LOG2_MIN = 13517; // minus log2 of the smallest scale, with 12 fractional bits
const BINS_PER_OCTAVE = 5;
const ERROR_WEIGHT = 2.5; // an error counts for more than its square, because contexts read it

/**
 * Where a layer reads the vectors: an offset on the grid, and how many channels of what stands there.
 * @typedef {{dy: number, dx: number, channels: number}} Reading
 */

/**
 * What was chosen for a part of a coding step: `size` residuals and tables for each of its positions.
 * @typedef {{sites: Int32Array, size: number, residuals: Int32Array, bins: Uint8Array}} Batch
 */

export class Hyperprior {
  /**
   * @param {import("./model.js").Profile} profile
   * @param {(name: string) => import("./npz.js").NumberArray} array what the model has under a name
   * @param {import("./tables.js").Tables} tables
   * @param {boolean} [simd]
   */
  constructor(profile, array, tables, simd) {
    this._profile = profile;
    this._array = array;
    this._tables = tables;
    const { hyper_channels: hyperChannels, hyper_patch: patch, context_width: width } = profile;
    const steps = codingSteps(profile);
    const widest = Math.max(...steps.map((step) => readings(step, profile.context_kernel).total));
    const largest = Math.max(...profile.groups);
    const rooms = [hyperChannels, widest, width, width, width, largest, largest];
    const layers = steps.flatMap((step) => layerShapes(step, profile));
    const capacity =
      rooms.reduce((sum, columns) => sum + Products.roomSize(SITES_AT_ONCE, columns), Growth.size(hyperChannels)) +
      layers.reduce((sum, [outputs, inputs]) => sum + Products.layerSize(outputs, inputs), 0);
    this._products = new Products(capacity, simd);
    this._growth = new Growth(this._products, array, hyperChannels, patch);
    this._steps = steps.map((step) => new Step(this._products, array, step, profile));
    const [features, context, first, second, hidden, mean, scale] = rooms.map((columns) =>
      this._products.room(SITES_AT_ONCE, columns),
    );
    /** @type {Record<string, Float64Array>} */
    this._rooms = { features, context, first, second, hidden, mean, scale };
  }

  /**
   * The vectors of a grid.
   * @param {Uint8Array} hyper the payload of the hyper vectors
   * @param {Uint8Array} vectors the payload of the vectors
   * @param {{height: number, width: number}} grid rows and columns of vectors
   * @param {number} quality from 1 to 100
   * @param {boolean} [partial] whether `vectors` may be cut off; the prior's means stand for what is missing
   * @returns {Int32Array} (height, width, C) with 12 fractional bits
   * @throws {import("./errors.js").FormatError} where a payload is damaged
   */
  decode(hyper, vectors, grid, quality, partial = false) {
    const { features, repeated } = this._readHyper(hyper, grid, quality);
    const reader = new ResidualReader(this._tables, vectors, partial);
    const known = this._traverse(features, repeated, grid, quality, ({ bins }) => reader.read(bins));
    reader.finish();
    return known;
  }

  /**
   * Quantize and code vectors.
   * @param {Float32Array} y (height, width, C)
   * @param {Float32Array} z the hyper vectors, (cells, C_hyper)
   * @param {{height: number, width: number}} grid
   * @param {number} quality
   * @param {number} price the bits that a squared error of one is worth, see {@link import("./quantizer.js")}
   * @returns {{hyper: Uint8Array, vectors: Uint8Array}} payloads
   */
  encode(y, z, grid, quality, price) {
    const { channels, hyper_channels: hyperChannels, hyper_patch: patch } = this._profile;
    const steps = row(this._array("hyper_step"), quality);
    const hyper = Int32Array.from(z, (value, i) => nearest((value * ONE) / steps[i % hyperChannels]));
    const seeds = Float64Array.from(hyper, (value, i) => clip(value * steps[i % hyperChannels], -FINOLA_LIMIT, FINOLA_LIMIT));
    const features = this._growth.grow(seeds, grid.height, grid.width);
    const errorWeight = price * ERROR_WEIGHT;
    /** @type {Batch[]} */
    const batches = [];
    const code = ({ step, sites, means, bins, steps: own }) => {
      const size = step.stop - step.start;
      const wanted = Float64Array.from(bins, (_, at) => {
        const c = at % size;
        return (y[sites[(at - c) / size] * channels + step.start + c] * ONE - means[at]) / own[c];
      });
      const prices = Float64Array.from(own, (value) => errorWeight * (value / ONE) ** 2);
      const residuals = cheaper(wanted, bins, prices, this._tables);
      batches.push({ sites, size, residuals, bins });
      return residuals;
    };
    const values = this._traverse(features, new Uint8Array(grid.height * grid.width), grid, quality, code);
    const repeats = this._repeats(hyper, batches, values, grid, quality);
    const vectors = new ResidualWriter(this._tables);
    const repeated = positionsOfCells(repeats, grid, patch);
    for (const batch of batches) writeBatch(vectors, batch, repeated);
    return { hyper: this._writeHyper(hyper, repeats, quality), vectors: vectors.finish() };
  }

  /** The cells that may repeat: what they say is what the cell before them says; none where telling so costs more. */
  _repeats(hyper, batches, values, grid, quality) {
    const { hyper_channels: channels, hyper_patch: patch } = this._profile;
    const columns = Math.ceil(grid.width / patch);
    const repeats = Uint8Array.from({ length: hyper.length / channels }, (_, cell) => {
      const before = cellBefore(cell, columns) * channels;
      const own = hyper.subarray(cell * channels, (cell + 1) * channels);
      return Number(own.every((value, i) => value === (before < 0 ? 0 : hyper[before + i])));
    });
    for (const { sites, size, residuals } of batches) {
      residuals.forEach((residual, i) => {
        if (!residual) return;
        const site = sites[Math.floor(i / size)];
        repeats[Math.floor(Math.floor(site / grid.width) / patch) * columns + Math.floor((site % grid.width) / patch)] = 0;
      });
    }
    const bins = row(this._array("hyper_bin"), quality);
    const saved = hyper.reduce(
      (sum, value, i) => sum + (repeats[Math.floor(i / channels)] ? this._tables.bits(value, bins[i % channels]) : 0),
      0,
    );
    const pays = saved > costOfRepeats(repeats) && values.every((value) => Math.abs(value) < LIMIT);
    return pays ? repeats : new Uint8Array(repeats.length);
  }

  _writeHyper(hyper, repeats, quality) {
    const { hyper_channels: channels } = this._profile;
    const told = hyper.filter((_, i) => !repeats[Math.floor(i / channels)]);
    const bins = row(this._array("hyper_bin"), quality);
    const writer = new ResidualWriter(this._tables);
    writeRepeats(writer, repeats);
    writer.write(told, Uint8Array.from(told, (_, i) => bins[i % channels]));
    return writer.finish();
  }

  /**
   * Walk the coding steps. `code` is given the means and tables of a part and turns them into residuals, by reading or by
   * writing them; of positions that repeat it is given no tables.
   */
  _traverse(features, repeated, grid, quality, code) {
    const known = new Int32Array(grid.height * grid.width * this._profile.channels);
    const phases = [0, 1].map((phase) => positionsOf(grid, phase));
    for (const step of this._steps) {
      const sites = phases[step.phase];
      for (let begin = 0; begin < sites.length; begin += PART_SITES) {
        const part = sites.subarray(begin, begin + PART_SITES);
        this._codePart(step, part, { features, repeated, known, grid, quality, code });
      }
    }
    return known;
  }

  /** The features (h * w, C_hyper), and for each position whether its cell repeats. */
  _readHyper(payload, { height, width }, quality) {
    const { hyper_channels: channels, hyper_patch: patch } = this._profile;
    const columns = Math.ceil(width / patch);
    const cells = Math.ceil(height / patch) * columns;
    const reader = new ResidualReader(this._tables, payload);
    const repeats = readRepeats(reader, cells);
    const own = row(this._array("hyper_bin"), quality);
    const told = repeats.reduce((count, flag) => count - flag, cells);
    const bins = new Uint8Array(told * channels);
    for (let i = 0; i < bins.length; i++) bins[i] = own[i % channels];
    const residuals = reader.read(bins);
    reader.finish();
    const steps = row(this._array("hyper_step"), quality);
    const seeds = new Float64Array(cells * channels);
    for (let cell = 0, next = 0; cell < cells; cell++) {
      const at = cell * channels;
      const before = cellBefore(cell, columns) * channels;
      if (!repeats[cell]) {
        for (let i = 0; i < channels; i++) {
          seeds[at + i] = clip(residuals[next++] * steps[i], -FINOLA_LIMIT, FINOLA_LIMIT);
        }
      } else if (before >= 0) {
        seeds.copyWithin(at, before, before + channels);
      }
    }
    const repeated = positionsOfCells(repeats, { height, width }, patch);
    return { features: this._growth.grow(seeds, height, width), repeated };
  }

  /** Code the channels of a coding step at `sites`, and write their values into `known`. */
  _codePart(step, sites, { features, repeated, known, grid, quality, code }) {
    const { channels } = this._profile;
    const size = step.stop - step.start;
    const steps = row(this._array("step"), quality).subarray(step.start, step.stop);
    const log2Steps = row(this._array("log2_step"), quality).subarray(step.start, step.stop);
    const means = new Int32Array(sites.length * size);
    const bins = new Uint8Array(sites.length * size);
    const shift = step.shift(exactMix(quality, this._profile.anchors));
    let coded = 0;
    for (let begin = 0; begin < sites.length; begin += SITES_AT_ONCE) {
      const chunk = sites.subarray(begin, begin + SITES_AT_ONCE);
      const { mean, scale, stride } = this._predict(step, chunk, shift, features, known, grid);
      chunk.forEach((site, i) => {
        for (let c = 0; c < size; c++) means[(begin + i) * size + c] = mean[i * stride + c];
        if (repeated[site]) return;
        for (let c = 0; c < size; c++) {
          const index = round(((scale[i * stride + c] - log2Steps[c] + LOG2_MIN) * BINS_PER_OCTAVE) / ONE);
          bins[coded++] = clip(index, 0, BINS - 1);
        }
      });
    }
    const residuals = code({ step, sites, means, bins: bins.subarray(0, coded), steps });
    let next = 0;
    sites.forEach((site, i) => {
      const to = site * channels + step.start;
      for (let c = 0; c < size; c++) {
        const residual = repeated[site] ? 0 : residuals[next++];
        known[to + c] = clip(means[i * size + c] + residual * steps[c], -LIMIT, LIMIT);
      }
    });
  }

  /** Means and scales of what a coding step codes, in rows of `stride` numbers. */
  _predict(step, sites, shift, features, known, grid) {
    const { hyper_channels: hyperChannels, channels, context_width: width } = this._profile;
    const rooms = this._rooms;
    const products = this._products;
    const count = sites.length;
    sites.forEach((site, i) => {
      rooms.features.set(features.subarray(site * hyperChannels, (site + 1) * hyperChannels), i * hyperChannels);
    });
    products.linear(step.hyper, rooms.features, rooms.first, count);
    if (step.context) {
      gather(sites, step.readings, known, channels, grid, rooms.context);
      products.linear(step.context, rooms.context, rooms.second, count);
    }
    const stride = rooms.first.length / SITES_AT_ONCE;
    for (let i = 0; i < count; i++) {
      for (let o = 0; o < width; o++) {
        const sum = rooms.first[i * stride + o] + (step.context ? rooms.second[i * stride + o] : 0) + shift[o];
        rooms.hidden[i * width + o] = clip(sum, 0, LIMIT);
      }
    }
    products.linear(step.hidden, rooms.hidden, rooms.first, count, 0);
    if (stride !== width) {
      for (let i = 1; i < count; i++) rooms.first.copyWithin(i * width, i * stride, i * stride + width);
    }
    products.linear(step.mean, rooms.first, rooms.mean, count);
    products.linear(step.scale, rooms.first, rooms.scale, count);
    return { mean: rooms.mean, scale: rooms.scale, stride: Math.ceil((step.stop - step.start) / 4) * 4 };
  }
}

/** Code what a coding step has at the positions whose cells do not repeat. */
function writeBatch(writer, { sites, size, residuals, bins }, repeated) {
  const isCoded = (_, i) => !repeated[sites[Math.floor(i / size)]];
  writer.write(residuals.filter(isCoded), bins.filter(isCoded));
}

/** One coding step with its layers. */
class Step {
  constructor(products, array, { name, start, stop, phase }, profile) {
    const layer = (part, outputs) =>
      products.layer(array(`${name}_${part}`).data, array(`${name}_${part}_bias`).data, outputs);
    const width = profile.context_width;
    this.start = start;
    this.stop = stop;
    this.phase = phase;
    this.hyper = layer("hyper", width);
    this.hidden = layer("hidden", width);
    this.mean = layer("mean", stop - start);
    this.scale = layer("scale", stop - start);
    this._shifts = array(`${name}_shift`);
    const { list, total } = readings({ start, stop, phase }, profile.context_kernel);
    /** @type {Reading[]} */
    this.readings = list;
    this.context = null;
    if (total) {
      const weights = contextWeights(array(`${name}_context`), list, profile.context_kernel);
      this.context = products.layer(weights, array(`${name}_context_bias`).data, width);
    }
  }

  /** What the quality adds to each hidden number. @param {number[]} mix @returns {number[]} */
  shift(mix) {
    const [anchors, width] = this._shifts.shape;
    return Array.from({ length: width }, (_, o) => {
      let sum = 0;
      for (let i = 0; i < anchors; i++) sum += mix[i] * this._shifts.data[i * width + o];
      return rescale(sum);
    });
  }
}

/** The coding steps in order: two phases of each group of channels. */
function codingSteps({ groups }) {
  const steps = [];
  let start = 0;
  groups.forEach((size, group) => {
    for (const phase of [0, 1]) steps.push({ name: `group${group}_phase${phase}`, start, stop: start + size, phase });
    start += size;
  });
  return steps;
}

/**
 * What a coding step reads of the vectors around a position. In phase 1 its own group is known at the positions of
 * phase 0 only, so nothing of it is read where row and column together are an even number of places away.
 */
function readings({ start, stop, phase }, kernel) {
  const border = (kernel - 1) / 2;
  /** @type {Reading[]} */
  const list = [];
  for (let dy = -border; dy <= border; dy++) {
    for (let dx = -border; dx <= border; dx++) {
      const channels = phase === 1 && (dy + dx) % 2 !== 0 ? stop : start;
      if (channels) list.push({ dy, dx, channels });
    }
  }
  return { list, total: list.reduce((sum, { channels }) => sum + channels, 0) };
}

/** The shapes (outputs, inputs) of the layers of a coding step. */
function layerShapes(step, { context_width: width, hyper_channels: hyperChannels, context_kernel: kernel }) {
  const size = step.stop - step.start;
  return [[width, hyperChannels], [width, readings(step, kernel).total], [width, width], [size, width], [size, width]];
}

/** The weights (out, in, row, column) of a context layer in the order in which {@link gather} reads. */
function contextWeights({ shape, data }, list, kernel) {
  const [outputs, inputs] = shape;
  const border = (kernel - 1) / 2;
  const weights = [];
  for (let o = 0; o < outputs; o++) {
    for (const { dy, dx, channels } of list) {
      for (let i = 0; i < channels; i++) {
        weights.push(data[((o * inputs + i) * kernel + dy + border) * kernel + dx + border]);
      }
    }
  }
  return weights;
}

/** Gather what is known around each site, zeros outside the grid. */
function gather(sites, list, known, channels, { height, width }, out) {
  let to = 0;
  for (const site of sites) {
    const y = Math.floor(site / width);
    const x = site % width;
    for (const { dy, dx, channels: count } of list) {
      if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) {
        out.fill(0, to, to + count);
      } else {
        const from = (site + dy * width + dx) * channels;
        for (let i = 0; i < count; i++) out[to + i] = known[from + i];
      }
      to += count;
    }
  }
}

/** The positions of a phase in raster order. */
function positionsOf({ height, width }, phase) {
  const found = new Int32Array(height * width);
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = (y + phase) % 2; x < width; x += 2) found[count++] = y * width + x;
  }
  return found.subarray(0, count);
}

/** The row of a quality. @param {import("./npz.js").NumberArray} array @param {number} quality */
function row({ shape, data }, quality) {
  return data.subarray((quality - 1) * shape[1], quality * shape[1]);
}
