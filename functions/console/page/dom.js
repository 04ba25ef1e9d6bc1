// Elements. A text only ever becomes a text node or an attribute, so no stored string can become markup.

/** Creates an element. `properties`: attributes, or functions for the events `onclick`, `onsubmit` and so on. */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Creates an element of a drawing (SVG 2, W3C). */
function drawing(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children.flat(Infinity));
  return node;
}

/** Characters of a stored text that are shown at first. */
const SHOWN_CHARACTERS = 2000;

/** A stored text in its own direction. A long one is cut, and a button shows the rest. */
function stored(text, limit = SHOWN_CHARACTERS) {
  if (text === null || text === undefined) return element("span", { class: "soft" }, "not stored");
  const span = element("span", { class: "stored", dir: "auto" }, text.length > limit ? text.slice(0, limit) + "…" : text);
  if (text.length <= limit) return span;
  const more = element("button", { type: "button", onclick: () => { span.textContent = text; more.remove(); } },
    `Show all ${text.length.toLocaleString()} characters`);
  return element("span", {}, span, " ", more);
}

/** A list of names and values. Pairs whose value is null are left out. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined);
  return element("dl", {}, shown.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

/** A table. `columns`: names, with `#` before those of numbers. `rows`: lists of texts or nodes. */
function table(columns, rows, empty) {
  if (rows.length === 0) return element("p", { class: "soft" }, empty);
  const kind = (column) => (column.startsWith("#") ? { class: "number" } : {});
  const head = columns.map((column) => element("th", { scope: "col", ...kind(column) }, column.replace("#", "")));
  const body = rows.map((row) => element("tr", {}, row.map((cell, at) => element("td", kind(columns[at]), cell))));
  return element("div", { class: "scroll" },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}

/** A labelled field of a form. */
function field(label, input, isWide = false) {
  return element("label", { class: isWide ? "wide" : null }, label, input);
}

/** A figure with its name. */
function figure(name, value) {
  return element("div", { class: "figure" }, element("b", {}, value), name);
}

/** The message that the next view starts with. */
let nextNotice = "";

/** Shows a message at the bottom of the page. */
function notify(message) {
  document.getElementById("notice").textContent = message;
}

/** Asks in a dialog. Returns whether the user confirmed. */
function confirmed(question, action) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const form = element("form", { method: "dialog" }, element("p", {}, question),
      element("div", { class: "buttons" },
        element("button", { class: "bad", value: "yes" }, action),
        element("button", { value: "no", autofocus: true }, "Keep")));
    dialog.replaceChildren(form);
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.returnValue = "no";
    dialog.showModal();
  });
}

/** A time in the reader's own time zone. `seconds`: epoch seconds. */
function time(seconds) {
  const date = new Date(seconds * 1000);
  return element("time", { datetime: date.toISOString() }, date.toLocaleString());
}

/** A share as a percentage; a dash if there is nothing to share. */
function percent(part, whole) {
  return whole === 0 ? "–" : `${(100 * part / whole).toFixed(1)} %`;
}

/** The JSON value in a text that the user wrote. `what`: what it is, for the message. */
function parsedObject(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem("JSON", `${what} is no JSON (${error.message})`, "write an object");
  }
}
