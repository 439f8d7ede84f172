// Parts of a page that are worth waiting for, but not worth the page's waiting.
export function start(page) {
  for (const place of document.querySelectorAll("[data-fragment]")) fill(place, page);
}

async function fill(place, page) {
  try {
    const fresh = await page.fragment(place.dataset.fragment);
    place.replaceChildren(...fresh.childNodes);
  } catch {
    return; // the link that stands there leads to the same
  }
}
