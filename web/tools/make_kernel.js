/** Write kernel.js, the bytes of kernel.wat: `npm install && npm run kernel`. */

import { readFile, writeFile } from "node:fs/promises";
import wabt from "wabt";

const source = await readFile(new URL("kernel.wat", import.meta.url), "utf8");
const module = (await wabt()).parseWat("kernel.wat", source, { simd: true });
const { buffer } = module.toBinary({});
const base64 = Buffer.from(buffer).toString("base64");
const lines = base64.match(/.{1,112}/g).map((line) => `  "${line}"`);
await writeFile(
  new URL("../kernel.js", import.meta.url),
  `/** The WebAssembly of tools/kernel.wat in base64, ${buffer.length} bytes; made by tools/make_kernel.js. */
export const KERNEL =
${lines.join(" +\n")};
`,
);
