// Keys for what a call needs: find, walk, open, copy.
export function start(page) {
  const field = document.querySelector("form[data-find] input[name=q]");
  const help = document.getElementById("keys");
  if (!field) return;
  document.querySelector("[data-keys]")?.addEventListener("click", () => {
    document.getElementById("person").hidePopover();
    help.showModal();
  });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return; // suggestions take theirs first
    if (event.key === "Escape") {
      event.preventDefault();
      field.blur();
    }
    if (event.key === "ArrowDown" && walk(1)) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return;
    const act = {
      "/": () => (field.focus(), field.select(), true),
      j: () => walk(1),
      k: () => walk(-1),
      c: () => settled(() => press("[data-copy]")),
      d: () => press("a[data-deal-picker]", document),
      "?": () => (help.showModal(), true),
    }[event.key];
    if (act?.()) event.preventDefault();
  });
}

const hits = () => [...document.querySelectorAll("[data-hit]")];
const current = () => document.activeElement?.closest("[data-hit], .section");

function walk(step) {
  const all = hits();
  if (!all.length) return false;
  const at = all.indexOf(current());
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  const link = next.querySelector("[data-hit-link]");
  link.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

// Results on their way: act on those, not on what still stands there.
function settled(act) {
  if (!document.querySelector('main[aria-busy="true"], [data-live-results][aria-busy="true"]')) return act();
  document.addEventListener("settled", act, { once: true });
  return true;
}

function press(selector, place = current() ?? hits()[0] ?? document) {
  const found = [...place.querySelectorAll(selector)].find((button) => button.offsetParent !== null);
  found?.click();
  return Boolean(found);
}
