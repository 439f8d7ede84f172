// What every module may use: words of this page's language, toasts, announcements, requests.
export const words = document.body.dataset;
export const here = () => location.pathname + location.search;

const toasts = document.getElementById("toasts");
const announcement = document.getElementById("announce");

export function toast(text, tone = "") {
  const said = document.createElement("div");
  said.className = tone ? `said said--${tone}` : "said";
  const sign = document.createElement("i");
  sign.className = tone === "stop" ? "bi bi-exclamation-triangle" : "bi bi-check-lg";
  sign.setAttribute("aria-hidden", "true");
  const line = document.createElement("span");
  line.textContent = text;
  said.append(sign, line);
  toasts.replaceChildren(said);
  leave(said, tone ? 8000 : 4000);
}

export function announce(text) {
  announcement.textContent = text;
}

// A part of a page, asked for by this page's own script.
export async function fragment(url, signal) {
  const answer = await fetch(url, { headers: { "X-Fragment": "1" }, signal, credentials: "same-origin" });
  if (answer.status === 401) location.assign(url); // to sign in, and back to what was asked
  if (!answer.ok) throw new Error(`${answer.status}`);
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  return holder.content;
}

export async function post(url, body) {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
    credentials: "same-origin",
    keepalive: true,
  });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

// randomUUID stands only where the address is https or this machine's own.
export function eventId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function leave(said, after) {
  let timer = setTimeout(() => said.remove(), after);
  said.addEventListener("pointerenter", () => clearTimeout(timer));
  said.addEventListener("pointerleave", () => (timer = setTimeout(() => said.remove(), 1500)));
}

for (const said of toasts.children) leave(said, 6000);
