// Many assets at once: how many are ticked, and only the field that the chosen act asks for.
export function start() {
  const form = document.querySelector("[data-bulk]");
  if (!form) return;
  const boxes = () => [...document.querySelectorAll("[data-tick]")];
  const all = form.querySelector("[data-tick-all]");
  const act = form.querySelector("[data-act]");
  const count = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    form.querySelector("[data-ticked]").textContent = ticked || "";
    form.classList.toggle("is-ready", ticked > 0);
    all.checked = ticked > 0 && ticked === boxes().length;
  };
  const ask = () => {
    for (const more of form.querySelectorAll("[data-for]")) {
      const wanted = more.dataset.for.split(" ").includes(act.value);
      more.hidden = !wanted;
      more.querySelector("select, input").required = wanted;
    }
  };
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  document.addEventListener("change", (event) => event.target.matches("[data-tick]") && count());
  act.addEventListener("change", ask);
  count();
  ask();
}
