/** The worker of the page that writes AVIF by libavif in WebAssembly, without subsampling of colours. */

import load from "./avif/avif_enc.js";

const SPEED = 6; // of 0 to 10: what docs/benchmarks.md compares with
const FULL_COLOUR = 3; // 4:4:4
const OPTIONS = {
  qualityAlpha: -1, denoiseLevel: 0, tileColsLog2: 0, tileRowsLog2: 0, speed: SPEED, subsample: FULL_COLOUR, chromaDeltaQ: false,
  sharpness: 0, tune: 0, enableSharpYUV: false, bitDepth: 8, lossless: false,
};
let loading = null;

addEventListener("message", async ({ data: { data, width, height, quality } }) => {
  try {
    loading ??= load({ noInitialRun: true });
    const file = (await loading).encode(new Uint8Array(data.buffer), width, height, { ...OPTIONS, quality });
    postMessage(file ? { file: file.slice() } : { error: "The picture cannot be written as AVIF." });
  } catch (error) {
    postMessage({ error: `The picture cannot be written as AVIF: ${error.message ?? error}` });
  }
});
