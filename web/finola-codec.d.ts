/** What a page decodes .fin pictures with. */

export type Mode = "RGB" | "L" | "RGBA" | "LA";

/** A decoded picture. */
export interface Picture {
  width: number;
  height: number;
  mode: Mode;
  quality: number;
  /** (height, width, 4): RGBA, not premultiplied, in the colours of `icc`, or sRGB where that is null. */
  data: Uint8ClampedArray<ArrayBuffer>;
  icc: Uint8Array | null;
  exif: Uint8Array | null;
}

/** What a .fin file says of itself. */
export interface Info {
  width: number;
  height: number;
  mode: Mode;
  quality: number;
  /** 8 hexadecimal digits. */
  modelId: string;
  bytes: number;
  /** Bits per pixel of the whole file. */
  bpp: number;
  /** Bytes of each chunk's payload, by its name. */
  chunks: Record<string, number>;
}

export interface DecodeOptions {
  /** The largest picture that is decoded; 178,956,970 pixels by default. */
  maxPixels?: number;
  /** Is given what can be shown of a stream that has not ended yet. It has not been checked. */
  onPreview?: (picture: Picture) => void;
  signal?: AbortSignal;
}

export type Source = Uint8Array | ArrayBuffer | Blob | Response | ReadableStream<Uint8Array>;

/** Decode a .fin file in a worker. Rejects with a {@link FinolaError}. */
export function decode(source: Source, options?: DecodeOptions): Promise<Picture>;

export interface EncodeOptions {
  /** From 1 to 100; 50 by default. */
  quality?: number;
  /** The model's name; by default the first that is served. */
  model?: string;
}

/** Encode RGBA pixels, not premultiplied, such as an ImageData, as a .fin file without ICC profile. Rejects with a {@link FinolaError}. */
export function encode(
  pixels: { data: Uint8ClampedArray; width: number; height: number },
  options?: EncodeOptions,
): Promise<Uint8Array>;

/** What a .fin file says of itself, without decoding it. Throws a {@link FormatError}. */
export function info(data: Uint8Array | ArrayBuffer): Info;

export interface Settings {
  /** The folder that has index.json and a folder for each model; by default `models` beside the package. */
  models?: string | URL;
  /** The file ort.wasm.bundle.min.mjs; by default in `onnxruntime` beside the package. */
  runtime?: string | URL;
  /** Whether WebGPU may be used where there is one; false by default. */
  webgpu?: boolean;
}

/** Say, before anything is decoded, where models and ONNX Runtime are. */
export function configure(settings: Settings): void;

export class FinolaError extends Error {}
export class ModelError extends FinolaError {}
export class FormatError extends FinolaError {}
export class LimitError extends FormatError {}
