// Uses the package as a page written in TypeScript would; tests/web/test_node.py has it checked and nothing runs it.
import { configure, decode, encode, FinolaError, info, LimitError, type Info, type Picture } from "finola-codec";
import { FinImage } from "finola-codec/fin-img";

configure({ models: "/models", webgpu: true });

async function show(file: Blob, canvas: HTMLCanvasElement): Promise<Info> {
  const previews: Picture[] = [];
  const stop = new AbortController();
  const picture = await decode(file, { maxPixels: 1e6, onPreview: (early) => previews.push(early), signal: stop.signal });
  const pixels = new ImageData(picture.data, picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  return info(await encode(pixels, { quality: 30, model: "finola-base" }));
}

const element: FinImage = document.createElement("fin-img");
element.src = "photo.fin";
element.addEventListener("load", () => show(new Blob(), document.createElement("canvas")));
const error: FinolaError = new LimitError("too large");

// @ts-expect-error: a quality is a number
void encode(new ImageData(1, 1), { quality: "high" });
// @ts-expect-error: what was decoded is only there once it has been
element.picture.data;
throw error;
