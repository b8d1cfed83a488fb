/** The grant in two steps: what to give, then the sentence. After an unclear failure the ledger is read first. */

import { byId, element, setText, show } from "../shared/dom.js";
import { inDollars, send } from "./api.js";
import { keepTyped, restoreTyped, signInAddress } from "./drafts.js";

const LOOKS = 8;
const PAUSE_MS = 2000;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** One form's life: entering → confirming → giving → done, or back. */
export class GrantForm {
  constructor(form) {
    this.form = form;
    this.entry = byId("grant-entry");
    this.confirm = byId("grant-confirm");
    this.result = byId("grant-result");
    this.giving = byId("grant-give");
    this.again = false;
    this.busy = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    this.giving.addEventListener("click", () => this.give());
    byId("grant-back").addEventListener("click", () => this.back());
    form.elements.note.addEventListener("input", () => this.count());
    if (restoreTyped(form)) this.count();
  }

  wish() {
    const { amount, reason, note } = this.form.elements;
    return { form: this.form.dataset.form, amount: amount.value, reason: reason.value, note: note.value };
  }

  count() {
    const note = this.form.elements.note;
    const length = [...note.value.trim()].length;
    const { fewest, most } = note.dataset;
    setText(byId("note-count"), `${length} of ${fewest} to ${most} characters. It is kept on the entry.`);
  }

  /** The first field that is not filled in says so itself. */
  missing() {
    const { amount, reason, note } = this.form.elements;
    const problems = [
      [amount, "Write the amount in dollars, such as 7.50."],
      [reason, "Choose a reason."],
      [note, `Say why in at least ${note.dataset.fewest} characters.`],
    ];
    for (const [field, sentence] of problems) {
      field.removeAttribute("aria-invalid");
      if (!field.value.trim()) return [field, sentence];
    }
    return null;
  }

  problem(sentence, field = null) {
    const box = byId("grant-problem");
    setText(box, sentence);
    show(box, Boolean(sentence));
    if (!field) return;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }

  async check() {
    if (this.busy) return;
    const missing = this.missing();
    if (missing) {
      this.problem(missing[1], missing[0]);
      return;
    }
    this.problem("");
    this.work(true);
    try {
      this.ask(await send("/api/admin/grants/check", this.wish()));
    } catch (fault) {
      this.failed(fault);
    } finally {
      this.work(false);
    }
  }

  ask(facts) {
    this.facts = facts;
    this.again = facts.alike !== null;
    const amount = inDollars(facts.cents);
    const wallet = facts.wallet ? ` (${facts.wallet.slice(0, 6)}…${facts.wallet.slice(-4)})` : "";
    const balance = `balance ${inDollars(facts.before_cents)} → ${inDollars(facts.after_cents)}`;
    byId("grant-sentence").replaceChildren(
      `Give ${amount} to `,
      element("bdi", {}, facts.email ?? facts.customer),
      `${wallet}, ${balance}, because: ${facts.reason}.`,
    );
    byId("grant-why").replaceChildren("Note: ", element("bdi", { dir: "auto" }, facts.note));
    const alike = byId("grant-alike");
    show(alike, this.again);
    setText(alike, this.again ? `${amount} were given to this customer within the last ten minutes. Give it a second time only if you mean to.` : "");
    setText(this.giving, this.again ? `Give ${amount} once more` : `Give ${amount}`);
    show(this.entry, false);
    show(this.confirm, true);
    byId("grant-sentence").focus();
  }

  back() {
    if (this.busy) return;
    show(this.confirm, false);
    show(this.entry, true);
    this.form.elements.amount.focus();
  }

  async give() {
    if (this.busy) return;
    this.work(true);
    setText(byId("live"), "Giving…");
    try {
      const grant = await send("/api/admin/grants", { ...this.wish(), again: this.again });
      await (grant.state === "open" ? this.look() : this.done(grant));
    } catch (fault) {
      if (fault.unclear) await this.look();
      else this.failed(fault);
    } finally {
      this.work(false);
    }
  }

  /** Nobody knows whether it went through: ask the ledger until it tells. */
  async look() {
    this.outcome("Not sure that it went through. Checking…", "Do not press again; the ledger is being read.");
    for (let tries = 0; tries < LOOKS; tries += 1) {
      try {
        const { grant } = await send("/api/admin/grants/status", { form: this.form.dataset.form });
        if (grant && grant.state !== "open") return this.done(grant);
        if (!grant && tries > 0) return this.absent();
      } catch (fault) {
        if (fault.signedOut) return this.failed(fault);
      }
      await pause(PAUSE_MS);
    }
    this.outcome(
      "Still not known.",
      "It is completed or undone by itself, once at most. Look at this page again in a few minutes; do not give it again before.",
      this.button("Check again", () => this.look()),
    );
  }

  absent() {
    this.outcome(
      "Nothing was given so far.",
      "The ledger shows nothing of it. Press again here: this form gives once at most, whatever became of the first press.",
      this.button(`Give ${inDollars(this.facts.cents)}`, () => this.give()),
    );
  }

  done(grant) {
    const amount = inDollars(grant.cents);
    const anew = element("a", { class: "button", href: location.pathname }, "See it in the ledger");
    if (grant.state === "given") {
      const balance = grant.after_cents === null ? "" : ` The balance is ${inDollars(grant.after_cents)}.`;
      if (grant.after_cents !== null) setText(byId("balance"), inDollars(grant.after_cents));
      this.outcome(`Given: ${amount}.`, `Entry ${grant.credit}.${balance} You can take it back for ten minutes.`, anew);
    } else if (grant.state === "refused") {
      this.outcome("It was refused.", `Nothing was given: ${grant.why}.`, element("a", { class: "button", href: location.pathname }, "Begin again"));
    } else {
      this.outcome("It was taken back.", `${amount} are off the balance again: ${grant.why}.`, anew);
    }
  }

  outcome(title, detail, ...next) {
    show(this.entry, false);
    show(this.confirm, false);
    show(this.result, true);
    setText(byId("grant-outcome"), title);
    setText(byId("grant-detail"), detail);
    byId("grant-next").replaceChildren(...next);
    byId("grant-outcome").focus();
  }

  button(text, press) {
    const made = element("button", { type: "button", class: "primary" }, text);
    made.addEventListener("click", press);
    return made;
  }

  failed(fault) {
    if (fault.signedOut) {
      keepTyped(this.form);
      this.outcome("Sign in first.", `${fault.message} What you typed is kept.`, element("a", { class: "button", href: signInAddress() }, "Sign in"));
      return;
    }
    show(this.confirm, false);
    show(this.result, false);
    show(this.entry, true);
    this.problem(fault.reference ? `${fault.message} (Reference ${fault.reference})` : fault.message);
    byId("grant-continue").focus();
  }

  work(busy) {
    this.busy = busy;
    this.form.setAttribute("aria-busy", String(busy));
    for (const one of [this.giving, byId("grant-continue")]) one.disabled = busy;
  }
}
