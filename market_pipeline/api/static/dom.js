// Building of the document. Text is inserted as text only, so data is never parsed as markup.

/** An element with attributes (null and false are left out) and children: elements or text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A link; a URL that isn't http or https becomes plain text. */
export function link(address, attributes, ...children) {
  const safe = ["http:", "https:"].includes(new URL(address, document.baseURI).protocol);
  return safe ? element("a", { href: address, ...attributes }, ...children) : element("span", attributes, ...children);
}

/** Replaces a parent's children; the focus stays on the element with the same `data-focus`. */
export function replace(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.replaceChildren(...children);
  if (focused !== undefined) parent.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

/** Text as children; parts between backticks are shown as code. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

/** A term and its value, for a `dl`. */
export function fact(term, ...value) {
  return element("div", {}, element("dt", {}, term), element("dd", {}, ...value));
}
