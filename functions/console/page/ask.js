// The view `ask`: a question with the whole explanation of its outcome.

function askView() {
  const question = element("textarea", { required: true, autofocus: true, dir: "auto", "data-main": true });
  const namespace = namespaceInput("", "default");
  const context = element("input", { placeholder: '{"model": "small"}', autocomplete: "off" });
  const threshold = element("input", { type: "number", min: -1, max: 1, step: "any", placeholder: "as configured" });
  const button = element("button", { class: "main" }, "Ask");
  const result = element("div", { "aria-live": "polite" });
  const ask = () => working(button, async () => {
    const fields = { query: question.value, namespace: namespaceOf(namespace), explain: true };
    if (threshold.value) fields.threshold = Number(threshold.value);
    if (context.value) fields.context = parsedObject(context.value, "the context");
    result.replaceChildren(...outcome(await explainedLookup(fields), fields));
  });
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); ask(); } },
    field("Question", question, true), field("Namespace", namespace), field("Context (JSON)", context),
    field("Threshold", threshold), button);
  question.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  return [element("h2", {}, "Ask"), form,
    element("p", { class: "soft" }, "Ctrl and Enter ask. A question asked here counts as a lookup."), result];
}

/** A lookup with its explanation; without it, if the caller may not have one. */
async function explainedLookup(fields) {
  try {
    return await call("POST", "v1/lookup", fields);
  } catch (error) {
    if (!error.message.includes("explain")) throw error;
    notify(error.message);
    return call("POST", "v1/lookup", { ...fields, explain: false });
  }
}

/** `asked`: the fields of the lookup. */
function outcome(reply, asked) {
  const head = reply.outcome === "hit"
    ? [element("h3", { class: "good" }, `Hit in the ${reply.layer} layer`),
      facts([
        ["Entry", entryLink(reply.id)], ["Stored question", stored(reply.query)],
        ["Similarity", reply.similarity.toFixed(4)], ["Confidence", reply.confidence.toFixed(4)],
        ["Age", `${reply.age_seconds} s`]]),
      element("h3", {}, "Answer"), stored(reply.response), verdictButtons(reply.id, asked)]
    : [element("h3", { class: "warn" }, `Miss: ${words(reply.reason)}${reply.veto ? ` (${words(reply.veto)})` : ""}`),
      facts([["Best similarity", reply.best_similarity?.toFixed(4)]])];
  return [element("section", { class: "card" }, head), ...explanation(reply.explanation, asked)];
}

function explanation(explained, asked) {
  if (!explained) return [];
  const { question, rules, candidates, complete, other_context: other } = explained;
  const rows = candidates.map((candidate) => [
    entryLink(candidate.id), stored(candidate.query, 200), candidate.layer, candidate.similarity.toFixed(4),
    candidate.confidence.toFixed(4), verdict(candidate), evidence(candidate.features),
    verdictButtons(candidate.id, asked)]);
  return [
    element("section", {},
      element("h3", {}, "What was compared"),
      facts([
        ["Text", stored(question.text)], ["Context key", question.context_key ?? "none"],
        ["Kind", question.follow_up ? "follow-up message, whose history must agree" : "self-contained question"],
        ["Threshold", rules.threshold.toFixed(4)], ["Cutoff", String(rules.cutoff)], ["Guard", rules.guard]])),
    other ? element("p", { class: "card warn" }, "An equal question has another context or other system messages: entry ",
      entryLink(other.id), ", context key ", other.context_key ?? "none", ".") : null,
    element("section", {},
      element("h3", {}, "Candidates"),
      table(["Entry", "Stored question", "Layer", "#Similarity", "#Confidence", "Decision", "Evidence", "Its answer is"],
        rows,
        "No entry was compared."),
      complete ? null : element("p", { class: "soft" }, "A nearer entry may be missing here: not all were compared.")),
  ].filter((part) => part !== null);
}

/** What follows from feedback, by its effect. */
const EFFECTS = {
  barred: "it is not served for it any more",
  aliased: "the exact layer finds it from now on",
  none: "the question has an answer of its own",
};

/** Buttons that say whether the answer of an entry is right for the question that was asked. */
function verdictButtons(id, { query, namespace, context }) {
  const button = (label, right) => {
    const pressed = element("button", { type: "button" }, label);
    pressed.onclick = () => working(pressed, async () => {
      const { effect } = await call("POST", "v1/feedback", { query, namespace, context, id, right });
      notify(`Entry ${id} was called ${right ? "right" : "wrong"} for this question: ${EFFECTS[effect] ?? words(effect)}.`);
    });
    return pressed;
  };
  return element("div", { class: "buttons" }, button("Right", true), button("Wrong", false));
}

function verdict({ served, reason, veto }) {
  if (served) return element("span", { class: "good" }, "served");
  if (!reason) return "could be served; a more similar one was";
  return element("span", { class: "warn" }, veto ? `${words(reason)}: ${words(veto)}` : words(reason));
}

function evidence(features) {
  const names = Object.entries(features ?? {}).sort(([, a], [, b]) => Math.abs(b) - Math.abs(a));
  if (names.length === 0) return "";
  return element("details", {}, element("summary", {}, `${names.length} features`),
    facts(names.map(([name, value]) => [words(name), value.toFixed(3)])));
}

function entryLink(id) {
  return element("a", { href: `#entries/${id}` }, String(id));
}

/** The words of a name of the API. */
function words(name) {
  return name.replaceAll("_", " ");
}
