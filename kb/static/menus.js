// Theme, language, the deal panel, judgements, dropped files.
export function start(page) {
  themes();
  document.addEventListener("submit", (event) => {
    const next = event.target.querySelector("input[data-here]");
    if (next) next.value = page.here();
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.defaultPrevented) return;
    const picker = event.target.closest("a[data-deal-picker]");
    if (picker && !event.ctrlKey && !event.metaKey && !event.shiftKey && document.getElementById("deals")?.showPopover) {
      event.preventDefault();
      openDeals(page, picker);
    }
  });
  document.addEventListener("submit", (event) => judge(page, event));
  for (const drop of document.querySelectorAll("[data-drop]")) takeFiles(drop);
}

function themes() {
  const group = document.querySelector("[data-themes]");
  if (!group || !storageIsOpen()) return;
  const show = () => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === (localStorage.getItem("theme") ?? "")));
  };
  group.hidden = false;
  show();
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.value) localStorage.setItem("theme", button.value);
    else localStorage.removeItem("theme");
    dispatchEvent(new Event("storage")); // theme.js listens
    show();
  });
}

function storageIsOpen() {
  try {
    return Boolean(localStorage);
  } catch {
    return false; // the theme then follows the system
  }
}

async function openDeals(page, opener) {
  const panel = document.getElementById("deals");
  const url = new URL(opener.href);
  url.searchParams.set("next", page.here());
  try {
    panel.replaceChildren(await page.fragment(url));
  } catch {
    location.assign(url);
    return;
  }
  panel.showPopover();
  panel.addEventListener("toggle", (event) => event.newState === "closed" && opener.focus(), { once: true });
  const field = panel.querySelector("input[name=words]");
  (field ?? panel.querySelector("a"))?.focus();
  let timer = 0;
  let former = new AbortController();
  field?.addEventListener("input", (event) => {
    if (event.isComposing) return;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      former.abort();
      former = new AbortController();
      url.searchParams.set("words", field.value);
      try {
        const fresh = await page.fragment(url, former.signal);
        panel.querySelector("[data-choices]").replaceChildren(...fresh.querySelector("[data-choices]").childNodes);
      } catch (error) {
        if (error.name !== "AbortError") page.toast(page.words.sayNoAnswer, "stop");
      }
    }, 120);
  });
  panel.onkeydown = (event) => {
    const links = [...panel.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !links.length) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + step))].focus();
  };
}

async function judge(page, event) {
  const form = event.target;
  const button = event.submitter;
  if (!form.matches("[data-judge]") || button?.name !== "kind") return;
  event.preventDefault();
  try {
    await page.post(form.action, { event_id: page.eventId(), kind: button.value, section: "", search: form.dataset.search, surface: "asset", remark: form.elements.remark?.value ?? "", deal: page.words.deal });
  } catch {
    page.toast(page.words.sayNoAnswer, "stop");
    return;
  }
  for (const other of document.querySelectorAll("[data-judge] button[aria-pressed]")) other.setAttribute("aria-pressed", String(other.value === button.value));
  for (const word of document.querySelectorAll("[data-word]")) offerWord(word, button);
  page.toast(page.words.sayKept);
}

// After the judgement, room for a word; once that is sent, it is empty again.
function offerWord(word, button) {
  const field = word.querySelector("input");
  word.hidden = false;
  word.querySelector("[data-send-word]").value = button.value;
  if ("sendWord" in button.dataset) field.value = "";
  else if (word.offsetParent) field.focus();
}

function takeFiles(drop) {
  const field = drop.querySelector("input[type=file]");
  const names = drop.querySelector("[data-names]");
  const show = () => (names.textContent = [...field.files].map((file) => file.name).join(", "));
  field.addEventListener("change", show);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("is-over", kind === "dragover");
    });
  }
  drop.addEventListener("drop", (event) => {
    field.files = event.dataTransfer.files;
    show();
  });
}
