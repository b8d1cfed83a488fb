/** The grant form: enter, then confirm. After an unclear failure it reads the ledger before anything else. */

import { createElement, requireElement, setText, setVisible } from "../shared/dom.js";
import { formatDollars, post } from "./api.js";
import { buildSignInUrl, restoreDraft, saveDraft } from "./drafts.js";
import { pause, refreshParts } from "./fresh_parts.js";

const STATUS_CHECKS = 8;
const STATUS_INTERVAL_MS = 2000;

function createButton(text, onPress) {
  const button = createElement("button", { type: "button", class: "primary" }, text);
  button.addEventListener("click", onPress);
  return button;
}

const createLink = (href, text) => createElement("a", { class: "button", href }, text);

/** One form's steps: entering → confirming → giving → result, or back. */
export class GrantForm {
  constructor(form, onReplaced) {
    this.form = form;
    this.onReplaced = onReplaced;
    this.entry = requireElement("grant-entry");
    this.confirm = requireElement("grant-confirm");
    this.result = requireElement("grant-result");
    this.giveButton = requireElement("grant-give");
    this.again = false;
    this.busy = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    this.giveButton.addEventListener("click", () => this.give());
    requireElement("grant-back").addEventListener("click", () => this.goBack());
    form.elements.note.addEventListener("input", () => this.countNote());
    if (restoreDraft(form)) this.countNote();
  }

  readRequest() {
    const { amount, reason, note } = this.form.elements;
    return { form: this.form.dataset.form, amount: amount.value, reason: reason.value, note: note.value };
  }

  countNote() {
    const note = this.form.elements.note;
    const length = [...note.value.trim()].length;
    const { fewest, most } = note.dataset;
    setText(requireElement("note-count"), `${length} of ${fewest} to ${most} characters. The note is stored with the entry.`);
  }

  /** Finds the first empty field and its sentence. */
  findMissing() {
    const { amount, reason, note } = this.form.elements;
    const fields = [
      [amount, "Write the amount in dollars, such as 7.50."],
      [reason, "Choose a reason."],
      [note, `Say why in at least ${note.dataset.fewest} characters.`],
    ];
    for (const [field, sentence] of fields) {
      field.removeAttribute("aria-invalid");
      if (!field.value.trim()) return [field, sentence];
    }
    return null;
  }

  showProblem(sentence, field = null) {
    const box = requireElement("grant-problem");
    setText(box, sentence);
    setVisible(box, Boolean(sentence));
    if (!field) return;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }

  async check() {
    if (this.busy) return;
    const missing = this.findMissing();
    if (missing) {
      this.showProblem(missing[1], missing[0]);
      return;
    }
    this.showProblem("");
    this.setBusy(true);
    try {
      this.askToConfirm(await post("/api/admin/grants/check", this.readRequest()));
    } catch (fault) {
      this.showFault(fault);
    } finally {
      this.setBusy(false);
    }
  }

  askToConfirm(preview) {
    this.preview = preview;
    this.again = preview.alike !== null;
    const amount = formatDollars(preview.cents);
    const wallet = preview.wallet ? `, wallet ${preview.wallet.slice(0, 6)}…${preview.wallet.slice(-4)}` : "";
    const owner = preview.owner ? `, which on the chain belongs to ${preview.owner}` : "";
    const balance = `balance ${formatDollars(preview.before_cents)} → ${formatDollars(preview.after_cents)}`;
    requireElement("grant-sentence").replaceChildren(
      `Give ${amount} to `,
      createElement("bdi", {}, preview.email ?? "a customer without an email address"),
      ` (${preview.customer}${wallet}${owner}), ${balance}, because: ${preview.reason}.`,
    );
    requireElement("grant-why").replaceChildren("Note: ", createElement("bdi", { dir: "auto" }, preview.note));
    const warning = requireElement("grant-alike");
    setVisible(warning, this.again);
    const repeated = this.again && `${preview.alike.operator} gave this customer ${amount} within the last ten minutes. Give it again only if you mean to.`;
    setText(warning, repeated || "");
    const warnings = requireElement("grant-warnings");
    setVisible(warnings, preview.warnings.length > 0);
    setText(warnings, preview.warnings.join(" "));
    setText(this.giveButton, this.again ? `Give ${amount} once more` : `Give ${amount}`);
    setVisible(this.entry, false);
    setVisible(this.confirm, true);
    requireElement("grant-sentence").focus();
  }

  goBack() {
    if (this.busy) return;
    setVisible(this.confirm, false);
    setVisible(this.entry, true);
    this.form.elements.amount.focus();
  }

  async give() {
    if (this.busy) return;
    this.setBusy(true);
    setText(requireElement("live"), "Giving…");
    try {
      const grant = await post("/api/admin/grants", { ...this.readRequest(), again: this.again, alike: this.preview?.alike?.reservation ?? "" });
      await (grant.state === "open" ? this.pollStatus() : this.showGrant(grant));
    } catch (fault) {
      if (fault.isOutcomeUnknown) await this.pollStatus();
      else this.showFault(fault);
    } finally {
      this.setBusy(false);
    }
  }

  /** The outcome is unknown: reads the ledger until it shows one. */
  async pollStatus() {
    this.showResult("We do not know yet whether it was given. Checking…", "Do not press again. We are reading the ledger.");
    for (let checks = 0; checks < STATUS_CHECKS; checks += 1) {
      try {
        const { grant } = await post("/api/admin/grants/status", { form: this.form.dataset.form });
        if (grant && grant.state !== "open") return this.showGrant(grant);
        if (!grant && checks > 0) return this.showNotGiven();
      } catch (fault) {
        if (fault.isSignedOut) return this.showFault(fault);
      }
      await pause(STATUS_INTERVAL_MS);
    }
    this.showResult(
      "We still do not know whether it was given.",
      "The service completes or undoes it by itself. It is never given twice. Open this page again in a few minutes. Do not give it again before.",
      createButton("Check again", () => this.pollStatus()),
    );
  }

  showNotGiven() {
    this.showResult(
      "Nothing was given so far.",
      "The ledger does not show this grant. You can press again: this form gives at most once.",
      createButton(`Give ${formatDollars(this.preview.cents)}`, () => this.give()),
    );
  }

  /** Says that an earlier press of this form counts, where it was made with other words. */
  describeEarlierWords(grant) {
    if (!this.preview || (grant.note === this.preview.note && grant.reason === this.preview.reason)) return "";
    return ` This form was used before, and what it said then stands: ${grant.reason}, “${grant.note}”. The new words were not stored.`;
  }

  showGrant(grant) {
    const amount = formatDollars(grant.cents);
    const openLedger = createLink(location.pathname, "See it in the ledger");
    if (grant.state === "given") {
      const balance = grant.after_cents === null ? "" : ` The balance is ${formatDollars(grant.after_cents)}.`;
      if (grant.after_cents !== null) setText(requireElement("balance"), formatDollars(grant.after_cents));
      this.showResult(`Given: ${amount}.`, `Entry ${grant.credit}.${balance} You can take it back within ten minutes.${this.describeEarlierWords(grant)}`, openLedger, createLink(location.pathname, "Done"));
      this.showInLedger(grant.credit, openLedger);
    } else if (grant.state === "refused") {
      this.showResult("The grant was refused.", `Nothing was given: ${grant.why}.`, createLink(location.pathname, "Start again"));
    } else {
      this.showResult("The grant was taken back.", `${amount} was removed from the balance: ${grant.why}.`, openLedger);
    }
  }

  /** Brings caps and ledger of the page up to date; the result stays until Done. */
  async showInLedger(credit, link) {
    if (await refreshParts(credit, this.onReplaced)) link.href = `#${credit}`;
  }

  showResult(title, detail, ...next) {
    setVisible(this.entry, false);
    setVisible(this.confirm, false);
    setVisible(this.result, true);
    setText(requireElement("grant-outcome"), title);
    setText(requireElement("grant-detail"), detail);
    requireElement("grant-next").replaceChildren(...next);
    requireElement("grant-outcome").focus();
  }

  showFault(fault) {
    if (fault.isSignedOut) {
      saveDraft(this.form);
      this.showResult("Sign in first.", `${fault.message} What you typed is kept.`, createLink(buildSignInUrl(), "Sign in"));
      return;
    }
    setVisible(this.confirm, false);
    setVisible(this.result, false);
    setVisible(this.entry, true);
    this.showProblem(fault.reference ? `${fault.message} (Reference ${fault.reference})` : fault.message);
    requireElement("grant-continue").focus();
  }

  setBusy(busy) {
    this.busy = busy;
    this.form.setAttribute("aria-busy", String(busy));
    for (const button of [this.giveButton, requireElement("grant-continue")]) button.disabled = busy;
  }
}
