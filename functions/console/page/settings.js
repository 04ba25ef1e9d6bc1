// The view `settings`: the namespaces, and the settings of one.

/** The settings of a namespace: name, label, and the attributes of the input or the choices. */
const NAMESPACE_SETTINGS = [
  ["threshold", "Least similarity", { min: -1, max: 1, step: "any" }],
  ["cutoff", "Least confidence", { min: 0, max: 1, step: "any" }],
  ["guard", "Guard", ["on", "off"]],
  ["layers", "Layers", ["all", "exact"]],
  ["cross_language", "Answers in another language", ["true", "false"]],
  ["default_ttl_seconds", "Seconds that an entry lives", { min: 1 }],
  ["max_answer_age", "Greatest age of an answer in seconds", { min: 1 }],
  ["max_entries", "Largest number of entries", { min: 1 }],
];

function settingsView(chosen) {
  return chosen === undefined ? namespacesView() : namespaceView(chosen);
}

function namespacesView() {
  const place = element("div");
  working(null, async () => {
    const { namespaces } = await call("GET", "v1/namespaces");
    const rows = namespaces.map(({ namespace, entries }) => [stored(namespace, 200), entries.toLocaleString(),
      element("a", { href: `#settings/${encoded(namespace)}` }, "Open")]);
    place.replaceChildren(table(["Namespace", "#Entries", ""], rows, "No namespace has entries."));
  });
  return [element("h2", {}, "Namespaces"), place];
}

function namespaceView(namespace) {
  const path = `v1/namespaces/${encoded(namespace)}`;
  const place = element("div");
  const clear = element("button", { type: "button", class: "bad" }, "Delete every entry");
  const purge = element("button", { type: "button", class: "bad" }, "Purge");
  const show = (reply) => place.replaceChildren(settingsForm(`${path}/settings`, reply, show));
  working(null, async () => show(await call("GET", `${path}/settings`)));
  clear.onclick = () => removeAll(clear, path, {}, "Every entry of this namespace will be deleted for good.", "Delete all");
  purge.onclick = () => removeAll(purge, path, { purge: true },
    "Every entry of this namespace will be deleted for good, with its settings, its counts and what else names it.", "Purge");
  return [element("h2", {}, "Namespace ", stored(namespace, 200)),
    element("p", {}, element("a", { href: "#settings" }, "All namespaces")), place,
    element("div", { class: "buttons" }, clear, purge)];
}

/** Deletes the entries of a namespace, once the user has confirmed it. */
async function removeAll(button, path, fields, question, action) {
  if (!await confirmed(question, action)) return;
  await working(button, async () => {
    const { deleted } = await call("DELETE", path, fields);
    notify(`${deleted.toLocaleString()} entries were deleted.`);
  });
}

/** A form of the settings. An empty field leaves the setting to the configuration, whose value it shows. */
function settingsForm(path, { settings, effective }, show) {
  const inputs = NAMESPACE_SETTINGS.map(([name, label, kind]) => [name, label, settingInput(settings[name], effective[name], kind)]);
  const save = element("button", { class: "main" }, "Save");
  const reset = element("button", { type: "button" }, "Reset all");
  reset.onclick = () => working(reset, async () => {
    show(await call("DELETE", path));
    notify("The configuration applies to this namespace again.");
  });
  return element("form", {
    onsubmit: (event) => {
      event.preventDefault();
      working(save, async () => {
        const chosen = inputs.map(([name, , input]) => [name, settingValue(name, input.value)]);
        show(await call("PUT", path, Object.fromEntries(chosen)));
        notify("The settings were saved.");
      });
    },
  }, inputs.map(([, label, input]) => field(label, input)), element("div", { class: "buttons" }, save, reset));
}

/** `own`: what the namespace sets. `effective`: what applies without it, if it sets nothing. */
function settingInput(own, effective, kind) {
  const isSet = own !== null && own !== undefined;
  const fallback = effective === null ? "none" : String(effective);
  if (!Array.isArray(kind)) {
    return element("input", { type: "number", value: isSet ? own : null, placeholder: isSet ? "" : fallback, ...kind });
  }
  const options = kind.map((value) => element("option", { value, selected: isSet && String(own) === value }, value));
  return element("select", {}, element("option", { value: "" }, isSet ? "as configured" : `as configured: ${fallback}`), options);
}

function settingValue(name, text) {
  if (text === "") return null;
  if (name === "cross_language") return text === "true";
  return name === "guard" || name === "layers" ? text : Number(text);
}
