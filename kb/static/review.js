// The review page by keyboard: a, r, x; and a passage that is marked in the text becomes the quote of a comment.
export function start() {
  const bar = document.querySelector("[data-verdicts]");
  const text = document.querySelector("[data-quotable]");
  const quote = document.querySelector("[data-quote]");
  if (bar) {
    const reason = bar.querySelector("[name=reason]");
    const press = (answer) => {
      const button = bar.querySelector(`button[value=${answer}]`);
      if (answer !== "approve" && !reason.value.trim()) return reason.focus();
      button.click();
    };
    for (const button of bar.querySelectorAll("button[name=answer]:not([value=approve])"))
      button.addEventListener("click", (event) => {
        if (reason.value.trim()) return;
        event.preventDefault();
        reason.focus();
        reason.setCustomValidity(bar.dataset.sayReason);
        reason.reportValidity();
      });
    reason.addEventListener("input", () => reason.setCustomValidity(""));
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return;
      const answer = { a: "approve", r: "request_changes", x: "reject" }[event.key];
      if (!answer) return;
      event.preventDefault();
      press(answer);
    });
  }
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
  if (text && quote)
    document.addEventListener("selectionchange", () => {
      const marked = document.getSelection();
      const words = marked.toString().trim();
      if (words && text.contains(marked.anchorNode) && text.contains(marked.focusNode)) quote.value = words.slice(0, 1000);
    });
}
