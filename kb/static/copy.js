// Copy exactly the text the page holds for the button, then note the use.
export function start(page) {
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const button = event.target.closest("[data-copy], [data-copy-rich]");
    if (button) copy(page, button);
  });
}

export async function copy(page, button) {
  const isDone = "copyRich" in button.dataset ? await richToClipboard(button) : await toClipboard(textOf(button));
  if (!isDone) {
    page.toast(page.words.sayCannotCopy, "stop");
    return;
  }
  show(page, button);
  if (!button.dataset.use) {
    page.toast(page.words.sayCopied);
    return;
  }
  const { use, section, search, surface } = button.dataset;
  try {
    const answer = await page.post(use, { event_id: page.eventId(), kind: "copy", section, search, surface, deal: page.words.deal });
    page.toast(answer.deal ? page.words.sayCopiedOn.replace("{deal}", answer.deal) : page.words.sayCopied);
  } catch {
    page.toast(page.words.sayNotCounted, "stop");
  }
}

const textOf = (button) => button.parentElement.querySelector("template").content.textContent;

// With formatting for a document; what takes plain text alone gets the same as the other button gives.
async function richToClipboard(button) {
  const section = button.closest(".section");
  const html = section.querySelector(".section__text").innerHTML;
  const text = textOf(section.querySelector("[data-copy]"));
  try {
    const kinds = { "text/html": html, "text/plain": text };
    const parts = Object.entries(kinds).map(([kind, part]) => [kind, new Blob([part], { type: kind })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(parts))]);
    return true;
  } catch {
    return selectAndCopy(section.querySelector(".section__text"));
  }
}

function selectAndCopy(place) {
  const chosen = getSelection();
  chosen.selectAllChildren(place);
  const done = document.execCommand("copy");
  chosen.removeAllRanges();
  return done;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return byHand(text); // plain http, or the browser asks for the older way
  }
}

function byHand(text) {
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus({ preventScroll: true });
  return done;
}

function show(page, button) {
  const face = button.querySelector("[data-face]");
  const sign = button.querySelector(".bi");
  if (!face || button.dataset.copied !== undefined) return;
  const former = face.textContent;
  face.textContent = page.words.sayCopied;
  sign.classList.replace("bi-copy", "bi-check-lg");
  button.dataset.copied = "";
  setTimeout(() => {
    face.textContent = former;
    sign.classList.replace("bi-check-lg", "bi-copy");
    delete button.dataset.copied;
  }, 2000);
}
