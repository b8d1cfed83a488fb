/** Renders the page's state; never changes it. */

import { announce, createElement, requireElement, setText, setVisible } from "../shared/dom.js";
import { isPayable } from "./amounts.js";
import { createExplorerLink } from "./explorer.js";
import { formatAge, formatCoins, formatCountdown, formatDate, formatDollarInput, formatDollars, formatExactTokens, formatFee, formatPercent, formatRate, formatTokens, shortenHex } from "./money.js";
import { formatWorth } from "./payment_list.js";
import { getSecondsLeft } from "./quotes.js";
import { describePayment, findDoubled, isFinal, isSettled, isUnderWay } from "./states.js";
import { chooseLabel, chooseStep, estimateNetworkFee, findObstacle, getStepPosition } from "./steps.js";
import {
  amountFaults,
  attemptExpired,
  attemptTexts,
  buttonLabels,
  doubledWarnings,
  outcomesOfLatest,
  phrases,
  pollingFaults,
  serviceFaults,
  waitingTexts,
  waitingTitle,
  walletFaults,
} from "./strings.js";

/** The payer may close the page: shown after this long. */
const CLOSE_HINT_S = 60;

/** A wallet that takes longer to answer may hang. */
const WALLET_PATIENCE_S = 20;

/** The length of the countdown ring, as the SVG's pathLength. */
const RING_LENGTH = 100;

/** @typedef {import("./steps.js").PageState} PageState */

/** Describes the account's limit in 24 hours, once it is in the way. */
function describeLimit({ minimum_cents: minimum, maximum_cents: maximum, maximum_resets_at: resetsAt }, limit) {
  if (!resetsAt) return maximum < minimum ? amountFaults.uncounted : amountFaults.above_maximum(formatDollars(maximum));
  if (maximum < minimum) return amountFaults.limit_reached(formatDollars(limit), formatDate(resetsAt));
  return amountFaults.above_rest(formatDollars(maximum), formatDollars(limit), formatDate(resetsAt));
}

function describeAmountFault({ cents, account, amountFault, limit }) {
  if (isPayable(cents, account)) return "";
  if (account.maximum_cents < account.minimum_cents) return describeLimit(account, limit);
  if (cents === null) return amountFaults[amountFault]?.(formatDollarInput(1250)) ?? amountFault;
  if (cents < account.minimum_cents) return amountFaults.below_minimum(formatDollars(account.minimum_cents));
  return describeLimit(account, limit);
}

function showAmount(state) {
  const fault = describeAmountFault(state);
  const { minimum_cents: minimum, maximum_cents: maximum } = state.account;
  const fixed = Boolean(state.busy || state.tracked);
  setText(requireElement("limits"), fault || phrases.limits(formatDollars(minimum), formatDollars(maximum)));
  requireElement("limits").classList.toggle("fault", Boolean(fault));
  for (const input of [requireElement("usd"), requireElement("tokens")]) {
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    input.readOnly = fixed;
  }
  for (const preset of document.querySelectorAll("button.preset")) {
    const button = preset;
    button.setAttribute("aria-pressed", String(Number(button.value) * 100 === state.cents));
    button.disabled = fixed;
  }
}

function formatRateLine(quote, token, now) {
  const source = phrases.rateSource(quote.rate_source, formatAge(now - quote.rate_at));
  const discount = quote.discount_bps
    ? ` · ${phrases.discount(formatPercent(quote.discount_bps), formatRate(quote.market_rate))}`
    : "";
  return { rate: phrases.rate(formatRate(quote.rate), token.symbol), source: source + discount };
}

/** Shows the countdown as a ring and a text. Screen readers do not hear every second. */
function showValidity({ quote, tracked }) {
  const shown = Boolean(quote && !tracked);
  requireElement("ring").toggleAttribute("hidden", !shown);
  if (!shown) return setText(requireElement("validity"), "");
  const seconds = Math.max(0, getSecondsLeft(quote));
  setText(requireElement("validity"), seconds > 0 ? phrases.held(formatCountdown(seconds)) : phrases.renewing);
  const share = Math.min(RING_LENGTH, (RING_LENGTH * seconds) / quote.seconds);
  return requireElement("ring").lastElementChild.setAttribute("stroke-dasharray", `${share} ${RING_LENGTH}`);
}

/** Describes how often the wallet will ask. */
function describePrompts({ payer, quote, atomic, canPermit, sent }) {
  if (!payer || !quote) return "";
  if (sent) return phrases.oncePromptedMore;
  if (atomic || quote.calls.length === 1) return phrases.oncePrompted;
  return canPermit ? phrases.signThenPay : phrases.twicePrompted;
}

/** Formats what the paying account holds before and after the payment. */
function formatHoldings({ holdings, quote, tracked }, token) {
  if (tracked || !quote || typeof holdings?.tokens !== "bigint") return "";
  const rest = holdings.tokens - BigInt(quote.amount);
  return rest < 0n ? "" : phrases.holdings(formatTokens(holdings.tokens, token), formatTokens(rest, token));
}

/** Describes the fee: in dollars if the coin's price is known. */
function describeFee(fee, { coinPrice }, currency) {
  const amount = formatFee(fee, coinPrice, currency);
  return amount === formatDollars(1) ? phrases.feeUnder(amount) : phrases.fee(amount);
}

/** Shows the fee in the line below the button, and with its amount of the coin in the details. */
function showFee(state, { currency }) {
  const fee = estimateNetworkFee(state);
  const line = fee === null ? phrases.feeUnknown : describeFee(fee, state.holdings, currency);
  const coins = fee === null || !state.holdings.coinPrice ? "" : ` (${formatCoins(fee, currency)})`;
  setText(document.querySelector(".fee"), line);
  setText(requireElement("fee"), line + coins);
}

function showPrice({ quote, now }, token) {
  setText(requireElement("amount"), quote ? formatTokens(quote.amount, token) : "–");
  requireElement("amount").title = quote ? formatExactTokens(quote.amount, token) : "";
  setText(requireElement("added"), quote ? phrases.added(formatDollars(quote.cents)) : "–");
  const line = quote ? formatRateLine(quote, token, now) : { rate: "–", source: "" };
  setText(requireElement("rate"), line.rate);
  setText(requireElement("rate-source"), line.source);
}

function showQuote(state, { chain, token, offer }) {
  const { quote, lastQuote, quoting, cents } = state;
  requireElement("quote").classList.toggle("stale", quoting || !quote);
  // The document holds the price of the first amount until a quote of it arrives.
  const isOffered = quoting && !quote && !lastQuote && offer?.cents === cents;
  if (!isOffered) showPrice(state, token);
  showValidity(state);
  setText(requireElement("holding"), formatHoldings(state, token));
  showFee(state, chain);
  setText(requireElement("prompts"), state.tracked ? "" : describePrompts(state));
  const spender = requireElement("spender");
  const address = quote?.gateway ?? "";
  if (address && spender.title !== address) {
    spender.title = address;
    spender.replaceChildren(createExplorerLink(chain.explorer, "address", address, shortenHex(address)));
  }
}

function showPayer({ payer, account, busy }) {
  setVisible(requireElement("change-wallet"), Boolean(payer) || busy === "connecting");
  setVisible(requireElement("disconnect"), Boolean(payer));
  const node = requireElement("payer");
  const own = payer?.toLowerCase() === account.wallet.toLowerCase();
  const line = own ? phrases.payerIs : phrases.payerOther;
  setText(node, payer ? line(shortenHex(payer), shortenHex(account.wallet)) : "");
  node.title = payer ?? "";
}

/** Chooses the warning about a payment that another one may double, unless the page tracks one. */
function chooseWarning(state) {
  const doubled = state.tracked ? [] : findDoubled(state);
  const payment = doubled.find((candidate) => isUnderWay(candidate.state)) ?? doubled[0];
  return payment ? doubledWarnings[payment.state](formatWorth(payment), formatAge(state.now - payment.time)) : null;
}

function showMessage(box, message, fine = "") {
  setVisible(box, Boolean(message));
  setText(box.querySelector(".title"), message?.title ?? "");
  setText(box.querySelector(".text"), message?.text ?? "");
  const small = box.querySelector(".fine");
  if (small) setText(small, fine);
}

function formatReference(fault) {
  return fault?.reference ? phrases.reference(fault.reference) : "";
}

function quoteWallet(message) {
  return message ? phrases.walletMessage(message) : "";
}

/** Describes a payment that may have been sent. */
function describeAttempt({ reason, state, message }) {
  const { title } = attemptTexts[reason] ?? walletFaults[reason];
  const { text } = attemptTexts[reason] ?? attemptTexts.unclear;
  return { ...(state === "undecided" ? attemptExpired : { title, text }), less: null, fine: quoteWallet(message) };
}

/** While an earlier payment is undecided, a notice speaks of the latest request alone. */
function limitToRequest(notice, attempt) {
  return notice && attempt ? { ...notice, text: outcomesOfLatest.reduce((text, [all, latest]) => text.replace(all, latest), notice.text) } : notice;
}

/** Chooses the most urgent notice. */
function chooseNotice(state, step, config) {
  if (state.notice) return { ...state.notice, less: null, fine: quoteWallet(state.notice.walletMessage) };
  if (state.tracked || state.busy) return null;
  if (state.attempt?.reason) return describeAttempt(state.attempt);
  const fault = state.quoteFault;
  if (fault && !describeAmountFault(state)) {
    return { ...(serviceFaults[fault.code] ?? serviceFaults.unexpected), less: null, fine: formatReference(fault) };
  }
  const obstacle = findObstacle(state, step, config);
  return obstacle && { ...obstacle, fine: "" };
}

function showNotice(notice) {
  showMessage(requireElement("notice"), notice, notice?.fine);
  const less = requireElement("pay-less");
  setVisible(less, Boolean(notice?.less));
  if (notice?.less) {
    setText(less, notice.less.label);
    less.value = String(notice.less.cents);
  }
}

/** Shows what the page waits for when a wallet does not answer. */
function showWaiting({ busy, waiting, now, attempt }) {
  const text = now - waiting.since >= WALLET_PATIENCE_S ? waitingTexts[busy] : undefined;
  const notice = text ? limitToRequest({ title: waitingTitle, text }, attempt?.reason && attempt) : null;
  showMessage(requireElement("waiting"), notice);
  return notice;
}

function showTracked({ tracked, now }, { chain }) {
  const box = requireElement("status");
  setVisible(box, Boolean(tracked));
  if (!tracked) return null;
  const age = now - tracked.since;
  const view = describePayment(tracked.answer, age, chain.name);
  box.className = `panel ${view.tone}`;
  setText(requireElement("status-title"), tracked.fault ? pollingFaults.title : view.title);
  setText(requireElement("status-text"), tracked.fault ? pollingFaults.temporary : view.text);
  const waiting = view.tone === "progress";
  const bar = requireElement("status-bar");
  setVisible(bar, waiting);
  if (view.share === null) bar.removeAttribute("value");
  else bar.value = view.share;
  const open = !isFinal(tracked.answer?.state);
  setText(requireElement("status-hint"), open && age > CLOSE_HINT_S ? phrases.closeHint : "");
  setText(requireElement("status-reference"), formatReference(tracked.fault));
  const link = requireElement("status-tx");
  if (link.title !== tracked.hash) {
    link.title = tracked.hash;
    link.replaceChildren(`${phrases.transaction} `, createExplorerLink(chain.explorer, "tx", tracked.hash, shortenHex(tracked.hash)));
  }
  return tracked.fault ? { ...view, title: pollingFaults.title } : view;
}

/** Puts the result in the place of the form once the payer is done. */
function showResult({ tracked }, { token }) {
  const settled = isSettled(tracked?.answer);
  for (const id of ["terms", "paying", "more", "steps"]) setVisible(requireElement(id), !settled);
  for (const id of ["result", "again"]) setVisible(requireElement(id), settled);
  for (const id of ["back", "elsewhere"]) document.getElementById(id)?.toggleAttribute("hidden", settled);
  const back = document.getElementById("result-back");
  back?.toggleAttribute("hidden", !settled);
  requireElement("primary").classList.toggle("second", Boolean(settled && back));
  const payments = settled ? tracked.answer.payments : [];
  const paid = payments.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  setText(requireElement("result-paid"), formatTokens(paid, token));
  setText(requireElement("result-time"), payments.length ? formatDate(payments[0].time) : "");
}

function showButton(state, step, config) {
  const button = requireElement("primary");
  const idle = step === "wait" || step === "short" || step === "blocked" || Boolean(state.busy) || Boolean(describeAmountFault(state) && !state.tracked);
  setText(button, chooseLabel(state, step, config));
  // A disabled button would lose the focus while it waits.
  button.setAttribute("aria-disabled", String(idle));
  button.classList.toggle("working", Boolean(state.busy) || step === "wait");
}

function showSteps({ tracked, payer }, step) {
  const ended = tracked?.answer && isFinal(tracked.answer.state);
  const position = ended && tracked.answer.state === "credited" ? 5 : Math.min(getStepPosition(step === "blocked" && !payer ? "connect" : step), 4);
  for (const [index, item] of [...requireElement("steps").children].entries()) {
    const done = index < position;
    item.classList.toggle("done", done);
    setText(item.querySelector(".note"), done ? phrases.stepDone : "");
    if (index === position) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

export function render(state, config) {
  const step = chooseStep(state, config.chain);
  showAmount(state);
  showQuote(state, config);
  showPayer(state);
  showMessage(requireElement("warning"), chooseWarning(state));
  const notice = limitToRequest(chooseNotice(state, step, config), state.attempt);
  showNotice(notice);
  const waiting = showWaiting(state);
  const view = showTracked(state, config);
  showResult(state, config);
  showButton(state, step, config);
  showSteps(state, step);
  // Announce one thing: the notice, else the payment, else the wallet's request. Counters stay silent.
  const message = notice ?? waiting;
  announce(message ? `${message.title}. ${message.text}` : (view?.title ?? buttonLabels[state.busy] ?? ""));
}

export function createWalletChoice({ info }, onChoice) {
  const image = /^data:image\//.test(info.icon) ? createElement("img", { src: info.icon, alt: "", width: "32", height: "32" }) : null;
  const button = createElement("button", { type: "button", class: "choice" }, image, createElement("span", {}, info.name));
  button.addEventListener("click", onChoice);
  return createElement("li", {}, button);
}
