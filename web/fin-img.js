/**
 * `<fin-img src="photo.fin" alt="...">`: a .fin picture that behaves as `<img>`.
 *
 *     <script type="module" src="finola-codec/fin-img.js"></script>
 *     <fin-img src="photo.fin" alt="A cat" width="640" loading="lazy"></fin-img>
 *
 * It understands `src`, `alt`, `width`, `height` and `loading`, and sends `load` and `error` events; `preview` events
 * tell that something is shown of a file that is still arriving. What it shows is an `<img>` of its own (part "img"), so
 * that printing, dragging, saving and colour management are the browser's.
 */

import { decode } from "./finola-codec.js";
import { toPng } from "./png.js";

const STYLE = `
  :host { display: inline-block; line-height: 0; max-width: 100%; }
  :host([hidden]) { display: none; }
  img { max-width: 100%; height: auto; object-fit: inherit; object-position: inherit; }
  :host([height]) img { height: inherit; }
`;
const PASSED_ON = ["alt", "width", "height"];
const NEAR = "600px"; // from the visible part of the page: where lazy pictures begin to load

export class FinImage extends HTMLElement {
  static observedAttributes = ["src", ...PASSED_ON];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style><img part="img">`;
    this._image = root.querySelector("img");
    this._loading = null;
    this._observer = null;
    this._picture = null;
    this._beforePrint = () => this._load(); // a page is printed with its lazy pictures
  }

  get src() {
    const src = this.getAttribute("src");
    return src === null ? "" : new URL(src, document.baseURI).href;
  }

  set src(value) {
    this.setAttribute("src", value);
  }

  get alt() {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value) {
    this.setAttribute("alt", value);
  }

  get loading() {
    return this.getAttribute("loading") === "lazy" ? "lazy" : "eager";
  }

  set loading(value) {
    this.setAttribute("loading", value);
  }

  get naturalWidth() {
    return this._picture?.width ?? 0;
  }

  get naturalHeight() {
    return this._picture?.height ?? 0;
  }

  /** Whether nothing is being loaded any more: the picture is there, or it has failed. */
  get complete() {
    return !this.hasAttribute("src") || (this._loading?.isOver ?? false);
  }

  /** The decoded picture, or null. */
  get picture() {
    return this._picture;
  }

  connectedCallback() {
    addEventListener("beforeprint", this._beforePrint);
    this._schedule();
  }

  disconnectedCallback() {
    removeEventListener("beforeprint", this._beforePrint);
    this._stop();
  }

  attributeChangedCallback(name, before, now) {
    if (PASSED_ON.includes(name)) {
      if (now === null) this._image.removeAttribute(name);
      else this._image.setAttribute(name, now);
    } else if (this.isConnected && before !== now) {
      this._stop();
      this._schedule();
    }
  }

  _schedule() {
    if (!this.hasAttribute("src") || this._loading) return;
    if (this.loading === "eager" || typeof IntersectionObserver === "undefined") {
      this._load();
      return;
    }
    this._observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this._load(),
      { rootMargin: NEAR },
    );
    this._observer.observe(this);
  }

  _stop() {
    this._observer?.disconnect();
    this._observer = null;
    this._loading?.controller.abort();
    this._loading = null;
  }

  async _load() {
    if (this._loading || !this.hasAttribute("src")) return;
    this._observer?.disconnect();
    const own = (this._loading = { controller: new AbortController(), isOver: false });
    const { signal } = own.controller;
    try {
      const response = await fetch(this.src, { signal });
      if (!response.ok) throw new Error(`${this.src}: ${response.status} ${response.statusText}`);
      const onPreview = (picture) => {
        if (!signal.aborted) this._show(picture).then(() => this._tell("preview"), () => undefined);
      };
      const picture = await decode(response, { onPreview, signal });
      await this._show(picture);
      if (signal.aborted) return;
      this._picture = picture;
      own.isOver = true;
      this._tell("load");
    } catch (error) {
      if (signal.aborted) return;
      own.isOver = true;
      this._picture = null;
      this._replace("data:,"); // a broken picture, for which the browser shows the alternative text
      this.dispatchEvent(new ErrorEvent("error", { error, message: error.message }));
    }
  }

  async _show(picture) {
    const address = URL.createObjectURL(toPng(picture));
    this._replace(address);
    await this._image.decode();
  }

  _replace(address) {
    const before = this._image.src;
    this._image.src = address;
    if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  }

  _tell(type) {
    this.dispatchEvent(new Event(type));
  }
}

customElements.define("fin-img", FinImage);
