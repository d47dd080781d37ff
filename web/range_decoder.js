/**
 * The range decoder of `docs/format.md`, in pairs of 32-bit halves: JavaScript has no fast 64-bit integers.
 *
 * Instead of `point` and `lower` it keeps their difference, the offset. Products of the scale (40 bits) and a frequency
 * (24 bits) are made of two halves of the scale, so that every intermediate value is an integer below 2^53.
 */

import { FormatError } from "./errors.js";
import { HALF, productHigh, productLow } from "./product.js";
import { TOTAL } from "./tables.js";

const BASE = 2 ** 32;

/** @typedef {{size: number, start(symbol: number): number, find(quantile: number): number}} Distribution */

export class RangeDecoder {
  /** @param {Uint8Array} payload 32-bit words, little-endian. @throws {FormatError} unless they are whole words */
  constructor(payload) {
    if (payload.length % 4) throw new FormatError("a range-coded payload is not a whole number of 32-bit words");
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    this._words = Uint32Array.from({ length: payload.length / 4 }, (_, i) => view.getUint32(4 * i, true));
    this._shifts = 0; // words that have left the state
    this._offsetHigh = this._words[0] ?? 0;
    this._offsetLow = this._words[1] ?? 0;
    this._rangeHigh = BASE - 1;
    this._rangeLow = BASE - 1;
    this._begun = false;
  }

  /**
   * Decode as many symbols as `symbols` has places.
   * @param {Distribution} distribution
   * @param {Int32Array} symbols what was decoded
   * @throws {FormatError} where no symbol has such a code
   */
  decode(distribution, symbols) {
    const words = this._words;
    let shifts = this._shifts;
    let offsetHigh = this._offsetHigh;
    let offsetLow = this._offsetLow;
    let rangeHigh = this._rangeHigh;
    let rangeLow = this._rangeLow;
    for (let i = 0; i < symbols.length; i++) {
      const scale = rangeHigh * 256 + (rangeLow >>> 24);
      const scaleHigh = Math.floor(scale / HALF);
      const scaleLow = scale - scaleHigh * HALF;
      // The quantile in floating point may be one off, and so may the symbol; the exact comparisons below tell.
      const quantile = Math.floor((offsetHigh * BASE + offsetLow) / scale);
      let symbol = distribution.find(quantile < TOTAL ? quantile : TOTAL - 1);
      for (;;) {
        const start = distribution.start(symbol);
        const startHigh = productHigh(scaleHigh, scaleLow, start);
        let beyondHigh = offsetHigh - startHigh;
        let beyondLow = offsetLow - productLow;
        if (beyondLow < 0) {
          beyondLow += BASE;
          beyondHigh -= 1;
        }
        if (beyondHigh < 0) {
          symbol -= 1;
          continue;
        }
        const sizeHigh = productHigh(scaleHigh, scaleLow, distribution.start(symbol + 1) - start);
        const sizeLow = productLow;
        if (beyondHigh > sizeHigh || (beyondHigh === sizeHigh && beyondLow >= sizeLow)) {
          symbol += 1;
          if (symbol === distribution.size) {
            throw new FormatError("the range-coded payload is damaged: no symbol has such a code");
          }
          continue;
        }
        if (sizeHigh === 0) {
          offsetHigh = beyondLow;
          offsetLow = shifts + 2 < words.length ? words[shifts + 2] : 0;
          shifts += 1;
          rangeHigh = sizeLow;
          rangeLow = 0;
        } else {
          offsetHigh = beyondHigh;
          offsetLow = beyondLow;
          rangeHigh = sizeHigh;
          rangeLow = sizeLow;
        }
        break;
      }
      symbols[i] = symbol;
    }
    this._begun ||= symbols.length > 0;
    this._shifts = shifts;
    this._offsetHigh = offsetHigh;
    this._offsetLow = offsetLow;
    this._rangeHigh = rangeHigh;
    this._rangeLow = rangeLow;
  }

  /** Whether the payload is exactly what an encoder writes for what was decoded. @returns {boolean} */
  ends() {
    if (!this._begun) return this._words.length === 0;
    const low = this._offsetLow ? BASE - this._offsetLow : 0;
    const second = low > 0 && this._rangeHigh < 2 && low + this._rangeHigh * BASE + this._rangeLow < 2 * BASE;
    const expected = this._shifts + (second ? 2 : 1);
    const rest = this._words.subarray(this._shifts + 1);
    return this._offsetHigh === 0 && this._words.length === expected && rest.every((word) => word === 0);
  }

  /**
   * Whether the words alone tell all that was decoded, whatever may follow them. It is what a preview of a payload that
   * is still arriving goes by.
   * @returns {boolean}
   */
  get isCertain() {
    const missing = this._shifts + 2 - this._words.length;
    if (missing <= 0) return true;
    const high = this._offsetHigh + 1; // the offset plus 2^32
    const fits = high < this._rangeHigh || (high === this._rangeHigh && this._offsetLow <= this._rangeLow);
    return missing === 1 && fits;
  }

  /** The state, for the example in `docs/format.md`. @returns {{shifts: number, offset: bigint, range: bigint}} */
  get state() {
    const join = (high, low) => (BigInt(high) << 32n) | BigInt(low);
    return {
      shifts: this._shifts,
      offset: join(this._offsetHigh, this._offsetLow),
      range: join(this._rangeHigh, this._rangeLow),
    };
  }
}
