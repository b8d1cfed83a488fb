/** Chooses the next action from the page's state. Pure: no wallet, no network, no DOM. */

import { convertToCents, formatCoins, formatCountdown, formatDollars, formatFee, formatTokens } from "./money.js";
import { isFinal, isSettled } from "./states.js";
import { buttonLabels, coinShortage, notEnoughLabel, payLessLabel, tokenShortage } from "./strings.js";

/** The payer may start again when the chain shows nothing for so long. */
const GIVE_UP_S = 180;

/** Each action's position in the list of five steps. */
const POSITIONS = { connect: 0, switch: 1, quote: 2, blocked: 2, allow: 2, short: 2, pay: 3, wait: 4, again: 5, receipt: 5, retry: 3 };

/** Gas of the calls, a little more than measured. */
const ALLOW_GAS = 60_000n;
const PAY_GAS = 220_000n;

/**
 * @typedef {object} PageState
 * @property {any} account
 * @property {number} limit cents that the account may pay within 24 hours
 * @property {any[]} payments
 * @property {number | null} cents
 * @property {string} amountFault why the amount cannot be read
 * @property {any} quote
 * @property {import("./api.js").ApiFault | null} quoteFault
 * @property {number | null} retryAt when the price is asked for again by itself
 * @property {boolean} quoting
 * @property {import("./wallets.js").Wallet[]} wallets
 * @property {import("./wallets.js").Wallet | null} wallet
 * @property {string | null} payer
 * @property {string | null} chainId
 * @property {{tokens: bigint | null, coins: bigint | null, gasPrice: bigint | null, coinPrice: bigint | null} | null} holdings
 * @property {boolean} atomic whether the wallet takes all calls in one prompt
 * @property {boolean} canPermit whether the allowance may be a signature
 * @property {string | null} permit that signature, as the gateway's call
 * @property {number} sent how many of the quote's calls are done
 * @property {string[]} accepted payments that the payer wants to add to
 * @property {string} busy the action whose answer we wait for, or ""
 * @property {import("./strings.js").Message & {walletMessage?: string} | null} notice
 * @property {{hash: string, since: number, answer: any, fault: any} | null} tracked
 * @property {import("./payment_attempts.js").Attempt | null} attempt
 * @property {{busy: string, since: number}} waiting since when `busy` is what it is
 * @property {number} now
 */

function lacksTokens({ quote, holdings }) {
  return Boolean(quote && holdings && holdings.tokens !== null && holdings.tokens < BigInt(quote.amount));
}

function chooseTrackedStep({ answer, since }, now) {
  const state = answer?.state ?? "unknown";
  if (state === "failed" || state === "unrelated" || (state === "unknown" && now - since > GIVE_UP_S)) return "retry";
  if (isSettled(answer) && answer.payments.length) return "receipt";
  return isFinal(state) ? "again" : "wait";
}

export function chooseStep(state, chain) {
  if (state.tracked) return chooseTrackedStep(state.tracked, state.now);
  // Connecting leads nowhere while nothing can be paid.
  if (state.quoteFault && !state.quote) return "blocked";
  if (!state.payer) return "connect";
  if (state.chainId !== chain.hex) return "switch";
  if (!state.quote) return "quote";
  if (lacksTokens(state)) return "short";
  return state.sent < state.quote.calls.length - 1 && !state.atomic ? "allow" : "pay";
}

export const getStepPosition = (step) => POSITIONS[step];

export function chooseLabel(state, step, { chain, token }) {
  if (state.busy) return buttonLabels[state.busy];
  const amount = state.quote ? formatTokens(state.quote.amount, token) : "";
  switch (step) {
    case "switch":
      return buttonLabels.switch(chain.name);
    case "blocked":
      if (state.quoting || !state.retryAt) return state.quoting ? buttonLabels.quoting : buttonLabels.blocked;
      return buttonLabels.retryIn(formatCountdown(state.retryAt - state.now));
    case "quote":
      return state.quoting ? buttonLabels.quoting : buttonLabels.quote;
    case "short":
      return notEnoughLabel(token.symbol);
    case "allow":
      return buttonLabels.allow(amount);
    case "pay":
      return buttonLabels.pay(amount);
    case "wait":
      if (state.tracked?.fault) return buttonLabels.unreadable;
      return state.tracked?.answer?.state === "pending" ? buttonLabels.crediting : buttonLabels.waiting(chain.name);
    default:
      return buttonLabels[step];
  }
}

/** Estimates the network fee of the calls, in the chain's coin. Null while the gas price is unknown. */
export function estimateNetworkFee({ quote, holdings }) {
  if (!quote || !holdings?.gasPrice) return null;
  return holdings.gasPrice * (PAY_GAS + (quote.calls.length > 1 ? ALLOW_GAS : 0n));
}

/** Finds what prevents a payment before the wallet is asked, and a smaller amount if that helps. */
export function findObstacle(state, step, { chain, token }) {
  const { quote, holdings, account } = state;
  if (step === "short") {
    const cents = convertToCents(holdings.tokens, quote);
    const message = tokenShortage(formatTokens(holdings.tokens, token), formatTokens(quote.amount, token), token.symbol, chain.name);
    const less = cents >= account.minimum_cents ? { cents, label: payLessLabel(formatDollars(cents)) } : null;
    return { ...message, less };
  }
  const fee = estimateNetworkFee(state);
  const held = holdings?.coins ?? null;
  const sending = step === "allow" || step === "pay";
  if (!sending || held === null || held >= (fee ?? 1n)) return null;
  const needed = fee === null ? "" : formatFee(fee, holdings.coinPrice, chain.currency);
  return { ...coinShortage(chain.currency.symbol, chain.name, needed, formatCoins(held, chain.currency)), less: null };
}
