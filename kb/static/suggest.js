// Suggestions under the search field: asked for while somebody types, walked by arrows, gone as soon as they are not wanted.
const PAUSE = 90;

export function start(page) {
  const form = document.querySelector("form[data-find]");
  const list = document.getElementById("suggestions");
  if (!form || !list) return;
  const field = form.elements.q;
  let timer = 0;
  let former = new AbortController();
  let at = -1;

  const lines = () => [...list.querySelectorAll("[role=option]")];

  const close = () => {
    clearTimeout(timer);
    former.abort();
    list.hidden = true;
    at = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };

  const mark = (next) => {
    const all = lines();
    at = next < -1 ? all.length - 1 : next >= all.length ? -1 : next;
    all.forEach((line, place) => line.setAttribute("aria-selected", String(place === at)));
    if (at < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", all[at].id);
  };

  const ask = async () => {
    former.abort();
    const mine = (former = new AbortController());
    const url = new URL(list.dataset.suggest, location.href);
    url.searchParams.set("q", field.value);
    try {
      const fresh = await page.fragment(url, mine.signal);
      if (former !== mine || document.activeElement !== field) return;
      list.replaceChildren(...fresh.childNodes);
      const some = lines().length > 0;
      list.hidden = !some;
      field.setAttribute("aria-expanded", String(some));
      mark(-1);
    } catch (error) {
      if (error.name !== "AbortError") close(); // the results say when the server does not answer
    }
  };

  const take = (line) => {
    if (line.dataset.kind === "search") {
      field.value = line.dataset.text;
      close();
      form.requestSubmit();
    } else location.assign(line.href);
  };

  const soon = () => {
    clearTimeout(timer);
    if (field.value.trim()) timer = setTimeout(ask, PAUSE);
    else close();
  };

  let composing = false; // an input method is putting characters together: they are not words yet
  field.addEventListener("compositionstart", () => (composing = true));
  field.addEventListener("compositionend", () => ((composing = false), soon()));
  field.addEventListener("input", (event) => composing || event.isComposing || soon());
  field.addEventListener("blur", () => setTimeout(() => document.activeElement === field || close(), 150));
  form.addEventListener("submit", close);
  field.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") mark(at + (event.key === "ArrowDown" ? 1 : -1));
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && at >= 0) take(lines()[at]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const line = event.target.closest("[role=option]");
    if (!line || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    take(line);
  });
}
