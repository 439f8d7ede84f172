// Entry: loads the small modules with the same stamp as this file, so that no old one is mixed in.
const stamp = new URL(import.meta.url).search;
const load = (name) => import(`./${name}.js${stamp}`);

const page = await load("page");
const parts = await Promise.all(["menus", "copy", "search", "suggest", "keys", "fragments", "editor", "bulk", "documents", "calendar", "picker", "review", "assist"].map(load));
for (const part of parts) part.start(page);
document.documentElement.dataset.ready = "";

// Filters of figures show at once what was chosen; without a script their button does it.
for (const form of document.querySelectorAll("[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
