// The view `entries`: find, open and delete stored answers.

const PAGE_ENTRIES = 50;

function entriesView(id) {
  return id ? entryView(id) : listView();
}

function listView() {
  const namespace = namespaceInput("", "all");
  const order = element("select", {}, element("option", { value: "id" }, "oldest first"),
    element("option", { value: "lru" }, "least recently used first"));
  const button = element("button", { class: "main" }, "List");
  const rows = element("tbody");
  const more = element("button", { type: "button", hidden: true }, "More");
  const count = element("p", { class: "soft" });
  let cursor = null;
  let shown = 0;
  const read = (pressed) => working(pressed, async () => {
    const page = await call("GET", "v1/entries",
      { namespace: namespaceOf(namespace), order: order.value, limit: PAGE_ENTRIES, cursor });
    rows.append(...page.entries.map(entryRow));
    shown += page.entries.length;
    cursor = page.cursor;
    more.hidden = cursor === null;
    count.textContent = `${shown.toLocaleString()} entries${cursor === null ? ", all" : ", and more"}`;
  });
  const restart = (pressed) => {
    rows.replaceChildren();
    [cursor, shown] = [null, 0];
    return read(pressed);
  };
  more.onclick = () => read(more);
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); restart(button); } },
    field("Namespace", namespace), field("Order", order), button);
  const head = ["Id", "Namespace", "Question", "Answer", "Uses", "Created"];
  restart(null);
  return [element("h2", {}, "Entries"), form,
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, head.map((name) => element("th", { scope: "col" }, name)))), rows)),
    count, more];
}

function entryRow(entry) {
  const cells = [entryLink(entry.id), stored(entry.namespace, 60), stored(entry.query, 200), stored(entry.response, 120),
    String(entry.access_count), time(entry.created_at)];
  return element("tr", {}, cells.map((cell) => element("td", {}, cell)));
}

function entryView(id) {
  const place = element("div", {}, element("p", {}, "Reading…"));
  working(null, async () => {
    const entry = await call("GET", `v1/entries/${encoded(id)}`);
    place.replaceChildren(...entryDetails(entry));
  }).then(() => { if (place.textContent === "Reading…") place.replaceChildren(element("p", {}, "There is nothing to show.")); });
  return [element("h2", {}, `Entry ${id}`), element("p", {}, element("a", { href: "#entries" }, "All entries")), place];
}

function entryDetails(entry) {
  const remove = element("button", { type: "button", class: "bad" }, "Delete");
  remove.onclick = async () => {
    if (!await confirmed(`Entry ${entry.id} will be deleted for good.`, "Delete")) return;
    await working(remove, async () => {
      await call("DELETE", `v1/entries/${entry.id}`);
      nextNotice = `Entry ${entry.id} was deleted.`;
      location.hash = "#entries";
    });
  };
  return [
    element("section", { class: "card" }, facts([
      ["Namespace", stored(entry.namespace)], ["Question", stored(entry.query)],
      ["Metadata", stored(JSON.stringify(entry.metadata))], ["Trust", String(entry.confidence_score)],
      ["Created", time(entry.created_at)], ["Expires", entry.expires_at ? time(entry.expires_at) : "never"],
      ["Used", element("span", {}, `${entry.access_count} times, last at `, time(entry.last_accessed_at))],
      ["Stored by", entry.stored_by ? stored(entry.stored_by) : null]])),
    element("h3", {}, "Answer"), element("section", { class: "card" }, stored(entry.response)),
    element("div", { class: "buttons" }, remove)];
}
