/** The operators' pages: times, keys, copying, being offline, and the forms that act. */

import { byId, setText, show } from "../shared/dom.js";
import { DeskFault, inDollars, send } from "./api.js";
import { GrantForm } from "./grant_form.js";
import { signInAddress } from "./drafts.js";
import { preview } from "./grant_preview.js";

const STAMP = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const RELOAD_MS = 1500;
const COPIED_MS = 2000;

/** Times in the reader's own zone; UTC stays in the title. */
function localTimes() {
  for (const one of document.querySelectorAll("time[datetime]")) setText(one, STAMP.format(new Date(one.dateTime)));
}

function copying(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const before = button.textContent;
  navigator.clipboard
    .writeText(button.dataset.copy)
    .then(() => "Copied", () => "Not copied")
    .then((told) => {
      setText(button, told);
      setText(byId("live"), told);
      setTimeout(() => setText(button, before), COPIED_MS);
    });
}

function typing(target) {
  return target.matches("input, textarea, select");
}

/** j and k move within a table or list; no key moves money. */
function step(by) {
  const rows = [...document.querySelectorAll("tbody tr[tabindex], .matches h3 a")];
  const place = rows.indexOf(document.activeElement);
  rows[Math.min(rows.length - 1, Math.max(0, place + by))]?.focus();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    const back = document.querySelector("#grant-confirm:not([hidden]) #grant-back");
    if (back) back.click();
    else if (typing(event.target)) event.target.blur();
  }
  if (typing(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    const box = document.getElementById("q");
    if (box) box.focus();
    else location.assign("/admin");
  }
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
}

function connection() {
  show(byId("offline"), !navigator.onLine);
}

const value = (form, name) => form.elements.namedItem(name)?.value.trim() ?? "";

/** What was answered with yes, as an order says it: `;gone:cus_…`. */
const acknowledged = (form) => [...form.querySelectorAll("[type=checkbox]:checked")].map((box) => `${box.name}:${box.value}`);

function orderText(form) {
  const { kind } = form.dataset;
  if (kind === "withdraw") return kind;
  const target = form.dataset.target ?? value(form, "target");
  const verb = [target ? `redirect:${target}` : "release", value(form, "rate")].filter(Boolean).join(":");
  return [...(kind === "vouch" ? [] : [verb]), ...acknowledged(form)].join(";");
}

/** How the answer to an order reads. */
function orderTold(done) {
  if (done.waits) return "Written. It is above what one admin decides alone, so it waits until another admin confirms it on this page.";
  return `Ordered. ${toldOf(done)}`;
}

function toldOf(progress) {
  if (progress.state === "credited") return `Credited${progress.credit ? `: ${progress.credit}` : ""}.`;
  return `It is ${progress.state} now${progress.cause ? `: ${progress.cause.replaceAll("_", " ")}` : ""}.`;
}

/** What each kind of form asks for, and how its answer reads. */
const ACTIONS = {
  undo: async (form) => {
    const done = await send("/api/admin/grants/undo", { reservation: form.dataset.undo, reason: value(form, "reason") });
    return `Taken back: ${inDollars(done.cents)}${done.taken_back ? ` by ${done.taken_back}` : ""}.`;
  },
  order: async (form) => {
    const wish = { form: form.dataset.order, order: orderText(form), reason: value(form, "reason") };
    return orderTold(await send("/api/admin/orders", wish));
  },
  confirm: async (form) => {
    const wish = { form: form.dataset.confirm, confirms: form.dataset.row, reason: value(form, "reason") };
    return `Confirmed. ${toldOf(await send("/api/admin/orders", wish))}`;
  },
  retry: async (form) => toldOf(await send("/api/admin/payments/retry", { payment: form.dataset.retry })),
  rate: async (form) => {
    const hours = Number.parseInt(value(form, "hours"), 10);
    await send("/api/admin/rate", { rate: value(form, "rate"), hours, reason: value(form, "reason") });
    return "Set. All processes follow within a minute.";
  },
  rateEnd: async () => {
    await send("/api/admin/rate/end", {});
    return "Taken back. The market's rate counts again, in all processes within a minute.";
  },
};

async function act(form, action) {
  const button = form.querySelector("button");
  const result = form.querySelector(".result");
  button.disabled = true;
  setText(result, "Working…");
  try {
    setText(result, await action(form));
    setTimeout(() => location.reload(), RELOAD_MS);
  } catch (fault) {
    if (!(fault instanceof DeskFault)) throw fault;
    setText(result, fault.unclear ? `${fault.message} It may have been done: load this page again and look before you press again.` : fault.message);
    if (fault.signedOut) setTimeout(() => location.assign(signInAddress()), RELOAD_MS);
    button.disabled = fault.unclear;
  }
}

function acting(event) {
  const name = Object.keys(ACTIONS).find((one) => one in event.target.dataset);
  if (!name) return;
  event.preventDefault();
  act(event.target, ACTIONS[name]);
}

localTimes();
connection();
addEventListener("online", connection);
addEventListener("offline", connection);
document.addEventListener("keydown", keys);
document.addEventListener("click", copying);
document.addEventListener("submit", acting);
document.addEventListener("input", preview);
const grant = document.getElementById("grant");
if (grant) new GrantForm(grant);
