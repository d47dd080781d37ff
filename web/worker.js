/**
 * The worker in which pictures are decoded and encoded, so that a page goes on while that takes its time.
 *
 * A page first sends `{models, runtime, webgpu}`: the addresses of models and of ONNX Runtime, and whether the latter may
 * use WebGPU. Then it sends messages `{id, task, ...}` with one of the tasks below. The answer is `{id, result}` or
 * `{id, error}`.
 */

import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { FinolaError, toPlain } from "./errors.js";
import { Models } from "./models.js";

/** @type {Decoder} */
let decoder;
/** @type {Encoder} */
let encoder;
let queue = Promise.resolve(); // one picture after the other, so that memory is that of one

const TASKS = {
  decode: ({ data, maxPixels }) => decoder.decode(data, maxPixels),
  preview: ({ data, maxPixels }) => decoder.preview(data, maxPixels),
  encode: ({ pixels, quality, model }) => encoder.encode(pixels, quality, model),
};

let settings = null;

addEventListener("message", ({ data: message }) => {
  if (message.models) setUp(message);
  else queue = queue.then(() => answer(message));
});

function setUp(wanted) {
  settings = wanted;
  const models = new Models(settings.models);
  const runtime = once(() => loadRuntime(settings));
  decoder = new Decoder(models, runtime);
  encoder = new Encoder(models, runtime);
}

async function answer(message) {
  const { id } = message;
  try {
    const result = await perform(message);
    postMessage({ id, result }, result?.data ? [result.data.buffer] : []);
  } catch (error) {
    postMessage({ id, error: toPlain(error) });
  }
}

/** Do a task; where WebGPU fails at it, in WebAssembly, as all that follow. */
async function perform(message) {
  try {
    return await TASKS[message.task](message);
  } catch (error) {
    if (!settings.webgpu || error instanceof FinolaError) throw error;
    setUp({ ...settings, webgpu: false });
    return TASKS[message.task](message);
  }
}

/**
 * ONNX Runtime: in WebGPU where it may be used and there is an adapter, otherwise in WebAssembly, with as many threads as
 * the page may have: several only where it is cross-origin isolated.
 */
async function loadRuntime({ runtime: address, webgpu }) {
  const hasGpu = Boolean(webgpu && (await navigator.gpu?.requestAdapter().catch(() => null)));
  const runtime = await import(hasGpu ? new URL("ort.webgpu.bundle.min.mjs", address).href : address);
  const binary = hasGpu ? "ort-wasm-simd-threaded.asyncify.wasm" : "ort-wasm-simd-threaded.wasm";
  runtime.env.wasm.wasmPaths = { wasm: new URL(binary, address).href };
  runtime.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  runtime.env.logLevel = "error";
  const { InferenceSession, Tensor } = runtime;
  return { InferenceSession, Tensor, providers: hasGpu ? ["webgpu", "wasm"] : ["wasm"] };
}

function once(make) {
  let made;
  return () => (made ??= make());
}
