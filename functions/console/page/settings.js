// The view `settings`: the namespaces with their quotas.

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
  const quota = element("input", { type: "number", min: 1, placeholder: "no quota" });
  const save = element("button", { class: "main" }, "Save");
  const clear = element("button", { type: "button", class: "bad" }, "Delete every entry");
  call("GET", `${path}/quota`).then(({ max_entries: limit }) => { quota.value = limit; }, (error) => {
    // A namespace without a quota is the usual case.
    if (error.name !== "Nothing is stored there") notify(error.message);
  });
  const form = element("form", {
    onsubmit: (event) => {
      event.preventDefault();
      working(save, async () => {
        if (quota.value) await call("PUT", `${path}/quota`, { max_entries: Number(quota.value) });
        else await call("DELETE", `${path}/quota`);
        notify("The quota was saved.");
      });
    },
  }, field("Largest number of entries", quota), save);
  clear.onclick = async () => {
    if (!await confirmed("Every entry of this namespace will be deleted for good.", "Delete all")) return;
    await working(clear, async () => {
      const { deleted } = await call("DELETE", path);
      notify(`${deleted.toLocaleString()} entries were deleted.`);
    });
  };
  return [element("h2", {}, "Namespace ", stored(namespace, 200)),
    element("p", {}, element("a", { href: "#settings" }, "All namespaces")), form,
    element("div", { class: "buttons" }, clear)];
}
