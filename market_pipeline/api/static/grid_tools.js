// The controls of the grid: table, number of rows, columns, filters, and commands that read what is shown.

import { element, replace } from "./dom.js";
import { COMMANDS } from "./grid_commands.js";
import { choicesOf, describeFilter, formatFilter, inputOf } from "./grid_filters.js";
import { emptyView, firstPage, rowsAddress, SIZES } from "./grid_view.js";

const KINDS = { table: "Tables", view: "Views", mart: "Marts" };
const FORMATS = ["csv", "parquet", "arrow"];
const COPIED_MS = 2_000;

export class GridTools {
  /** `onChange(view)`: called with the view that the controls describe. */
  constructor(section, onChange) {
    this.onChange = onChange;
    this.chooser = section.querySelector("form.choice");
    this.form = section.querySelector("form.filter");
    this.chips = section.querySelector(".chips");
    this.columns = section.querySelector(".columns");
    this.commands = section.querySelector(".commands");
    this.downloads = section.querySelector(".downloads");
    this.parts = [this.form, this.chips, this.columns, this.commands, this.downloads, this.chooser.elements.limit.closest("label")];
    this.chooser.elements.limit.replaceChildren(...SIZES.map((size) => element("option", { value: size }, String(size))));
    this.chooser.addEventListener("change", (event) => this.chosen(event));
    this.form.addEventListener("change", (event) => this.filterChanged(event));
    this.form.addEventListener("submit", (event) => this.added(event));
    this.chips.addEventListener("click", (event) => this.removed(event));
    this.commands.addEventListener("change", () => this.showCommand());
    this.commands.querySelector(".copy").addEventListener("click", () => this.copy());
  }

  show(tables, view, table) {
    const isOther = this.view?.table !== view.table;
    Object.assign(this, { view, table });
    const { table: chosen, limit } = this.chooser.elements;
    if (chosen.options.length !== tables.length + 1) replace(chosen, element("option", { value: "" }, "All tables"), ...drawGroups(tables));
    chosen.value = view.table;
    limit.value = view.size;
    for (const part of this.parts) part.hidden = !table;
    if (!table) return;
    if (isOther) {
      this.form.elements.column.replaceChildren(...table.columns.map(({ name }) => element("option", {}, name)));
      this.showChoices();
    }
    replace(this.chips, ...view.filters.map(drawChip));
    replace(this.columns.querySelector("fieldset"), ...table.columns.map(({ name }) => drawTick(name, view.columns?.includes(name) ?? true)));
    this.columns.querySelector(".shown").textContent = view.columns ? `${view.columns.length} of ${table.columns.length}` : "all";
    const links = FORMATS.map((format) => element("a", { href: rowsAddress(view, { format, whole: true }) }, format));
    replace(this.downloads, "All rows of these filters as ", ...links.flatMap((anchor, index) => (index ? [", ", anchor] : [anchor])));
    this.showCommand();
  }

  /** Puts a column into the form for filters, and the focus on its operator. */
  startFilter(column) {
    this.form.elements.column.value = column;
    this.showChoices();
    this.form.elements.operator.focus();
  }

  chosen({ target }) {
    const { table, limit } = this.chooser.elements;
    if (target === table) this.onChange(emptyView(table.value));
    else if (target === limit) this.onChange(firstPage({ ...this.view, size: Number(limit.value) }));
    else this.columnsChosen();
  }

  columnsChosen() {
    const ticked = [...this.columns.querySelectorAll("input:checked")].map(({ name }) => name.slice(1));
    const isAll = ticked.length === this.table.columns.length || ticked.length === 0;
    this.onChange({ ...this.view, columns: isAll ? null : ticked });
  }

  filterChanged({ target }) {
    if (target.name === "column") this.showChoices();
    if (target.name === "operator") this.showInput();
  }

  showChoices() {
    const { operator } = this.form.elements;
    operator.replaceChildren(...choicesOf(this.filtered).map(([name, label]) => element("option", { value: name }, label)));
    this.showInput();
  }

  showInput() {
    const { operator, value } = this.form.elements;
    const takesValue = !operator.value.startsWith("is.");
    Object.assign(value, inputOf(this.filtered, operator.value), { required: takesValue && this.filtered.type !== "text" });
    value.hidden = !takesValue;
    value.setAttribute("aria-label", `Value of ${this.filtered.name}`);
  }

  get filtered() {
    return this.table.columns.find(({ name }) => name === this.form.elements.column.value);
  }

  added(event) {
    event.preventDefault();
    const { operator, value } = this.form.elements;
    const filter = [this.filtered.name, formatFilter(operator.value, value.value)];
    value.value = "";
    this.onChange(firstPage({ ...this.view, filters: [...this.view.filters, filter] }));
  }

  removed(event) {
    const index = event.target.closest("button")?.dataset.index;
    if (index === undefined) return;
    this.onChange(firstPage({ ...this.view, filters: this.view.filters.filter((_, place) => place !== Number(index)) }));
    this.form.elements.column.focus();
  }

  showCommand() {
    const chosen = this.commands.querySelector("input:checked").value;
    this.commands.querySelector("code").textContent = COMMANDS[chosen](this.view);
  }

  /** Copies the command. Where the browser allows no copying, as over plain HTTP, it is selected instead. */
  async copy() {
    const code = this.commands.querySelector("code");
    const message = this.commands.querySelector(".copied");
    try {
      await navigator.clipboard.writeText(code.textContent);
      message.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(code);
      message.textContent = "Selected: copy it by the keyboard.";
    }
    setTimeout(() => (message.textContent = ""), COPIED_MS);
  }
}

function drawGroups(tables) {
  return Object.entries(KINDS).flatMap(([kind, label]) => {
    const options = tables.filter((table) => table.kind === kind).map(({ name }) => element("option", { value: name }, name));
    return options.length ? [element("optgroup", { label }, ...options)] : [];
  });
}

function drawChip([column, text], index) {
  const words = describeFilter(column, text);
  const remove = element("button", { type: "button", "data-index": index, "aria-label": `Remove ${words}` }, "×");
  return element("li", {}, element("span", { "data-filter": `${column}=${text}` }, words), remove);
}

// The name has a prefix, as a form's elements would otherwise hide those of the form that have a column's name.
const drawTick = (name, checked) =>
  element("label", {}, element("input", { type: "checkbox", name: `.${name}`, checked, "data-focus": `column ${name}` }), name);
