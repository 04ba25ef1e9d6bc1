// The view `savings`: entries, hits and misses.

function savingsView() {
  const namespace = namespaceInput("", "all");
  const button = element("button", { class: "main" }, "Count");
  const result = element("div");
  const read = (pressed) => working(pressed, async () => {
    const counts = await call("GET", "v1/stats", { namespace: namespaceOf(namespace) });
    const hits = counts.hits_exact + counts.hits_semantic;
    result.replaceChildren(element("div", { class: "figures" },
      figure("hit rate", percent(hits, hits + counts.misses)), figure("hits", hits.toLocaleString()),
      figure("misses", counts.misses.toLocaleString()), figure("entries", counts.entries.toLocaleString()),
      figure("namespaces", counts.namespaces.toLocaleString()), figure("evicted", counts.evictions.toLocaleString()),
      figure("expired", counts.expirations.toLocaleString())),
    element("p", { class: "soft" }, "Functions write hits and misses up to a minute late."));
  });
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); read(button); } },
    field("Namespace", namespace), button);
  read(null);
  return [element("h2", {}, "Hits and misses"), form, result];
}
