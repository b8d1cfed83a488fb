/** The admin pages' entry: local times, keys, copying, the offline strip, and the forms that act. */

import { requireElement, setText, setVisible } from "../shared/dom.js";
import { handleSubmit } from "./decisions.js";
import { GrantForm } from "./grant_form.js";
import { showPreview } from "./grant_preview.js";
import { QuietRefresh } from "./quiet_refresh.js";
import { showResults } from "./results.js";
import { SessionEnd } from "./session_end.js";

const TIME_FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const COPIED_MS = 2000;

/** Shows times in the reader's zone. The title keeps UTC. */
function showLocalTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) setText(time, TIME_FORMAT.format(new Date(time.dateTime)));
}

function copyOnClick(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.textContent;
  navigator.clipboard
    .writeText(button.dataset.copy)
    .then(() => "Copied", () => "Not copied")
    .then((result) => {
      setText(button, result);
      setText(requireElement("live"), result);
      setTimeout(() => setText(button, label), COPIED_MS);
    });
}

function isField(target) {
  return target.matches("input, textarea, select");
}

const ROWS = "tbody tr, .matches > li, .stuck > li, .waiting > li, .plain-list > li, .reports > li, .health > li";

/** Moves the focus to the next or previous row of the page's lists. */
function moveFocus(offset) {
  const rows = [...document.querySelectorAll(ROWS)].filter((row) => row.checkVisibility());
  const current = rows.findIndex((row) => row.contains(document.activeElement));
  const row = rows[Math.min(rows.length - 1, Math.max(0, current + offset))];
  if (!row) return;
  const link = row.querySelector("h3 a, h2 a, .line > summary");
  if (!link) row.tabIndex = -1;
  (link ?? row).focus();
}

/** Opens what the focused row is about: its first link or closed decision. */
function openRow(row) {
  if (row.matches(ROWS)) row.querySelector("th a, h3 a, a.button, summary, a:not(.badge)")?.click();
}

/** Opens the payment that the address names: the one decided about before the page loaded again. */
function openTarget() {
  const line = location.hash && document.getElementById(location.hash.slice(1))?.closest("details.line");
  if (!line) return;
  line.open = true;
  line.scrollIntoView({ block: "nearest" });
}

/** Handles shortcuts. No key moves money by itself. */
function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    const back = document.querySelector("#grant-confirm:not([hidden]) #grant-back, .asked .confirm .quiet");
    if (back) back.click();
    else if (isField(event.target)) event.target.blur();
  }
  if (isField(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    const box = document.getElementById("q");
    if (box) box.focus();
    else location.assign("/admin");
  }
  const keys = document.getElementById("keys");
  if (event.key === "?" && keys && !keys.open) keys.showModal();
  if (keys?.open) return;
  if (event.key === "Enter") openRow(event.target);
  if (event.key === "j") moveFocus(1);
  if (event.key === "k") moveFocus(-1);
}

function showConnection() {
  setVisible(requireElement("offline"), !navigator.onLine);
}

showConnection();
addEventListener("online", showConnection);
addEventListener("offline", showConnection);
document.addEventListener("keydown", handleKey);
document.addEventListener("click", copyOnClick);
document.addEventListener("submit", handleSubmit);
document.addEventListener("input", showPreview);
document.querySelector("[data-print]")?.addEventListener("click", () => print());
const ended = document.getElementById("ended");
const sessionEnd = ended ? new SessionEnd(ended) : null;
const refreshed = document.querySelector("[data-refresh]");
if (refreshed) new QuietRefresh(refreshed, { onReplaced: showLocalTimes, onSignedOut: () => sessionEnd?.show() }); // it copies what was served
showLocalTimes();
openTarget();
addEventListener("hashchange", openTarget);
showResults(requireElement("main"));
const grant = document.getElementById("grant");
if (grant) new GrantForm(grant, showLocalTimes);
