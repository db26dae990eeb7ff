// One part of the page and its states: loading, then ready, empty or error; stale after a failed refresh.

import { element, prose } from "./dom.js";
import { instant } from "./format.js";

const LOADING = "Loading…";

export class Part {
  /** `id` is the section's; inside it are a `.note` for messages and a `.body` for the content. */
  constructor(id) {
    this.section = document.getElementById(id);
    this.note = this.section.querySelector(".note");
    this.body = this.section.querySelector(".body");
    this.body.hidden = true;
    this.turn = 0;
    this.settle("loading", LOADING);
  }

  /**
   * Loads and renders. `render(data)` returns a message if there is nothing to show, otherwise nothing.
   * The earlier content stays if loading fails, marked as old. With `fresh` it is of another request: then it stays
   * only until the response or the failure, so that the page doesn't jump.
   * Returns the error, or null.
   */
  async show(load, render, { fresh = false } = {}) {
    const turn = (this.turn += 1);
    if (fresh) this.settle("loading", ...(this.body.hidden ? [LOADING] : []));
    this.section.setAttribute("aria-busy", "true");
    try {
      const data = await load();
      if (turn === this.turn) this.render(data, render);
      return null;
    } catch (error) {
      if (turn === this.turn) this.fail(error);
      return error;
    } finally {
      if (turn === this.turn) this.section.removeAttribute("aria-busy");
    }
  }

  render(data, render) {
    const text = JSON.stringify(data);
    this.loadedAt = new Date().toISOString();
    const same = text === this.text && ["ready", "stale"].includes(this.state);
    const message = same ? undefined : render(data);
    this.text = text;
    if (message) this.settle("empty", ...prose(message));
    else this.settle("ready");
  }

  fail(error) {
    const old = this.state === "ready" || this.state === "stale";
    const why = element("span", { class: "why" }, ...prose(`${error.message} `));
    const known = old && `Shown is what was known at ${instant(this.loadedAt)} UTC.`;
    this.settle(old ? "stale" : "error", why, known || element("span", { class: "away" }, "Nothing to show for now."));
    if (error.name !== "Problem") console.error(error);
  }

  settle(state, ...message) {
    this.state = state;
    this.section.dataset.state = state;
    this.note.replaceChildren(...message);
    this.note.hidden = message.length === 0;
    if (state !== "loading") this.body.hidden = !["ready", "stale"].includes(state);
  }
}
