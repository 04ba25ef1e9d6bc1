// Calls of the cache's HTTP API, which has the same origin as this page.

/** An error of the cache, or of what answers in its place. */
class Problem extends Error {
  constructor(name, detail, remediation) {
    super(remediation ? `${detail}: ${remediation}` : detail);
    this.name = name;
  }
}

/** What proves who calls. It stays in the memory of this page: a reload forgets it. */
const caller = { token: "" };

/**
 * Calls the API. `path`: below the page's own folder, with parameters already encoded. `fields`: the query of a GET or
 * DELETE, the body of another method; fields that are empty are left out.
 */
async function call(method, path, fields = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  const sent = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const hasBody = method !== "GET" && method !== "DELETE";
  if (!hasBody) sent.forEach(([name, value]) => url.searchParams.set(name, value));
  const headers = hasBody ? { "content-type": "application/json" } : {};
  if (caller.token) headers.authorization = `Bearer ${caller.token}`;
  const body = hasBody ? JSON.stringify(Object.fromEntries(sent)) : undefined;
  let response;
  try {
    response = await fetch(url, { method, headers, body });
  } catch (error) {
    throw new Problem("Unreachable", `the cache was not reached (${error.message})`, "check the network and try again");
  }
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Problem("Gateway", `an answer with the status ${response.status} that is no JSON`, "try again");
  }
  const isExamination = path === "v1/health" && typeof value.healthy === "boolean";
  if (response.ok || isExamination) return value;
  if (typeof value.detail === "string") throw new Problem(value.title, value.detail, value.remediation);
  const isRefused = response.status === 401 || response.status === 403;
  throw new Problem("Gateway", `${response.status}: ${value.message ?? value.Message ?? "no reason"}`,
    isRefused ? "give a token with the button Caller" : "try again");
}

/** A value in a path. */
function encoded(value) {
  return encodeURIComponent(value);
}

/** Runs `work` while `button` is disabled, and shows its failure. */
async function working(button, work) {
  if (button) {
    button.disabled = true;
    notify("");
  }
  try {
    return await work();
  } catch (error) {
    notify(error instanceof Problem ? error.message : `the page failed: ${error.message}`);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** Lets the user give a token. */
function editCaller() {
  const dialog = document.getElementById("dialog");
  const token = element("input", { type: "password", autocomplete: "off", value: caller.token });
  const form = element("form", {
    method: "dialog",
    onsubmit: () => { caller.token = token.value.trim(); route(); },
  },
  element("h2", {}, "Who calls"),
  element("p", {}, "A bearer token for the cache's authoriser. It stays in the memory of this page."),
  field("Token", token),
  element("div", { class: "buttons" }, element("button", { class: "main" }, "Use"),
    element("button", { type: "button", onclick: () => dialog.close() }, "Cancel")));
  dialog.replaceChildren(form);
  dialog.onclose = null;
  dialog.showModal();
}

/** An input for a namespace, with those of the cache as suggestions. */
function namespaceInput(value = "", placeholder = "") {
  const list = element("datalist", { id: "namespaces" });
  const input = element("input", { list: "namespaces", value, placeholder, autocomplete: "off", dir: "auto" });
  input.onfocus = async () => {
    input.onfocus = null;
    try {
      const { namespaces } = await call("GET", "v1/namespaces");
      list.replaceChildren(...namespaces.slice(0, 1000).map(({ namespace }) => element("option", { value: namespace })));
    } catch { /* The suggestions are a convenience: any name can be typed. */ }
  };
  return element("span", { class: "field" }, input, list);
}

/** The text in a `namespaceInput`. */
function namespaceOf(wrapped) {
  return wrapped.querySelector("input").value;
}
