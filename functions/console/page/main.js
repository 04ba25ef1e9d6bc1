// The views, and the way from one to another.

const VIEWS = {
  ask: ["Ask", askView],
  entries: ["Entries", entriesView],
  savings: ["Hits", savingsView],
  settings: ["Namespaces", settingsView],
  health: ["Health", healthView],
};

/** Shows the view that the address names: `#view` or `#view/argument`. */
function route() {
  const hash = location.hash.slice(1);
  const slash = hash.indexOf("/");
  const name = slash < 0 ? hash : hash.slice(0, slash);
  const chosen = Object.hasOwn(VIEWS, name) ? name : "ask";
  let argument;
  try {
    argument = slash < 0 ? undefined : decodeURIComponent(hash.slice(slash + 1));
  } catch { /* An address that somebody typed: the view shows its start. */ }
  const [title, view] = VIEWS[chosen];
  notify(nextNotice);
  nextNotice = "";
  document.title = `${title} · mneme console`;
  document.getElementById("tabs").replaceChildren(...Object.entries(VIEWS).map(([key, [label]]) =>
    element("a", { href: `#${key}`, "aria-current": key === chosen ? "page" : null }, label)));
  document.getElementById("view").replaceChildren(...view(argument));
  document.querySelector("[data-main]")?.focus();
}

/** Digits choose a view and `/` the first field, unless the user is typing. */
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select") || document.getElementById("dialog").open;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const chosen = Object.keys(VIEWS)[Number(event.key) - 1];
  if (chosen) location.hash = `#${chosen}`;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("main input, main textarea")?.focus();
  }
});

document.getElementById("caller").onclick = editCaller;
addEventListener("hashchange", route);
route();
