// The editor: saves by itself, shows what readers will see, takes pictures, and never loses a word.
const PAUSE = 1500;
const RETRY = 5000;
const PREVIEW = 350;
const LOOK = 300;

export function start(page) {
  const place = document.querySelector("[data-editor]");
  if (place) new Editor(page, place);
  for (const field of document.querySelectorAll("select[data-submits]")) field.addEventListener("change", () => field.form.submit());
}

class Editor {
  constructor(page, place) {
    this.page = page;
    this.place = place;
    this.words = place.dataset;
    this.form = place.querySelector("[data-text-form]");
    this.area = this.form.elements.text;
    this.status = this.form.querySelector("[data-status]");
    this.kept = `draft:${this.words.reference}`;
    this.saved = this.snapshot();
    this.saving = null;
    this.leaving = false;
    this.timers = {};
    this.begin();
  }

  begin() {
    this.form.querySelector("[data-marks]").hidden = false;
    this.offerKept();
    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("submit", (event) => {
      if (event.submitter?.form !== this.form || this.leaving) return void (this.leaving = true);
      event.preventDefault();
      this.save();
    });
    document.addEventListener("submit", (event) => {
      if (event.target !== this.form && event.target.method === "post") this.saveFirst(event, event.target);
    });
    addEventListener("beforeunload", (event) => {
      if (!this.leaving && this.isDirty()) event.preventDefault();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    this.form.querySelector("[data-marks]").addEventListener("click", (event) => {
      const button = event.target.closest("[data-mark]");
      if (button) this.mark(button.dataset.mark);
    });
    this.form.querySelector("[data-picture]").addEventListener("change", (event) => {
      for (const file of event.target.files) this.upload(file);
      event.target.value = "";
    });
    this.area.addEventListener("paste", (event) => this.takeFiles(event, event.clipboardData));
    this.area.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    this.area.addEventListener("drop", (event) => this.takeFiles(event, event.dataTransfer));
    this.place.querySelector("[data-findings]").addEventListener("click", (event) => event.target.closest("[data-show]") && this.show(event.target.closest("[data-start]").dataset));
    const wanted = /^#\w+$/.test(location.hash) && this.place.querySelector(`details${location.hash}`);
    if (wanted) wanted.open = true;
    this.nda();
    this.preview();
    this.look();
  }

  snapshot() {
    const { title, text, handling, language, nda, ai_generated } = this.form.elements;
    return JSON.stringify([title.value, text.value, handling.value, language.value, nda.checked, ai_generated.checked]);
  }

  isDirty() {
    return this.snapshot() !== this.saved;
  }

  changed() {
    this.nda();
    this.keep();
    this.status.textContent = this.words.sayTyping;
    clearTimeout(this.timers.save);
    this.timers.save = setTimeout(() => this.save(), PAUSE);
    clearTimeout(this.timers.preview);
    this.timers.preview = setTimeout(() => this.preview(), PREVIEW);
    clearTimeout(this.timers.look);
    this.timers.look = setTimeout(() => this.look(), LOOK);
  }

  nda() {
    const { handling, nda } = this.form.elements;
    nda.closest("[data-nda]").hidden = handling.value !== "named";
    if (handling.value !== "named") nda.checked = false;
  }

  async save() {
    clearTimeout(this.timers.save);
    if (this.saving) await this.saving;
    const { title, text } = this.form.elements;
    if (!this.isDirty()) return true;
    if (!title.value.trim() || !text.value.trim()) return false;
    this.saving = this.put();
    const done = await this.saving;
    this.saving = null;
    return done;
  }

  async put() {
    const sent = this.snapshot();
    const [title, text, handling, language, nda, ai_generated] = JSON.parse(sent);
    this.status.textContent = this.words.saySaving;
    let answer;
    try {
      answer = await fetch(this.words.draftUrl, {
        method: "PUT",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token(), "If-Match": `"${this.form.elements.revision.value}"` },
        body: JSON.stringify({ title, text, handling, language, nda, ai_generated }),
        credentials: "same-origin",
      });
    } catch {
      return this.notSaved(this.words.sayOffline, true);
    }
    if (answer.status === 412) return this.stale();
    if (answer.status >= 500 || answer.status === 429) return this.notSaved(this.words.sayOffline, true);
    if (!answer.ok) return this.notSaved(`${this.words.sayRefused}: ${(await problem(answer)).detail ?? answer.status}`, false);
    const draft = await answer.json();
    this.form.elements.revision.value = draft.revision;
    this.form.elements.base.value = text;
    this.saved = sent;
    if (!this.isDirty()) forget(this.kept);
    this.status.textContent = `${this.words.saySaved} · ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
    for (const button of document.querySelectorAll("[data-submit]")) button.hidden = false;
    this.lookAlike();
    this.showStanding();
    return true;
  }

  notSaved(text, again) {
    this.status.textContent = text;
    if (again) this.timers.save = setTimeout(() => this.save(), RETRY);
    return false;
  }

  // The server shows both texts and a merge; the whole text goes there with the form.
  stale() {
    this.status.textContent = this.words.sayStale;
    this.page.toast(this.words.sayStale, "stop");
    this.leaving = true;
    this.form.submit();
    return false;
  }

  async saveFirst(event, other) {
    if (this.leaving || !this.isDirty()) return void (this.leaving = true);
    event.preventDefault();
    if (!(await this.save())) return void this.page.toast(this.status.textContent, "stop");
    this.leaving = true;
    const revision = other.elements.revision;
    if (revision) revision.value = this.form.elements.revision.value;
    other.requestSubmit(event.submitter?.form === other ? event.submitter : undefined);
  }

  keep() {
    try {
      localStorage.setItem(this.kept, JSON.stringify({ at: Date.now(), revision: this.form.elements.revision.value, state: this.snapshot() }));
    } catch {
      return; // the server has it within seconds
    }
  }

  offerKept() {
    const found = read(this.kept);
    const bar = this.form.querySelector("[data-found]");
    if (!found || found.state === this.saved) return;
    bar.hidden = false;
    bar.querySelector("[data-found-text]").textContent = this.words.sayFound;
    bar.querySelector("[data-take]").addEventListener("click", () => {
      const [title, text, handling, language, nda, ai_generated] = JSON.parse(found.state);
      const fields = this.form.elements;
      [fields.title.value, fields.text.value, fields.handling.value, fields.language.value, fields.nda.checked] = [title, text, handling, language, nda];
      fields.ai_generated.checked = Boolean(ai_generated);
      bar.hidden = true;
      this.changed();
    });
    bar.querySelector("[data-drop-found]").addEventListener("click", () => {
      forget(this.kept);
      bar.hidden = true;
    });
  }

  async preview() {
    const place = this.place.querySelector("[data-preview]");
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    const body = new URLSearchParams({ text: this.area.value, language: this.form.elements.language.value });
    try {
      const answer = await fetch(this.words.previewUrl, { method: "POST", body, headers: { "X-CSRFToken": token(), "X-Fragment": "1" }, credentials: "same-origin", signal: asked.signal });
      if (!answer.ok) return;
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      const at = place.scrollTop;
      place.replaceChildren(...holder.content.childNodes);
      place.scrollTop = at;
    } catch {
      return; // the next key asks again
    }
  }

  // What the compliance rules say of the text as it is typed; a form that is being filled in there is left alone.
  async look() {
    const place = this.place.querySelector("[data-findings]");
    if (place.contains(document.activeElement) && document.activeElement.matches("input")) return;
    this.looked?.abort();
    const looked = (this.looked = new AbortController());
    const { title, text, handling } = this.form.elements;
    const body = new URLSearchParams({ title: title.value, text: text.value, handling: handling.value });
    try {
      const answer = await fetch(place.dataset.findings, { method: "POST", body, headers: { "X-CSRFToken": token(), "X-Fragment": "1" }, credentials: "same-origin", signal: looked.signal });
      if (!answer.ok) return;
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      const { count, stopping } = holder.content.querySelector("[data-count]").dataset;
      for (const button of holder.content.querySelectorAll("[data-show]")) button.hidden = false;
      place.replaceChildren(...holder.content.childNodes);
      const mark = this.place.querySelector("[data-findings-count]");
      mark.textContent = count === "0" ? "" : count;
      mark.className = `small push ${stopping === "0" ? "tone-care" : "tone-stop"}`;
    } catch {
      return; // the next key asks again
    }
  }

  show({ start, end }) {
    this.area.focus();
    this.area.setSelectionRange(Number(start), Number(end));
    const line = this.area.value.slice(0, Number(start)).split("\n").length;
    const lines = this.area.value.split("\n").length;
    this.area.scrollTop = Math.max(0, (line / lines) * this.area.scrollHeight - this.area.clientHeight / 2);
  }

  // Where the asset stands, and what is missing, as the server knows it after this save.
  async showStanding() {
    if (document.querySelector(".standing :popover-open")) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of [".standing", ".work__head", "#facts > summary"]) {
        const found = fresh.querySelector(part);
        if (found) document.querySelector(part).replaceChildren(...document.adoptNode(found).childNodes);
      }
    } catch {
      return; // the next save asks again
    }
  }

  async lookAlike() {
    const place = this.place.querySelector("[data-alike]");
    try {
      const fresh = await this.page.fragment(place.dataset.alike);
      const count = fresh.querySelector("[data-count]")?.dataset.count ?? "";
      place.replaceChildren(...fresh.childNodes);
      this.place.querySelector("[data-alike-count]").textContent = count === "0" ? "" : count;
    } catch {
      return; // the link that stands there leads to the same
    }
  }

  takeFiles(event, transfer) {
    const files = [...(transfer?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    for (const file of files) this.upload(file);
  }

  // A picture belongs to the draft: what was typed is saved first, then the picture with the new revision.
  async upload(file) {
    this.status.textContent = this.words.sayUploading;
    if (this.saving) await this.saving;
    if (this.isDirty() && !(await this.save())) return;
    const body = new FormData();
    body.append("file", file, file.name || "picture.png");
    body.append("revision", this.form.elements.revision.value);
    try {
      const answer = await fetch(this.words.uploadUrl, { method: "POST", body, headers: { "X-CSRFToken": token(), Accept: "application/json", "X-Fragment": "1" }, credentials: "same-origin" });
      const told = await problem(answer);
      if (!answer.ok) throw new Error(told.detail ?? String(answer.status));
      this.form.elements.revision.value = told.revision;
      if (told.markdown) this.insert(`\n\n${told.markdown}\n\n`);
      await this.save();
      this.showFiles();
    } catch (error) {
      this.status.textContent = `${this.words.sayNotUploaded}: ${error.message}`;
      this.page.toast(this.status.textContent, "stop");
    }
  }

  async showFiles() {
    const place = this.place.querySelector("[data-files]");
    try {
      place?.replaceChildren(...(await this.page.fragment(place.dataset.files)).childNodes);
    } catch {
      return; // they stand there on the next page
    }
  }

  key(event) {
    if (!(event.ctrlKey || event.metaKey) || event.isComposing) return;
    if (event.key === "s") {
      event.preventDefault();
      this.save();
      return;
    }
    if (document.activeElement !== this.area) return;
    const name = event.altKey && event.key === "2" ? "heading" : { b: "bold", i: "italic", k: "link" }[event.key];
    if (!name) return;
    event.preventDefault();
    this.mark(name);
  }

  mark(name) {
    const chosen = this.area.value.slice(this.area.selectionStart, this.area.selectionEnd);
    const lines = (prefix) => (chosen || " ").split("\n").map((line, at) => `${typeof prefix === "function" ? prefix(at) : prefix}${line.trim()}`).join("\n");
    const marks = {
      heading: () => this.insert(`\n\n## ${chosen.trim()}`),
      bold: () => this.wrap("**", "**"),
      italic: () => this.wrap("*", "*"),
      list: () => this.insert(`\n\n${lines("- ")}`),
      numbers: () => this.insert(`\n\n${lines((at) => `${at + 1}. `)}`),
      quote: () => this.insert(`\n\n${lines("> ")}`),
      link: () => (/^https?:\/\/\S+$/.test(chosen) ? this.insert(`[](${chosen})`, 1 - (chosen.length + 4)) : this.wrap("[", "](https://)")),
      table: () => this.insert("\n\n|  |  |\n| --- | --- |\n|  |  |\n", -26),
      evidence: () => this.insert(this.form.elements.language.value === "zh" ? "[证据:E-]" : "[evidence:E-]", -1),
    };
    marks[name]?.();
  }

  wrap(before, after) {
    const { selectionStart: from, selectionEnd: to, value } = this.area;
    this.insert(before + value.slice(from, to) + after);
    this.area.setSelectionRange(from + before.length, to + before.length);
  }

  // By the browser's own command, so that undo goes on working.
  insert(text, move = 0) {
    this.area.focus();
    if (!document.execCommand("insertText", false, text)) {
      this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
      this.changed();
    }
    const at = this.area.selectionEnd + move;
    if (move) this.area.setSelectionRange(at, at);
  }
}

const token = () => document.querySelector('meta[name="csrf-token"]').content;

async function problem(answer) {
  try {
    return await answer.json();
  } catch {
    return {};
  }
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

function forget(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    return; // storage is closed to us: nothing was kept there
  }
}
