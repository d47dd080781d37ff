/** Batches of residuals, read from a range-coded payload and written to one. */

import { FormatError } from "./errors.js";
import { RangeDecoder } from "./range_decoder.js";
import { RangeEncoder } from "./range_encoder.js";
import { Table, TOTAL, Uniform } from "./tables.js";

const ESCAPE_SIZES = 22; // an escape exceeds its table's reach by less than 2^22
/** The largest magnitude of a residual. */
export const MAX_RESIDUAL = 2 ** 20;

export class ResidualReader {
  /**
   * @param {import("./tables.js").Tables} tables
   * @param {Uint8Array} payload
   * @param {boolean} [partial] whether the payload may be cut off: residuals that are not certain are then zero
   */
  constructor(tables, payload, partial = false) {
    this._tables = tables;
    this._decoder = new RangeDecoder(partial ? payload.subarray(0, payload.length - (payload.length % 4)) : payload);
    this._partial = partial;
    this._intact = true;
  }

  /**
   * One batch.
   * @param {Uint8Array} bins the table of each residual
   * @returns {Int32Array} the residuals
   * @throws {FormatError} where the payload makes no sense
   */
  read(bins) {
    if (!this._partial) return this._read(bins);
    let residuals;
    if (this._intact) {
      try {
        residuals = this._read(bins);
        this._intact = this._decoder.isCertain;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        this._intact = false;
      }
    }
    return this._intact ? residuals : new Int32Array(bins.length);
  }

  /** One symbol out of `size` that are alike. @param {number} size @returns {number} */
  readUniform(size) {
    return this._symbols(new Uniform(size), 1)[0];
  }

  /**
   * Flags, of which a share of frequency / 2^24 is expected to be true.
   * @param {number} count @param {number} frequency @returns {Int32Array} of 0 and 1
   */
  readFlags(count, frequency) {
    return this._symbols(new Table([TOTAL - frequency, frequency]), count);
  }

  /** @throws {FormatError} unless the payload is what an encoder writes for what was read */
  finish() {
    if (!this._partial && !this._decoder.ends()) {
      throw new FormatError("the range-coded payload does not end where its content does");
    }
  }

  _symbols(distribution, count) {
    const symbols = new Int32Array(count);
    this._decoder.decode(distribution, symbols);
    return symbols;
  }

  _read(bins) {
    const residuals = new Int32Array(bins.length);
    const escaped = [];
    const { order, ends } = grouped(bins, this._tables.tables.length);
    for (let bin = 0, begin = 0; bin < ends.length; begin = ends[bin++]) {
      if (ends[bin] === begin) continue;
      const reach = this._tables.reach[bin];
      const symbols = this._symbols(this._tables.tables[bin], ends[bin] - begin);
      for (let i = 0; i < symbols.length; i++) {
        const place = order[begin + i];
        residuals[place] = symbols[i] - reach;
        if (symbols[i] === 2 * reach + 1) escaped.push(place);
      }
    }
    if (escaped.length) this._readEscapes(bins, escaped, residuals);
    return residuals;
  }

  /** Replace the residuals at the places `escaped`. */
  _readEscapes(bins, escaped, residuals) {
    const sizes = this._symbols(new Uniform(ESCAPE_SIZES), escaped.length);
    for (let size = 0; size < ESCAPE_SIZES; size++) {
      const places = escaped.filter((_, i) => sizes[i] === size);
      if (!places.length) continue;
      this._symbols(new Uniform(2 ** (size + 1)), places.length).forEach((rest, i) => {
        const magnitude = this._tables.reach[bins[places[i]]] + 2 ** size + (rest >> 1);
        if (magnitude > MAX_RESIDUAL) {
          throw new FormatError(`the range-coded payload is damaged: a residual exceeds ${MAX_RESIDUAL}`);
        }
        residuals[places[i]] = rest & 1 ? -magnitude : magnitude;
      });
    }
  }
}

export class ResidualWriter {
  /** @param {import("./tables.js").Tables} tables */
  constructor(tables) {
    this._tables = tables;
    this._encoder = new RangeEncoder();
  }

  /** One batch. @param {Int32Array} residuals @param {Uint8Array} bins the table of each */
  write(residuals, bins) {
    const escapes = [];
    const { order, ends } = grouped(bins, this._tables.tables.length);
    for (let bin = 0, begin = 0; bin < ends.length; begin = ends[bin++]) {
      const reach = this._tables.reach[bin];
      for (let i = begin; i < ends[bin]; i++) {
        const residual = residuals[order[i]];
        const excess = Math.abs(residual) - reach;
        if (excess > 0) escapes.push({ excess, size: 31 - Math.clz32(excess), sign: residual < 0 ? 1 : 0 });
        this._encoder.encode(this._tables.tables[bin], excess > 0 ? 2 * reach + 1 : residual + reach);
      }
    }
    for (const { size } of escapes) this.writeUniform(size, ESCAPE_SIZES);
    for (let size = 0; size < ESCAPE_SIZES; size++) {
      for (const escape of escapes.filter((e) => e.size === size)) {
        this.writeUniform(2 * (escape.excess - 2 ** size) + escape.sign, 2 ** (size + 1));
      }
    }
  }

  /** One symbol out of `size` that are alike. @param {number} symbol @param {number} size */
  writeUniform(symbol, size) {
    this._encoder.encode(new Uniform(size), symbol);
  }

  /**
   * Flags, of which a share of frequency / 2^24 is expected to be true.
   * @param {ArrayLike<number>} flags of 0 and 1 @param {number} frequency
   */
  writeFlags(flags, frequency) {
    const table = new Table([TOTAL - frequency, frequency]);
    for (let i = 0; i < flags.length; i++) this._encoder.encode(table, flags[i]);
  }

  /** The payload. @returns {Uint8Array} */
  finish() {
    return this._encoder.finish();
  }
}

/** The places of each table's residuals, table after table and in each in order; a table's end where `ends` says. */
function grouped(bins, tables) {
  const ends = new Int32Array(tables);
  for (let i = 0; i < bins.length; i++) ends[bins[i]] += 1;
  const next = new Int32Array(tables);
  for (let bin = 1; bin < tables; bin++) {
    next[bin] = ends[bin - 1];
    ends[bin] += ends[bin - 1];
  }
  const order = new Int32Array(bins.length);
  for (let i = 0; i < bins.length; i++) order[next[bins[i]]++] = i;
  return { order, ends };
}
