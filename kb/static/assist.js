// During the call: asks again when what is said has rested for a moment; only the newest answer counts.
const REST = 250;

export function start(page) {
  const form = document.querySelector("[data-assist]");
  if (!form) return;
  const field = form.querySelector("textarea");
  let timer = 0;
  let asking = null;
  let last = field.value;
  const ask = async () => {
    if (field.value === last) return;
    last = field.value;
    asking?.abort();
    asking = new AbortController();
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { "X-Fragment": "1" },
        body: new FormData(form),
        signal: asking.signal,
        credentials: "same-origin",
      });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      document.querySelector("[data-assist-answer]").replaceWith(holder.content);
    } catch (error) {
      if (error.name !== "AbortError") page.toast(page.words.lost || error.message, "stop");
    }
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, REST);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    last = null;
    ask();
  });
}
