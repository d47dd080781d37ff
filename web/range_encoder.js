/** The range encoder of `docs/format.md`, in pairs of 32-bit halves. */

import { HALF, productHigh, productLow } from "./product.js";

const BASE = 2 ** 32;

export class RangeEncoder {
  constructor() {
    /** @type {number[]} words that have left the state */
    this._words = [];
    this._lowerHigh = 0;
    this._lowerLow = 0;
    this._rangeHigh = BASE - 1;
    this._rangeLow = BASE - 1;
    this._begun = false;
  }

  /** @param {import("./range_decoder.js").Distribution} distribution @param {number} symbol */
  encode(distribution, symbol) {
    const scale = this._rangeHigh * 256 + (this._rangeLow >>> 24);
    const scaleHigh = Math.floor(scale / HALF);
    const scaleLow = scale - scaleHigh * HALF;
    const start = distribution.start(symbol);
    this._lowerHigh += productHigh(scaleHigh, scaleLow, start);
    this._lowerLow += productLow;
    if (this._lowerLow >= BASE) {
      this._lowerLow -= BASE;
      this._lowerHigh += 1;
    }
    if (this._lowerHigh >= BASE) {
      this._lowerHigh -= BASE;
      carry(this._words);
    }
    this._rangeHigh = productHigh(scaleHigh, scaleLow, distribution.start(symbol + 1) - start);
    this._rangeLow = productLow;
    if (this._rangeHigh === 0) {
      this._words.push(this._lowerHigh);
      this._lowerHigh = this._lowerLow;
      this._lowerLow = 0;
      this._rangeHigh = this._rangeLow;
      this._rangeLow = 0;
    }
    this._begun = true;
  }

  /** The payload: words of 32 bits, little-endian. Nothing can be encoded afterwards. @returns {Uint8Array} */
  finish() {
    const words = this._words;
    if (this._begun) {
      const low = this._lowerLow;
      const last = this._lowerHigh + (low > 0 ? 1 : 0);
      if (last >= BASE) carry(words);
      words.push(last % BASE);
      if (low > 0 && this._rangeHigh < 2 && low + this._rangeHigh * BASE + this._rangeLow < 2 * BASE) words.push(0);
    }
    const view = new DataView(new ArrayBuffer(4 * words.length));
    words.forEach((word, i) => view.setUint32(4 * i, word, true));
    return new Uint8Array(view.buffer);
  }
}

/** Add one to a number of which these are the words, the most significant first. */
function carry(words) {
  let i = words.length - 1;
  while (words[i] === BASE - 1) words[i--] = 0;
  words[i] += 1;
}
