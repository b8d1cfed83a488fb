/** Decisions that move money, in two steps: the form, then one sentence from the service with the button that writes. */

import { createElement, setText } from "../shared/dom.js";
import { AdminFault, formatDollars, post } from "./api.js";
import { reloadWithResult } from "./results.js";

const readValue = (form, name) => form.elements.namedItem(name)?.value.trim() ?? "";

/** Reads the checked acknowledgements in the order's syntax: `gone:cus_…`. */
function readAcknowledgements(form) {
  return [...form.querySelectorAll("[type=checkbox]:checked")].filter((box) => box.name).map((box) => `${box.name}:${box.value}`);
}

function buildOrder(form) {
  const { kind } = form.dataset;
  if (kind === "withdraw") return kind;
  const target = form.dataset.target ?? readValue(form, "target");
  const verb = [target ? `redirect:${target}` : "release", readValue(form, "rate")].filter(Boolean).join(":");
  return [...(kind === "vouch" ? [] : [verb]), ...readAcknowledgements(form)].join(";");
}

function describeStatus({ state, cause, credit }) {
  if (state === "credited") return credit ? `Credited: ${credit}.` : "Credited.";
  return cause ? `The payment is ${state} now: ${cause.replaceAll("_", " ")}.` : `The payment is ${state} now.`;
}

function describeOrder(answer) {
  if (answer.waits) return "Ordered. It waits until another admin confirms it on this page.";
  if (answer.waits === null) return "Ordered. Whether it waits for another admin could not be read: load the page again.";
  return `Ordered. ${describeStatus(answer)}`;
}

function describeReversal(answer) {
  const by = answer.taken_back ? ` by ${answer.taken_back}` : "";
  return `Taken back: ${formatDollars(answer.cents)}${by}.`;
}

function describeNewRate(answer) {
  return answer.waits ? "Proposed. Another admin must confirm it on this page." : "Set. All processes use it within a minute.";
}

/** By the name of a form's data attribute: where it is sent, what it says, and the sentence about the answer. */
const DECISIONS = {
  undo: ["/api/admin/grants/undo", (form) => ({ reservation: form.dataset.undo }), describeReversal],
  order: ["/api/admin/orders", (form) => ({ form: form.dataset.order, order: buildOrder(form) }), describeOrder],
  confirm: [
    "/api/admin/orders",
    (form) => ({ form: form.dataset.confirm, confirms: form.dataset.row }),
    (answer) => `Confirmed. ${describeStatus(answer)}`,
  ],
  wallet: [
    "/api/admin/orders/wallet",
    (form) => ({ form: form.dataset.wallet, order: form.dataset.customer ? `customer:${form.dataset.customer}` : "withdraw" }),
    (answer) => `Ordered: ${answer.text}. Quotes follow it within a minute.`,
  ],
  rate: [
    "/api/admin/rate",
    (form) => ({ rate: readValue(form, "rate"), hours: /^[0-9]{1,2}$/.test(readValue(form, "hours")) ? Number(readValue(form, "hours")) : 0 }),
    describeNewRate,
  ],
  rateConfirm: ["/api/admin/rate/confirm", (form) => ({ proposal: form.dataset.rateConfirm }), () => "Confirmed. All processes use it within a minute."],
  rateWithdraw: ["/api/admin/rate/withdraw", (form) => ({ proposal: form.dataset.rateWithdraw }), () => "Withdrawn."],
  rateEnd: ["/api/admin/rate/end", () => ({}), () => "Ended. All processes use the market's rate again within a minute."],
};

/** What is shown before the button that writes; the fields stay as they are until Back. */
class Confirmation {
  constructor(form, shown, onWrite) {
    this.form = form;
    this.sentence = createElement("p", { class: "sentence", tabindex: "-1" }, shown.sentence);
    this.write = createElement("button", { type: "button", class: "danger" }, shown.button);
    const back = createElement("button", { type: "button", class: "quiet" }, "Back");
    const row = createElement("div", { class: "row" }, this.write, back);
    const notes = shown.notes.map((note) => createElement("li", {}, note));
    this.box = createElement("div", { class: "confirm" }, this.sentence, createElement("ul", { class: "fine" }, ...notes), row);
    this.write.addEventListener("click", onWrite);
    back.addEventListener("click", () => this.close());
    form.classList.add("asked");
    form.querySelector(".result").before(this.box);
    this.sentence.focus();
  }

  close() {
    this.form.classList.remove("asked");
    this.box.remove();
    this.form.querySelector("button").focus();
  }
}

/** Shows a result until it is dismissed, beside what the page says now, with what it is about open. */
function finish(result, text) {
  const part = result.closest(".opened");
  if (part) history.replaceState(history.state, "", `#${part.id}`);
  if (!reloadWithResult(text)) setText(result, `${text} Load the page again to see what changed.`);
}

/** What was typed stays on this page. */
function createSignInLink() {
  return createElement("a", { href: "/login", target: "_blank", rel: "opener" }, "Sign in in a new tab");
}

/** One form's decision. */
class Decision {
  constructor(form, [path, read, describe]) {
    this.form = form;
    this.path = path;
    this.describe = describe;
    this.body = { ...read(form), reason: readValue(form, "reason") };
    this.result = form.querySelector(".result");
    this.button = form.querySelector("button");
  }

  async show(before = "") {
    this.button.disabled = true;
    setText(this.result, before || "Looking…");
    try {
      const shown = await post(this.path, this.body);
      this.confirmation = new Confirmation(this.form, shown, () => this.write(shown.shown));
      setText(this.result, before);
    } catch (fault) {
      this.showFault(fault, before);
    }
    this.button.disabled = false;
  }

  async write(shown) {
    this.confirmation.write.disabled = true;
    setText(this.result, "Working…");
    try {
      const outcome = this.describe(await post(this.path, { ...this.body, shown }));
      finish(this.result, `${outcome} What was decided: ${this.confirmation.sentence.textContent}`);
    } catch (fault) {
      if (fault.code === "changed") {
        this.confirmation.close();
        await this.show(fault.message);
        return;
      }
      this.showFault(fault);
      this.confirmation.write.disabled = fault.isOutcomeUnknown;
    }
  }

  showFault(fault, before = "") {
    if (!(fault instanceof AdminFault)) throw fault;
    const warning = this.confirmation ? " It may have been done. Load this page again and check before you press again." : "";
    const text = `${fault.message}${fault.isOutcomeUnknown ? warning : ""}`;
    setText(this.result, [before, text].filter(Boolean).join(" "));
    if (fault.isSignedOut) this.result.append(" ", createSignInLink());
  }
}

/** Tries a payment again now, which decides nothing. */
async function retry(form) {
  const result = form.querySelector(".result");
  const button = form.querySelector("button");
  button.disabled = true;
  setText(result, "Working…");
  try {
    const status = describeStatus(await post("/api/admin/payments/retry", { payment: form.dataset.retry }));
    finish(result, `${status} Tried again: ${form.dataset.retry}`);
  } catch (fault) {
    if (!(fault instanceof AdminFault)) throw fault;
    setText(result, fault.message);
    if (fault.isSignedOut) result.append(" ", createSignInLink());
    button.disabled = false;
  }
}

export function handleSubmit(event) {
  const form = event.target;
  const name = Object.keys(DECISIONS).find((key) => key in form.dataset);
  if (!name && !("retry" in form.dataset)) return;
  event.preventDefault();
  if (!name) retry(form);
  else if (!form.classList.contains("asked")) new Decision(form, DECISIONS[name]).show();
}
