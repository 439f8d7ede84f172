// Drag to re-plan: an item goes to another day, and back where the server says no.
export function start(page) {
  const place = document.querySelector("[data-calendar]");
  if (!place) return;
  let dragged = null;
  place.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-item]");
    event.dataTransfer.setData("text/plain", dragged.dataset.id);
    event.dataTransfer.effectAllowed = "move";
  });
  place.addEventListener("dragover", (event) => {
    const day = event.target.closest("[data-day]:not([data-item])");
    if (!dragged || !day) return;
    event.preventDefault();
    for (const other of place.querySelectorAll(".is-over")) other.classList.remove("is-over");
    day.classList.add("is-over");
  });
  place.addEventListener("dragend", () => {
    dragged = null;
    for (const other of place.querySelectorAll(".is-over")) other.classList.remove("is-over");
  });
  place.addEventListener("drop", async (event) => {
    const day = event.target.closest("[data-day]:not([data-item])");
    const item = dragged;
    if (!item || !day || day.dataset.day === item.dataset.day) return;
    event.preventDefault();
    const former = item.parentElement;
    const { kind, id } = item.dataset;
    day.querySelector("ul").append(item);
    try {
      const told = await send(place.dataset.calendar, { kind, id, day: day.dataset.day });
      if (told.outcome === "moved") item.dataset.day = day.dataset.day;
      else former.append(item);
      page.toast(told.message);
    } catch (error) {
      former.append(item);
      page.toast(error.message || page.words.sayNoAnswer, "stop");
    }
  });
}

async function send(url, body) {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": token }, body: JSON.stringify(body), credentials: "same-origin" });
  if (answer.ok) return answer.json();
  const text = new DOMParser().parseFromString(await answer.text(), "text/html");
  throw new Error(text.querySelector("main h1, main p")?.textContent ?? String(answer.status));
}
