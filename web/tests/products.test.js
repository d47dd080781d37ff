/** The kernel and its fallback give the same numbers, the right ones. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { round } from "../fixed.js";
import { Products } from "../products.js";

test("rounding is half to even", () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999999, -3.5].map((x) => round(x) + 0), [0, 2, 2, 0, -2, 2, -4]);
});

for (const simd of [true, false]) {
  test(`a layer ${simd ? "in WebAssembly" : "in JavaScript"} is exact, whatever its sizes`, () => {
    let state = 7;
    const random = (limit) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * 2 * limit) - limit;
    };
    for (const [rows, inputs, outputs, low] of [[1, 1, 1, -(2 ** 26)], [5, 7, 3, 0], [8, 33, 12, -(2 ** 26)]]) {
      const products = new Products(10_000, simd);
      const weights = Array.from({ length: outputs * inputs }, () => random(2 ** 15));
      const bias = Array.from({ length: outputs }, () => random(2 ** 15));
      const layer = products.layer(weights, bias, outputs);
      const x = products.room(rows, inputs);
      const y = products.room(rows, outputs);
      for (let i = 0; i < rows * inputs; i++) x[i] = random(2 ** 22);
      products.linear(layer, x, y, rows, low);
      const stride = Math.ceil(outputs / 4) * 4;
      for (let r = 0; r < rows; r++) {
        for (let o = 0; o < outputs; o++) {
          let sum = 4096n * BigInt(bias[o]);
          for (let i = 0; i < inputs; i++) sum += BigInt(weights[o * inputs + i]) * BigInt(x[r * inputs + i]);
          const expected = Math.min(Math.max(halfToEven(sum), low), 2 ** 26);
          assert.equal(y[r * stride + o] + 0, expected);
        }
      }
    }
  });
}

test("the kernel runs here", () => {
  assert.notEqual(new Products(16)._kernel, null);
});

function halfToEven(sum) {
  const floor = Number(sum >> 12n);
  const rest = Number(sum & 4095n);
  return rest > 2048 || (rest === 2048 && floor % 2 !== 0) ? floor + 1 : floor;
}
