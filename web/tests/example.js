/**
 * Print what the example of docs/format.md is made of: `node web/tests/example.js`.
 *
 * It decodes the smallest golden file and tells each symbol that the range decoder reads, with the state before it.
 */

import { unpack } from "../container.js";
import { decodeIntegers } from "../integers.js";
import { RangeDecoder } from "../range_decoder.js";
import { golden, openModel } from "./golden.js";

const NAME = "pixel.finola-base.fin";
const hex = (value) => value.toString(16).toUpperCase().padStart(16, "0");

const decode = RangeDecoder.prototype.decode;
RangeDecoder.prototype.decode = function tell(distribution, symbols) {
  const one = new Int32Array(1);
  for (let i = 0; i < symbols.length; i++) {
    const { offset, range } = this.state;
    const quantile = Number(offset / (range >> 24n));
    decode.call(this, distribution, one);
    symbols[i] = one[0];
    const start = distribution.start(one[0]);
    const frequency = distribution.start(one[0] + 1) - start;
    console.log(`${hex(offset)} ${hex(range)}  ${distribution.constructor.name} of ${distribution.size} symbols:`,
      `quantile ${quantile}, c ${start}, f ${frequency}, symbol ${one[0]}`);
  }
};
const ends = RangeDecoder.prototype.ends;
RangeDecoder.prototype.ends = function tell() {
  const { offset, range, shifts } = this.state;
  console.log(`${hex(offset)} ${hex(range)}  the end, after ${shifts} shifts\n`);
  return ends.call(this);
};

const data = await golden(NAME);
for (let i = 0; i < data.length; i += 16) {
  const bytes = Array.from(data.subarray(i, i + 16), (byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
  console.log(i.toString(16).toUpperCase().padStart(2, "0"), "", bytes.join(" "));
}
const { header, chunks } = unpack(data);
console.log(header, "\n");
const values = await decodeIntegers(await openModel("finola-base"), header, chunks);
console.log("values:", values.subarray(0, 8).join(", "));
