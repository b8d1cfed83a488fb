/** What a payment's state means to the payer: a title, a sentence, how far it is. Pure. */

import { dollars } from "./money.js";
import { heldCauses, payment as texts, pendingCauses } from "./strings.js";

/** States that no longer move by themselves. */
const FINAL = new Set(["credited", "reversed", "failed"]);

/** After this long without a trace on the chain the sentence changes. */
const LONG_UNKNOWN_S = 120;

/** @typedef {{title: string, text: string, tone: "progress" | "good" | "warn" | "bad", share: number | null}} View */

export const isFinal = (state) => FINAL.has(state);

/** Whether money moved and the credit has still to come. */
export const isUnderWay = (state) => state === "confirming" || state === "pending" || state === "held";

const creditedCents = (answer) => answer.payments.reduce((sum, one) => sum + one.cents, 0);

/** The least advanced of the answer's payments, which gave the answer its state. */
const slowest = (answer) => answer.payments.find((one) => one.state === answer.state);

const VIEWS = {
  unknown: (answer, age, chain) => ({
    ...(age > LONG_UNKNOWN_S ? texts.unknownLong(chain) : texts.unknown(chain)),
    tone: age > LONG_UNKNOWN_S ? "warn" : "progress",
    share: null,
  }),
  confirming: (answer) => {
    const { confirmed = null, needed = null } = slowest(answer) ?? {};
    if (confirmed === null || !needed) return { ...texts.confirmingUncounted, tone: "progress", share: null };
    const message = texts.confirming(String(Math.min(confirmed, needed)), String(needed));
    return { ...message, tone: "progress", share: Math.min(1, confirmed / needed) };
  },
  pending: (answer) => ({
    title: texts.pendingTitle,
    text: pendingCauses[slowest(answer)?.cause ?? "none"] ?? pendingCauses.none,
    tone: "progress",
    share: null,
  }),
  credited: (answer) => {
    const cents = creditedCents(answer);
    return { ...(cents ? texts.credited(dollars(cents)) : texts.creditedDust), tone: "good", share: null };
  },
  held: (answer) => ({
    title: texts.heldTitle,
    text: heldCauses[slowest(answer)?.cause] ?? heldCauses.stripe_refused,
    tone: "warn",
    share: null,
  }),
  reversed: () => ({ ...texts.reversed, tone: "warn", share: null }),
  failed: () => ({ ...texts.failed, tone: "bad", share: null }),
};

/**
 * @param {any} answer of the payments API, or null before the first one
 * @param {number} age seconds since the page learned of the transaction
 * @param {string} chain the chain's name
 */
export function describe(answer, age, chain) {
  const view = VIEWS[answer?.state] ?? VIEWS.unknown;
  return view(answer, age, chain);
}
