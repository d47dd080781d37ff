/** `<fin-img src="photo.fin" alt="...">`: a .fin picture that behaves as `<img>`. Importing this defines the element. */

import type { Picture } from "./finola-codec.js";

/**
 * Understands the attributes `src`, `alt`, `width`, `height` and `loading`. Sends `load` and `error` (an ErrorEvent with
 * `error` and `message`), and `preview` when something of a file that is still arriving is shown.
 */
export class FinImage extends HTMLElement {
  src: string;
  alt: string;
  loading: "lazy" | "eager";
  readonly naturalWidth: number;
  readonly naturalHeight: number;
  readonly complete: boolean;
  readonly picture: Picture | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "fin-img": FinImage;
  }
}
