/** The admin pages' entry: local times, keys, copying, the offline strip, and the forms that act. */

import { createElement, requireElement, setText, setVisible } from "../shared/dom.js";
import { AdminFault, formatDollars, post } from "./api.js";
import { GrantForm } from "./grant_form.js";
import { showPreview } from "./grant_preview.js";
import { QuietRefresh } from "./quiet_refresh.js";
import { SessionEnd } from "./session_end.js";

const TIME_FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const RELOAD_DELAY_MS = 1500;
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
  const link = row.querySelector("h3 a, h2 a");
  if (!link) row.tabIndex = -1;
  (link ?? row).focus();
}

/** Opens what the focused row is about: its first link or closed decision. */
function openRow(row) {
  if (row.matches(ROWS)) row.querySelector("th a, h3 a, a.button, summary, a:not(.badge)")?.click();
}

/** Handles shortcuts. No key moves money by itself. */
function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    const back = document.querySelector("#grant-confirm:not([hidden]) #grant-back");
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

const readValue = (form, name) => form.elements.namedItem(name)?.value.trim() ?? "";

/** Reads the checked acknowledgements in the order's syntax: `gone:cus_…`. */
function readAcknowledgements(form) {
  return [...form.querySelectorAll("[type=checkbox]:checked")].map((box) => `${box.name}:${box.value}`);
}

function buildOrder(form) {
  const { kind } = form.dataset;
  if (kind === "withdraw") return kind;
  const target = form.dataset.target ?? readValue(form, "target");
  const verb = [target ? `redirect:${target}` : "release", readValue(form, "rate")].filter(Boolean).join(":");
  return [...(kind === "vouch" ? [] : [verb]), ...readAcknowledgements(form)].join(";");
}

function describeOrder(answer) {
  if (answer.waits) return "Ordered. It is above what you may decide alone, so it waits until another admin confirms it on this page.";
  return `Ordered. ${describeStatus(answer)}`;
}

function describeStatus({ state, cause, credit }) {
  if (state === "credited") return credit ? `Credited: ${credit}.` : "Credited.";
  return cause ? `The payment is ${state} now: ${cause.replaceAll("_", " ")}.` : `The payment is ${state} now.`;
}

/** What each kind of form sends, and the sentence about its answer. */
const ACTIONS = {
  undo: async (form) => {
    const answer = await post("/api/admin/grants/undo", { reservation: form.dataset.undo, reason: readValue(form, "reason") });
    const by = answer.taken_back ? ` by ${answer.taken_back}` : "";
    return `Taken back: ${formatDollars(answer.cents)}${by}.`;
  },
  order: async (form) => {
    const request = { form: form.dataset.order, order: buildOrder(form), reason: readValue(form, "reason") };
    return describeOrder(await post("/api/admin/orders", request));
  },
  wallet: async (form) => {
    const request = { form: form.dataset.wallet, order: `customer:${form.dataset.customer}`, reason: readValue(form, "reason") };
    const answer = await post("/api/admin/orders/wallet", request);
    return `Ordered: ${answer.text}. Quotes follow it within a minute.`;
  },
  confirm: async (form) => {
    const request = { form: form.dataset.confirm, confirms: form.dataset.row, reason: readValue(form, "reason") };
    return `Confirmed. ${describeStatus(await post("/api/admin/orders", request))}`;
  },
  retry: async (form) => describeStatus(await post("/api/admin/payments/retry", { payment: form.dataset.retry })),
  rate: async (form) => {
    const hours = Number.parseInt(readValue(form, "hours"), 10);
    await post("/api/admin/rate", { rate: readValue(form, "rate"), hours, reason: readValue(form, "reason") });
    return "Set. All processes use it within a minute.";
  },
  rateEnd: async () => {
    await post("/api/admin/rate/end", {});
    return "Taken back. All processes use the market's rate again within a minute.";
  },
};

async function runAction(form, action) {
  const button = form.querySelector("button");
  const result = form.querySelector(".result");
  button.disabled = true;
  setText(result, "Working…");
  try {
    setText(result, await action(form));
    setTimeout(() => location.reload(), RELOAD_DELAY_MS);
  } catch (fault) {
    if (!(fault instanceof AdminFault)) throw fault;
    const warning = " It may have been done. Load this page again and check before you press again.";
    setText(result, `${fault.message}${fault.isOutcomeUnknown ? warning : ""}`);
    if (fault.isSignedOut) result.append(" ", createElement("a", { href: "/login", target: "_blank", rel: "opener" }, "Sign in in a new tab"));
    button.disabled = fault.isOutcomeUnknown;
  }
}

function handleSubmit(event) {
  const name = Object.keys(ACTIONS).find((key) => key in event.target.dataset);
  if (!name) return;
  event.preventDefault();
  runAction(event.target, ACTIONS[name]);
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
const grant = document.getElementById("grant");
if (grant) new GrantForm(grant);
