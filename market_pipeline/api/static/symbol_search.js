// A box that finds symbols by typing: a combobox with a list, as the ARIA Authoring Practices describe it.

import { searchSymbols } from "./chart_data.js";
import { element, replace } from "./dom.js";
import { plural } from "./format.js";

const TYPING_MS = 80;

export class SymbolSearch {
  /** `root` has an input, a `[role=listbox]` and a `[role=status]`. `onChoose(symbol)`: called with a chosen symbol. */
  constructor(root, onChoose) {
    this.input = root.querySelector("input");
    this.list = root.querySelector("[role=listbox]");
    this.status = root.querySelector("[role=status]");
    this.onChoose = onChoose;
    this.value = "";
    this.turn = 0;
    this.active = -1;
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    this.input.addEventListener("focus", () => this.input.select());
    this.input.addEventListener("click", () => this.isOpen || this.search(""));
    this.input.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the box
    this.list.addEventListener("click", (event) => this.choose(event.target.closest("[role=option]")));
  }

  /** Shows a symbol in the box as the chosen one, unless somebody is typing there. */
  show(symbol) {
    this.value = symbol ?? "";
    if (!this.isOpen) this.input.value = this.value;
  }

  get isOpen() {
    return this.input.getAttribute("aria-expanded") === "true";
  }

  get options() {
    return [...this.list.querySelectorAll("[role=option]")];
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.search(this.input.value), TYPING_MS);
  }

  async search(text) {
    const turn = (this.turn += 1);
    const found = await searchSymbols(text).catch((error) => error);
    if (turn !== this.turn || document.activeElement !== this.input) return;
    this.found = text;
    this.draw(found);
  }

  draw(found) {
    const symbols = found.symbols ?? [];
    const words = found instanceof Error ? found.message : symbols.length === 0 ? "No symbol is found." : null;
    const rest = found.truncated ? "There are more: type further letters." : words;
    replace(
      this.list,
      ...symbols.map((symbol, index) => this.drawOption(symbol, index)),
      ...(rest === null ? [] : [element("li", { class: "hint", role: "presentation" }, rest)]),
    );
    this.status.textContent = words ?? plural(symbols.length, "symbol");
    this.input.setAttribute("aria-expanded", "true");
    this.list.hidden = false;
    this.activate(this.input.value.trim() !== "" && this.found !== "" && symbols.length > 0 ? 0 : -1);
  }

  drawOption(found, index) {
    const { symbol, ticker, name } = found;
    return element(
      "li",
      { role: "option", id: `${this.list.id}-${index}`, "data-symbol": symbol, "aria-selected": "false" },
      element("b", {}, symbol),
      element("span", { class: "name" }, [ticker && `(${ticker})`, name].filter(Boolean).join(" ")),
      element("span", { class: "state" }, stateOf(found)),
    );
  }

  activate(index) {
    this.active = index;
    const { options } = this;
    options.forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
    this.input.setAttribute("aria-activedescendant", options[index]?.id ?? "");
    options[index]?.scrollIntoView({ block: "nearest" });
  }

  async pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (!this.isOpen) await this.search("");
      const count = this.options.length;
      if (count > 0) this.activate((Math.max(this.active, step < 0 ? 0 : -1) + step + count) % count);
    } else if (event.key === "Enter") {
      event.preventDefault();
      await this.enter();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.close();
      this.input.select();
    }
  }

  /** Takes the chosen option; what was typed faster than the list came is searched for first. */
  async enter() {
    clearTimeout(this.typing);
    if (this.input.value !== this.value && this.input.value !== this.found) await this.search(this.input.value);
    if (this.isOpen) this.choose(this.options[this.active]);
  }

  choose(option) {
    if (!option) return;
    this.value = option.dataset.symbol;
    this.close();
    this.input.select();
    this.onChoose(option.dataset.symbol);
  }

  close() {
    clearTimeout(this.typing);
    this.turn += 1;
    this.found = undefined;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.list.hidden = true;
    this.input.value = this.value;
  }
}

function stateOf({ ended, tracked, market, first_session: first, last_session: last }) {
  if (last === null) return "no bars yet";
  if (ended) return `ended ${last}`;
  return tracked ? `since ${first}` : market === null ? `removed, bars to ${last}` : `since ${first}`;
}
