/** The distributions that symbols are coded under, as cumulative integer frequencies out of 2^24. */

import { ModelError } from "./errors.js";

/** What the frequencies of a distribution add up to. */
export const TOTAL = 2 ** 24;
const TABLES = 64;

/** A distribution given by its frequencies. */
export class Table {
  /** @param {ArrayLike<number>} frequencies positive, adding up to 2^24 */
  constructor(frequencies) {
    this.size = frequencies.length;
    this._cumulative = new Int32Array(this.size + 1);
    for (let i = 0; i < this.size; i++) this._cumulative[i + 1] = this._cumulative[i] + frequencies[i];
    this._likely = (this.size >> 1) - 1; // the residual zero
  }

  /** The sum of the frequencies of the symbols before `symbol`. @param {number} symbol @returns {number} */
  start(symbol) {
    return this._cumulative[symbol];
  }

  /** What a symbol costs in bits. @param {number} symbol @returns {number} */
  bits(symbol) {
    this._bits ??= Float64Array.from({ length: this.size }, (_, i) => 24 - Math.log2(this.start(i + 1) - this.start(i)));
    return this._bits[symbol];
  }

  /** The symbol that a quantile below 2^24 falls on. @param {number} quantile @returns {number} */
  find(quantile) {
    const cumulative = this._cumulative;
    let low = 0;
    let high = this.size; // cumulative[low] <= quantile < cumulative[high]
    let middle = this._likely;
    while (high - low > 1) {
      if (cumulative[middle] <= quantile) {
        if (quantile < cumulative[middle + 1]) return middle;
        low = middle + 1;
      } else {
        high = middle;
      }
      middle = (low + high) >> 1;
    }
    return low;
  }
}

/** `size` symbols alike, of which the last one also has what 2^24 leaves over. */
export class Uniform {
  /** @param {number} size */
  constructor(size) {
    this.size = size;
    this._step = Math.floor(TOTAL / size);
  }

  /** @param {number} symbol @returns {number} */
  start(symbol) {
    return symbol === this.size ? TOTAL : symbol * this._step;
  }

  /** @param {number} quantile @returns {number} */
  find(quantile) {
    return Math.min(Math.floor(quantile / this._step), this.size - 1);
  }
}

/** The model's 64 tables: residuals -reach to reach of each, then an escape. */
export class Tables {
  /**
   * @param {ArrayLike<number>} frequencies of all tables end to end
   * @param {ArrayLike<number>} reach of each table
   * @throws {ModelError} unless every table is positive and adds up to 2^24
   */
  constructor(frequencies, reach) {
    const size = Array.from(reach).reduce((sum, r) => sum + 2 * r + 2, 0);
    if (reach.length !== TABLES || Math.min(...reach) < 0 || frequencies.length !== size) {
      throw new ModelError("the frequency tables have the wrong size");
    }
    this.reach = Int32Array.from(reach);
    /** @type {Table[]} */
    this.tables = [];
    let start = 0;
    for (const r of this.reach) {
      const own = Array.prototype.slice.call(frequencies, start, (start += 2 * r + 2));
      if (own.some((f) => f < 1) || own.reduce((sum, f) => sum + f, 0) !== TOTAL) {
        throw new ModelError(`the frequencies of table ${this.tables.length} do not add up to 2^24`);
      }
      this.tables.push(new Table(own));
    }
  }

  /** What a residual costs in bits; for an escape, its symbol and about what follows. */
  bits(residual, bin) {
    const reach = this.reach[bin];
    const outside = Math.abs(residual) - reach;
    if (outside > 0) return this.tables[bin].bits(2 * reach + 1) + 2 * Math.log2(outside) + 5;
    return this.tables[bin].bits(residual + reach);
  }
}
