/** The next action, read off the page's state. Pure: no wallet, no network, no nodes. */

import { centsOf, coins, dollars, tokens } from "./money.js";
import { isFinal } from "./states.js";
import { actions, notEnough, payLess, tokensShort, tooFewCoins } from "./strings.js";

/** A payment that the chain never showed may be started again after this. */
const GIVE_UP_S = 180;

/** Where each action stands in the list of five steps. */
const POSITIONS = { connect: 0, switch: 1, quote: 2, allow: 2, short: 2, pay: 3, wait: 4, again: 5, receipt: 5, retry: 3 };

/** Gas that the calls take, a little more than measured. */
const ALLOW_GAS = 60_000n;
const PAY_GAS = 220_000n;

/**
 * @typedef {object} PageState
 * @property {any} account
 * @property {any[]} payments
 * @property {number | null} cents
 * @property {any} quote
 * @property {import("./api.js").ApiFault | null} quoteFault
 * @property {boolean} quoting
 * @property {import("./wallets.js").Wallet[]} wallets
 * @property {import("./wallets.js").Wallet | null} wallet
 * @property {string | null} payer
 * @property {string | null} chainId
 * @property {{tokens: bigint | null, coins: bigint | null, gasPrice: bigint | null} | null} holdings
 * @property {boolean} atomic whether the wallet takes all calls in one prompt
 * @property {boolean} canPermit whether the allowance may be a signature
 * @property {string | null} permit that signature, as the gateway's call
 * @property {number} sent how many of the quote's calls are done
 * @property {string} busy the action whose answer we wait for, or ""
 * @property {import("./strings.js").Message & {said?: string} | null} notice
 * @property {{hash: string, since: number, answer: any, fault: any} | null} tracked
 * @property {number} now
 */

function lacksTokens({ quote, holdings }) {
  return Boolean(quote && holdings && holdings.tokens !== null && holdings.tokens < BigInt(quote.amount));
}

function trackedStep({ answer, since }, now) {
  const state = answer?.state ?? "unknown";
  if (state === "failed" || (state === "unknown" && now - since > GIVE_UP_S)) return "retry";
  if (state === "credited" && answer.payments.length) return "receipt";
  return isFinal(state) || state === "held" ? "again" : "wait";
}

export function nextStep(state, chain) {
  if (state.tracked) return trackedStep(state.tracked, state.now);
  if (!state.payer) return "connect";
  if (state.chainId !== chain.hex) return "switch";
  if (!state.quote) return "quote";
  if (lacksTokens(state)) return "short";
  return state.sent < state.quote.calls.length - 1 && !state.atomic ? "allow" : "pay";
}

export const positionOf = (step) => POSITIONS[step];

export function labelOf(state, step, { chain, token }) {
  if (state.busy) return actions[state.busy];
  const amount = state.quote ? tokens(state.quote.amount, token) : "";
  switch (step) {
    case "switch":
      return actions.switch(chain.name);
    case "quote":
      return state.quoting ? actions.quoting : actions.quote;
    case "short":
      return notEnough(token.symbol);
    case "allow":
      return actions.allow(amount);
    case "pay":
      return actions.pay(amount);
    case "wait":
      return state.tracked?.answer?.state === "pending" ? actions.crediting : actions.waiting(chain.name);
    default:
      return actions[step];
  }
}

/** What the network will take for the calls, in its coin; null where its price is not known. */
export function networkFee({ quote, holdings }) {
  if (!quote || !holdings?.gasPrice) return null;
  return holdings.gasPrice * (PAY_GAS + (quote.calls.length > 1 ? ALLOW_GAS : 0n));
}

/** What stands in the way before the wallet is even asked, with a way out where there is one. */
export function obstacle(state, step, { chain, token }) {
  const { quote, holdings, account } = state;
  if (step === "short") {
    const cents = centsOf(holdings.tokens, quote);
    const message = tokensShort(tokens(holdings.tokens, token), tokens(quote.amount, token), token.symbol, chain.name);
    const less = cents >= account.minimum_cents ? { cents, label: payLess(dollars(cents)) } : null;
    return { ...message, less };
  }
  const fee = networkFee(state);
  const held = holdings?.coins ?? null;
  const sending = step === "allow" || step === "pay";
  if (!sending || held === null || held >= (fee ?? 1n)) return null;
  const needed = fee === null ? "" : coins(fee, chain.currency);
  return { ...tooFewCoins(chain.currency.symbol, chain.name, needed, coins(held, chain.currency)), less: null };
}
