// The view `entries`: find, open, change and delete stored answers.

const PAGE_ENTRIES = 50;
/** What the list shows. It leaves out the answers, which can be long. */
const LISTED_FIELDS = "id,namespace,query,created_at,last_accessed_at,access_count";

function entriesView(id) {
  return id ? entryView(id) : listView();
}

function listView() {
  const namespace = namespaceInput("", "all");
  const text = element("input", { placeholder: "any", autocomplete: "off", dir: "auto" });
  const metadata = element("input", { placeholder: "source=handbook", autocomplete: "off", dir: "auto" });
  const since = element("input", { type: "datetime-local" });
  const before = element("input", { type: "datetime-local" });
  const order = element("select", {}, element("option", { value: "id" }, "oldest first"),
    element("option", { value: "lru" }, "least recently used first"));
  const button = element("button", { class: "main" }, "List");
  const rows = element("tbody");
  const more = element("button", { type: "button", hidden: true }, "More");
  const count = element("p", { class: "soft" });
  let cursor = null;
  let shown = 0;
  /** The number of the list that is shown. What still arrives for an earlier one is dropped. */
  let list = 0;
  const filters = () => ({
    namespace: namespaceOf(namespace), text: text.value, created_since: seconds(since), created_before: seconds(before),
    ...metadataFilter(metadata.value), order: order.value, limit: PAGE_ENTRIES, fields: LISTED_FIELDS, cursor,
  });
  const read = (pressed) => working(pressed, async () => {
    const mine = list;
    // A page ends early where a filter leaves much out: read on until it has something to show.
    do {
      const page = await call("GET", "v1/entries", filters());
      if (mine !== list) return;
      rows.append(...page.entries.map(entryRow));
      shown += page.entries.length;
      cursor = page.cursor;
      more.hidden = cursor === null;
      count.textContent = `${shown.toLocaleString()} entries${cursor === null ? ", all" : ", and more"}`;
      if (page.entries.length > 0) break;
    } while (cursor !== null);
  });
  const restart = (pressed) => {
    rows.replaceChildren();
    [cursor, shown] = [null, 0];
    list += 1;
    return read(pressed);
  };
  more.onclick = () => read(more);
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); restart(button); } },
    field("Namespace", namespace), field("Text of the question", text), field("Metadata (key=value)", metadata),
    field("Put since", since), field("Put before", before), field("Order", order), button);
  const head = ["Id", "Namespace", "Question", "Uses", "Created", "Last used"];
  restart(null);
  return [element("h2", {}, "Entries"), form,
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, head.map((name) => element("th", { scope: "col" }, name)))), rows)),
    count, more];
}

/** The epoch second in an input of a time; empty without one. */
function seconds(input) {
  return input.value ? Math.floor(new Date(input.value).getTime() / 1000) : "";
}

/** The parameter of a filter `key=value`. */
function metadataFilter(text) {
  if (text === "") return {};
  const at = text.indexOf("=");
  if (at < 1) throw new Problem("Filter", "the filter of the metadata has no key and value", "write key=value");
  return { [`metadata.${text.slice(0, at)}`]: text.slice(at + 1) };
}

function entryRow(entry) {
  const cells = [entryLink(entry.id), stored(entry.namespace, 60), stored(entry.query, 200), String(entry.access_count),
    time(entry.created_at), time(entry.last_accessed_at)];
  return element("tr", {}, cells.map((cell) => element("td", {}, cell)));
}

function entryView(id) {
  const place = element("div", {}, element("p", {}, "Reading…"));
  const show = (entry) => place.replaceChildren(...entryDetails(entry, show));
  working(null, async () => show(await call("GET", `v1/entries/${encoded(id)}`)))
    .then(() => { if (place.textContent === "Reading…") place.replaceChildren(element("p", {}, "There is nothing to show.")); });
  return [element("h2", {}, `Entry ${id}`), element("p", {}, element("a", { href: "#entries" }, "All entries")), place];
}

/** An entry as a whole. `show`: shows the entry again after a change. */
function entryDetails(entry, show) {
  const change = element("button", { type: "button" }, "Change");
  const remove = element("button", { type: "button", class: "bad" }, "Delete");
  const place = element("div");
  change.onclick = () => place.replaceChildren(entryForm(entry, show, () => place.replaceChildren()));
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
      ["Metadata", stored(JSON.stringify(entry.metadata))], ["Tags", tagList(entry.tags)],
      ["Trust", String(entry.confidence_score)],
      ["Created", time(entry.created_at)], ["Expires", entry.expires_at ? time(entry.expires_at) : "never"],
      ["Used", element("span", {}, `${entry.access_count} times, last at `, time(entry.last_accessed_at))],
      ["Model", entry.usage?.model ? stored(entry.usage.model, 200) : null],
      ["Stored by", entry.stored_by ? stored(entry.stored_by) : null]])),
    element("h3", {}, "Answer"), element("section", { class: "card" }, stored(entry.response)),
    element("div", { class: "buttons" }, change, remove), place];
}

function tagList(tags) {
  return tags && tags.length > 0 ? tags.map((tag) => [stored(tag, 100), " "]) : null;
}

/** A form that changes parts of an entry. What stays as it was is not sent. */
function entryForm(entry, show, close) {
  const response = element("textarea", { required: true, dir: "auto" });
  response.value = entry.response;
  const metadata = element("textarea", { dir: "auto" });
  metadata.value = JSON.stringify(entry.metadata);
  const trust = element("input", { type: "number", min: 0, max: 1, step: "any", value: entry.confidence_score });
  const ttl = element("input", { type: "number", min: 1, placeholder: "as it is" });
  const forever = element("input", { type: "checkbox" });
  const save = element("button", { class: "main" }, "Save");
  const changes = () => {
    const changed = {};
    if (response.value !== entry.response) changed.response = response.value;
    const parsed = parsedObject(metadata.value, "the metadata");
    if (JSON.stringify(parsed) !== JSON.stringify(entry.metadata)) changed.metadata = parsed;
    if (trust.value !== "" && Number(trust.value) !== entry.confidence_score) changed.confidence_score = Number(trust.value);
    if (forever.checked) changed.never_expires = true;
    else if (ttl.value) changed.ttl_seconds = Number(ttl.value);
    return changed;
  };
  return element("form", {
    onsubmit: (event) => {
      event.preventDefault();
      working(save, async () => {
        const changed = changes();
        if (Object.keys(changed).length === 0) throw new Problem("Change", "nothing is changed", "change a field first");
        show(await call("PATCH", `v1/entries/${entry.id}`, changed));
        notify(`Entry ${entry.id} was changed.`);
      });
    },
  },
  field("Answer", response, true), field("Metadata (JSON)", metadata, true), field("Trust", trust),
  field("Seconds from now that it lives", ttl), field("Never expires", forever),
  element("div", { class: "buttons" }, save, element("button", { type: "button", onclick: close }, "Cancel")));
}
