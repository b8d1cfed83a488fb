/** What a payment's state means to the payer: a title, a sentence, how far it is. Pure. */

import { dollars } from "./money.js";
import { heldCauses, paymentTexts, pendingCauses } from "./strings.js";

/** States that no longer move by themselves. */
const FINAL = new Set(["credited", "reversed", "failed"]);

/** After this long without a trace on the chain the sentence changes. */
const LONG_UNKNOWN_S = 60;

/** @typedef {{title: string, text: string, tone: "progress" | "good" | "warn" | "bad", share: number | null}} View */

export const isFinal = (state) => FINAL.has(state);

/** Whether money moved and the credit has still to come. */
export const isUnderWay = (state) => state === "confirming" || state === "pending" || state === "held";

/** What was added, or null where the price of one of them is not known here. */
function creditedCents({ payments }) {
  if (payments.some((one) => one.cents === null)) return null;
  return payments.reduce((sum, one) => sum + one.cents, 0);
}

/** The least advanced of the answer's payments, which gave the answer its state. */
const slowest = (answer) => answer.payments.find((one) => one.state === answer.state);

const VIEWS = {
  unknown: (answer, age, chain) => ({
    ...(age > LONG_UNKNOWN_S ? paymentTexts.unknownLong(chain) : paymentTexts.unknown(chain)),
    tone: age > LONG_UNKNOWN_S ? "warn" : "progress",
    share: null,
  }),
  confirming: (answer) => {
    const { confirmed = null, needed = null } = slowest(answer) ?? {};
    if (confirmed === null || !needed) return { ...paymentTexts.confirmingUncounted, tone: "progress", share: null };
    const message = paymentTexts.confirming(String(Math.min(confirmed, needed)), String(needed));
    return { ...message, tone: "progress", share: Math.min(1, confirmed / needed) };
  },
  pending: (answer) => ({
    title: paymentTexts.pendingTitle,
    text: pendingCauses[slowest(answer)?.cause ?? "none"] ?? pendingCauses.none,
    tone: "progress",
    share: null,
  }),
  credited: (answer) => {
    const cents = creditedCents(answer);
    if (cents === null) return { ...paymentTexts.creditedUnnamed, tone: "good", share: null };
    return { ...(cents ? paymentTexts.credited(dollars(cents)) : paymentTexts.creditedDust), tone: "good", share: null };
  },
  held: (answer) => ({
    title: paymentTexts.heldTitle,
    text: heldCauses[slowest(answer)?.cause] ?? heldCauses.stripe_refused,
    tone: "warn",
    share: null,
  }),
  reversed: () => ({ ...paymentTexts.reversed, tone: "warn", share: null }),
  failed: () => ({ ...paymentTexts.failed, tone: "bad", share: null }),
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
