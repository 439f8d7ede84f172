// A document on its way to becoming an asset: asks every second, then goes on to its draft.
export function start(page) {
  const place = document.querySelector("[data-conversion]");
  if (place) follow(page, place);
  const drop = document.querySelector("form[data-document]");
  drop?.querySelector("input[type=file]").addEventListener("change", (event) => event.target.files.length && drop.requestSubmit());
  drop?.addEventListener("drop", () => setTimeout(() => drop.querySelector("input[type=file]").files.length && drop.requestSubmit()));
}

async function follow(page, place) {
  const state = () => place.querySelector("[data-state]").dataset;
  while (state().state === "waiting") {
    await new Promise((resolve) => setTimeout(resolve, 700));
    try {
      place.replaceChildren(...(await page.fragment(place.dataset.conversion)).childNodes);
    } catch {
      return; // the link that stands below leads on
    }
  }
  if (state().next) location.assign(state().next);
}
