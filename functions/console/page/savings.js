// The view `savings`: entries, hits and misses over time, and what the hits saved.

function savingsView() {
  const namespace = namespaceInput("", "all");
  const range = element("select", {}, element("option", { value: "hour" }, "the last day by hour"),
    element("option", { value: "day" }, "the last 30 days by day"));
  const button = element("button", { class: "main" }, "Count");
  const result = element("div");
  const read = (pressed) => working(pressed, async () => {
    const asked = { namespace: namespaceOf(namespace) };
    const [counts, series] = await Promise.all([
      call("GET", "v1/stats", asked), call("GET", "v1/stats", { ...asked, by: range.value })]);
    result.replaceChildren(...overTime(series), ...sinceTheStart(counts));
  });
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); read(button); } },
    field("Namespace", namespace), field("Range", range), button);
  read(null);
  return [element("h2", {}, "Hits and misses"), form, result];
}

function sinceTheStart(counts) {
  return [
    element("h3", {}, "Since the start"),
    element("div", { class: "figures" },
      figure("hit rate", percent(counts.hits, counts.hits + counts.misses)), figure("hits", counts.hits.toLocaleString()),
      figure("misses", counts.misses.toLocaleString()), figure("entries", counts.entries.toLocaleString()),
      figure("namespaces", counts.namespaces.toLocaleString()), figure("evicted", counts.evictions.toLocaleString()),
      figure("expired", counts.expirations.toLocaleString())),
    element("p", { class: "soft" }, "Functions write hits and misses up to a minute late.")];
}

function overTime(series) {
  const { total } = series;
  const saved = total.saved;
  const reasons = Object.entries(total.misses_by_reason).sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => [words(reason), count.toLocaleString(), percent(count, total.misses)]);
  return [
    element("div", { class: "figures" },
      figure("hit rate", percent(total.hits, total.hits + total.misses)), figure("hits", total.hits.toLocaleString()),
      figure("misses", total.misses.toLocaleString()),
      figure("tokens saved", (saved.prompt_tokens + saved.completion_tokens).toLocaleString()),
      figure("seconds saved", Math.round(saved.seconds).toLocaleString()),
      saved.hits_with_cost > 0 ? figure("money saved", saved.cost.toLocaleString(undefined, { maximumFractionDigits: 4 })) : null),
    chart(series),
    saved.hits_with_usage < total.hits
      ? element("p", { class: "soft" }, `${(total.hits - saved.hits_with_usage).toLocaleString()} hits have no usage, and count for no tokens.`)
      : null,
    element("h3", {}, "Why it missed"), table(["Reason", "#Misses", "#Share"], reasons, "There was no miss."),
  ].filter((part) => part !== null);
}

const CHART_WIDTH = 960;
const CHART_HEIGHT = 200;
/** The most periods that are drawn each as a bar. */
const MAX_BARS = 400;

/** A bar for each period: hits below, misses above. A period without lookups is a gap. */
function chart({ from, to, by, periods }) {
  const length = by === "hour" ? 3600 : 86_400;
  const bars = Math.min(MAX_BARS, Math.max(1, Math.round((to - from) / length)));
  const most = Math.max(1, ...periods.map(({ hits, misses }) => hits + misses));
  const width = CHART_WIDTH / bars;
  const drawn = periods.flatMap(({ start, hits, misses }) => {
    const x = Math.round((start - from) / length) * width;
    const scale = CHART_HEIGHT / most;
    const label = `${new Date(start * 1000).toLocaleString()}: ${hits} hits, ${misses} misses`;
    const bar = (kind, y, height) => drawing("rect",
      { class: kind, x, y, width: Math.max(1, width - 1), height }, drawing("title", {}, label));
    return [bar("miss", CHART_HEIGHT - (hits + misses) * scale, misses * scale),
      bar("hit", CHART_HEIGHT - hits * scale, hits * scale)];
  });
  return drawing("svg", {
    viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `Lookups by ${by}: ${periods.length} periods, at most ${most} lookups in one`,
  }, drawn);
}
