// The tag picker: one search over all facets, and what is chosen as chips that can be taken off.
export function start() {
  for (const place of document.querySelectorAll("[data-picker]")) begin(place);
}

function begin(place) {
  const seek = place.querySelector("[data-picker-seek]");
  const field = seek.querySelector("input");
  const chosen = place.querySelector("[data-picker-chosen]");
  const none = place.querySelector("[data-picker-none]");
  const facets = [...place.querySelectorAll("[data-picked]")];
  const opened = facets.map((facet) => facet.open);
  const boxes = [...place.querySelectorAll("[data-words] input")];
  seek.hidden = false;

  const show = () => {
    const ticked = boxes.filter((box) => box.checked);
    chosen.replaceChildren(...ticked.map((box) => chip(box, place.dataset.sayOff)));
    chosen.hidden = !ticked.length;
    for (const facet of facets) facet.querySelector("[data-picker-count]").textContent = facet.querySelectorAll("input:checked").length || "";
  };

  const find = () => {
    const wanted = field.value.trim().toLowerCase();
    let found = 0;
    facets.forEach((facet, at) => {
      let here = 0;
      for (const choice of facet.querySelectorAll("[data-words]")) {
        choice.hidden = !choice.dataset.words.includes(wanted);
        here += !choice.hidden;
      }
      facet.hidden = !here;
      facet.open = wanted ? true : opened[at];
      found += here;
    });
    none.hidden = found > 0;
  };

  field.addEventListener("input", find);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape" && field.value) {
      event.stopPropagation();
      field.value = "";
      find();
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    const first = boxes.find((box) => !box.closest("[data-words]").hidden);
    if (!field.value.trim() || !first) return;
    first.click();
    field.value = "";
    find();
  });
  for (const [at, facet] of facets.entries()) facet.addEventListener("toggle", () => field.value.trim() || (opened[at] = facet.open));
  place.addEventListener("change", (event) => event.target.matches("[data-words] input") && show());
  chosen.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const box = boxes.find((one) => one.value === button.value);
    const next = button.nextElementSibling?.value ?? button.previousElementSibling?.value;
    box.click();
    (chosen.querySelector(`button[value="${next}"]`) ?? field).focus();
  });
  show();
}

function chip(box, say) {
  const name = box.closest("[data-words]").textContent.trim();
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.value = box.value;
  button.textContent = name;
  button.setAttribute("aria-label", say.replace("{name}", name));
  const cross = document.createElement("i");
  cross.className = "bi bi-x-lg";
  cross.ariaHidden = "true";
  button.append(" ", cross);
  return button;
}
