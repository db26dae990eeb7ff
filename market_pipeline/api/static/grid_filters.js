// Filters of a table: the operators of a column as choices, and a filter's text from a choice and a value.

// Of each of the API's operators the choices: text before the value, label, and true if a value follows.
const CHOICES = {
  eq: [["eq", "=", true]],
  neq: [["neq", "≠", true]],
  gt: [["gt", ">", true]],
  gte: [["gte", "≥", true]],
  lt: [["lt", "<", true]],
  lte: [["lte", "≤", true]],
  in: [["in", "is one of", true], ["not.in", "is none of", true]],
  like: [["like", "is like", true], ["not.like", "is not like", true]],
  ilike: [["ilike", "is like, in any case", true]],
  cs: [["cs", "contains", true], ["not.cs", "lacks", true]],
  is: [["is.null", "is NULL", false], ["is.not_null", "is not NULL", false]],
};
const TRUTHS = [["is.true", "is true", false], ["is.false", "is false", false]];
const EXAMPLES = { in: "AAPL, BRK.B", like: "A*", ilike: "a*", cs: "unexplained_move" };

/** The choices for a column, as [name, label, takes a value]. */
export function choicesOf(column) {
  const truths = column.type === "boolean" ? TRUTHS : [];
  return [...truths, ...column.operators.flatMap((operator) => CHOICES[operator] ?? [])];
}

/** The form of a value: the type of its input, and an example. */
export function inputOf(column, name) {
  const plain = ["eq", "neq", "gt", "gte", "lt", "lte"].includes(name);
  const type = plain && column.type === "date" ? "date" : "text";
  return { type, placeholder: EXAMPLES[name.replace("not.", "")] ?? exampleOf(column.type) };
}

function exampleOf(type) {
  if (type.startsWith("timestamp")) return "2024-01-31T12:00:00Z";
  return isNumber(type) ? "100" : "";
}

export const isNumber = (type) => ["double precision", "numeric", "bigint", "integer", "smallint", "real"].includes(type);

/** The filter's text: `gte.2024-01-01`, `in.("AAPL","BRK.B")`. */
export function formatFilter(name, value) {
  const text = value.trim();
  if (name.endsWith("in")) return `${name}.(${text.split(",").map((part) => quote(part.trim())).join(",")})`;
  if (name.endsWith("cs")) return `${name}.{${text}}`;
  return name.startsWith("is.") ? name : `${name}.${text}`;
}

/** A filter in words: "date ≥ 2024-01-01". One that no choice makes is shown as it is. */
export function describeFilter(column, text) {
  const choices = [...Object.values(CHOICES).flat(), ...TRUTHS];
  const found = choices.find(([name, , takesValue]) => (takesValue ? text.startsWith(`${name}.`) : text === name));
  if (!found) return `${column}=${text}`;
  const [name, label, takesValue] = found;
  if (!takesValue) return `${column} ${label}`;
  const value = text.slice(name.length + 1);
  const isList = name.endsWith("in") || name.endsWith("cs");
  return `${column} ${label} ${isList ? value.replace(/^[({]|[)}]$/g, "").replaceAll('"', "").replaceAll(",", ", ") : value}`;
}

const quote = (value) => `"${value.replace(/["\\]/g, "\\$&")}"`;
