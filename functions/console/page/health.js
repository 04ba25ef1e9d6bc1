// The view `health`: what works, and the vacuum.

function healthView() {
  const result = element("div");
  const again = element("button", { type: "button", onclick: () => examine(again) }, "Examine again");
  const vacuum = element("button", { type: "button", onclick: () => vacuumAll(vacuum, done) }, "Vacuum");
  const done = element("div");
  const examine = (pressed) => working(pressed, async () => {
    const health = await call("GET", "v1/health");
    result.replaceChildren(element("section", { class: "card" },
      element("h3", { class: health.healthy ? "good" : "bad" }, health.healthy ? "Healthy" : "Not healthy"),
      element("ul", {}, health.problems.map((problem) => element("li", {}, stored(problem)))),
      facts([
        ["Version", health.version],
        ["Table", health.table_reachable ? "reachable" : "not reachable"],
        ["Schema", health.schema_ok ? "as required" : "not as required"],
        ["Embedder", stored(health.embedder_fingerprint ?? "none is stamped")],
        ["Dimensions", health.embedder_dim === null ? null : String(health.embedder_dim)],
        ["Embedder works", health.embedder_works === null ? null : String(health.embedder_works)]])));
  });
  examine(null);
  return [element("h2", {}, "Health"), result, element("div", { class: "buttons" }, again, vacuum), done];
}

/** Vacuums call by call until no work is left. */
function vacuumAll(button, place) {
  return working(button, async () => {
    const total = {};
    let cursor = null;
    do {
      const pass = await call("POST", "v1/vacuum", { cursor });
      for (const [name, amount] of Object.entries(pass)) {
        if (typeof amount === "number") total[name] = (total[name] ?? 0) + amount;
      }
      cursor = pass.cursor;
      place.replaceChildren(element("h3", {}, cursor === null ? "The vacuum is done" : "The vacuum goes on…"),
        facts(Object.entries(total).map(([name, amount]) => [words(name), amount.toLocaleString()])));
    } while (cursor !== null);
  });
}
