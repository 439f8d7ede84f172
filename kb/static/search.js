// Results while typing: the same address as the form's, asked for as a fragment and put in place.
const PAUSE = 120;
const PATIENCE = 300;

export function start(page) {
  const form = document.querySelector("form[data-find]");
  const main = document.getElementById("main");
  let results = document.querySelector("[data-live-results]");
  if (!form || !(results || main.hasAttribute("data-live-main"))) return;
  const field = form.elements.q;
  let former = new AbortController();
  let timer = 0;
  let shown = page.here();

  const address = () => {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value !== "" || name === "deal") asked.append(name, value);
    return `${form.action}?${asked}`;
  };

  const first = () => (results ?? main).querySelector("[data-hit-link]")?.focus();

  const refresh = async (url, { focus = false } = {}) => {
    clearTimeout(timer);
    former.abort();
    const mine = (former = new AbortController());
    const patience = setTimeout(() => results?.classList.add("is-waiting"), PATIENCE);
    (results ?? main).setAttribute("aria-busy", "true");
    try {
      const fresh = await page.fragment(url, mine.signal);
      const isFirst = !results;
      put(fresh);
      if (isFirst) history.pushState(null, "", url);
      else history.replaceState(null, "", url);
      shown = page.here();
      if (focus) first();
    } catch (error) {
      if (error.name === "AbortError") return;
      page.toast(page.words.sayNoAnswer, "stop");
    } finally {
      clearTimeout(patience);
      if (former === mine) {
        results?.classList.remove("is-waiting");
        main.removeAttribute("aria-busy");
        results?.setAttribute("aria-busy", "false");
        document.dispatchEvent(new Event("settled"));
      }
    }
  };

  // Home and browse give way to the first results; going back loads them anew.
  const replaceMain = (fresh) => {
    main.replaceChildren(...fresh.childNodes);
    main.removeAttribute("data-live-main");
    results = main.querySelector("[data-live-results]");
    addEventListener("popstate", () => location.reload());
  };

  const put = (fresh) => {
    if (!results) replaceMain(fresh);
    else swap(fresh);
    const head = results.querySelector("[data-count]");
    page.announce(head.dataset.count);
    document.title = [head.dataset.title, ...document.title.split(" · ").slice(-1)].join(" · ");
    for (const count of document.querySelectorAll(".thumb [data-filters]")) count.textContent = head.dataset.filters;
  };

  const swap = (fresh) => {
    const opened = new Map([...results.querySelectorAll("details[data-facet]")].map((facet) => [facet.dataset.facet, facet.open]));
    const active = results.contains(document.activeElement) ? document.activeElement.id : "";
    for (const place of results.querySelectorAll("[data-swap]")) {
      const parts = fresh.getElementById(place.id);
      for (const facet of parts.querySelectorAll("details[data-facet]")) facet.open = opened.get(facet.dataset.facet) ?? facet.open;
      place.replaceChildren(...parts.childNodes);
    }
    if (active) document.getElementById(active)?.focus({ preventScroll: true });
  };

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh(address()), PAUSE);
  };

  let composing = false; // an input method is putting characters together: they are not words yet
  field.addEventListener("compositionstart", () => (composing = true));
  field.addEventListener("compositionend", () => ((composing = false), soon()));
  field.addEventListener("input", (event) => composing || event.isComposing || soon());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    field.blur(); // so that the next key is a command, not a letter
    const asked = new URL(address());
    if (shown === asked.pathname + asked.search && results?.ariaBusy !== "true") first();
    else refresh(asked, { focus: true });
  });
  document.addEventListener("change", (event) => {
    if (event.target.form === form && ["checkbox", "radio", "select-one"].includes(event.target.type)) refresh(address());
  });
  main.addEventListener("click", (event) => {
    const link = results && event.target.closest("a[data-live]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = new URL(link.href).searchParams.get("q") ?? ""; // an operator taken away, another spelling
    refresh(link.href);
  });
  // Back from an asset may restore the field as it was typed, not as it was asked.
  addEventListener("pageshow", (event) => {
    if (event.persisted && page.here() !== shown) refresh(location.href);
  });
}
