/** Shows the page's state. Reads it, never changes it. */

import { announce, byId, element, explorerLink, setText, show } from "../shared/dom.js";
import { isPayable } from "./amounts.js";
import { agoText, clockText, coins, dollars, exactTokens, percent, rateText, shortHex, tokens } from "./money.js";
import { secondsLeft } from "./quotes.js";
import { worth } from "./payment_list.js";
import { describe, isFinal, isUnderWay } from "./states.js";
import { labelOf, networkFee, nextStep, obstacle, positionOf } from "./steps.js";
import { actions, amountFaults, followFaults, heldBefore, serviceFaults, underWay, words } from "./strings.js";

/** When the payer is told that waiting here is not needed. */
const CLOSE_HINT_S = 60;

/** The ring around the time that is left is drawn in hundredths of the longest time a price was held. */
const RING = 100;

/** @typedef {import("./steps.js").PageState} PageState */

function amountFault({ cents, account }) {
  if (isPayable(cents, account)) return "";
  if (cents === null) return amountFaults.unreadable;
  if (cents < account.minimum_cents) return amountFaults.below_minimum(dollars(account.minimum_cents));
  return amountFaults.above_maximum(dollars(account.maximum_cents));
}

function showAmount(state) {
  const fault = amountFault(state);
  const { minimum_cents: minimum, maximum_cents: maximum } = state.account;
  const fixed = Boolean(state.busy || state.tracked);
  setText(byId("limits"), fault || words.limits(dollars(minimum), dollars(maximum)));
  byId("limits").classList.toggle("fault", Boolean(fault));
  for (const input of [byId("usd"), byId("tokens")]) {
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    input.readOnly = fixed;
  }
  for (const preset of document.querySelectorAll("button.preset")) {
    const button = preset;
    button.setAttribute("aria-pressed", String(Number(button.value) * 100 === state.cents));
    button.disabled = fixed;
  }
}

function rateLine(quote, token, now) {
  const source = words.rateSource(quote.rate_source, agoText(now - quote.rate_at));
  const discount = quote.discount_bps
    ? ` · ${words.discount(percent(quote.discount_bps), rateText(quote.market_rate))}`
    : "";
  return { rate: words.rate(rateText(quote.rate), token.symbol), source: source + discount };
}

/** How long the price is held, as a ring and in words; nobody is told of every second. */
function showValidity({ quote, tracked }) {
  const shown = Boolean(quote && !tracked);
  byId("ring").toggleAttribute("hidden", !shown);
  if (!shown) return setText(byId("validity"), "");
  const left = Math.max(0, secondsLeft(quote));
  setText(byId("validity"), left > 0 ? words.held(clockText(left)) : words.renewing);
  const share = Math.min(RING, (RING * left) / quote.seconds);
  return byId("ring").lastElementChild.setAttribute("stroke-dasharray", `${share} ${RING}`);
}

/** How often the wallet will ask, once that is known. */
function prompts({ payer, quote, atomic, canPermit }) {
  if (!payer || !quote) return "";
  if (atomic || quote.calls.length === 1) return words.oncePrompted;
  return canPermit ? words.signThenPay : words.twicePrompted;
}

/** What the paying account holds now and will hold then. */
function holdingText({ holdings, quote, tracked }, token) {
  const left = tracked || !quote || typeof holdings?.tokens !== "bigint" ? -1n : holdings.tokens - BigInt(quote.amount);
  return left < 0n ? "" : words.holding(tokens(holdings.tokens, token), tokens(left, token));
}

function showQuote(state, { chain, token }) {
  const { quote, quoting } = state;
  byId("quote").classList.toggle("stale", quoting || !quote);
  setText(byId("amount"), quote ? tokens(quote.amount, token) : "–");
  byId("amount").title = quote ? exactTokens(quote.amount, token) : "";
  setText(byId("added"), quote ? words.added(dollars(quote.cents)) : "–");
  const line = quote ? rateLine(quote, token, state.now) : { rate: "–", source: "" };
  setText(byId("rate"), line.rate);
  setText(byId("rate-source"), line.source);
  showValidity(state);
  setText(byId("holding"), holdingText(state, token));
  const fee = networkFee(state);
  setText(byId("fee"), fee === null ? words.feeUnknown : words.fee(coins(fee, chain.currency)));
  setText(byId("prompts"), state.tracked ? "" : prompts(state));
  const spender = byId("spender");
  const address = quote?.gateway ?? "";
  if (address && spender.title !== address) {
    spender.title = address;
    spender.replaceChildren(explorerLink(chain.explorer, "address", address, shortHex(address)));
  }
}

function showPayer({ payer, account }) {
  const node = byId("payer");
  const own = payer?.toLowerCase() === account.wallet.toLowerCase();
  const line = own ? words.payerIs : words.payerOther;
  setText(node, payer ? line(shortHex(payer), shortHex(account.wallet)) : "");
  node.title = payer ?? "";
}

/** A payment still on its way, unless it is the one shown below the button anyway. */
function warningOf({ payments, tracked, now }) {
  if (tracked) return null;
  const open = payments.find((one) => isUnderWay(one.state));
  if (!open) return null;
  const warn = open.state === "held" ? heldBefore : underWay;
  return warn(worth(open), agoText(now - open.time));
}

function showMessage(box, message, fine = "") {
  show(box, Boolean(message));
  setText(box.querySelector(".title"), message?.title ?? "");
  setText(box.querySelector(".text"), message?.text ?? "");
  const small = box.querySelector(".fine");
  if (small) setText(small, fine);
}

function referenceOf(fault) {
  return fault?.reference ? words.reference(fault.reference) : "";
}

/** What stops or should worry the payer, most urgent first. */
function noticeOf(state, step, config) {
  if (state.notice) return { ...state.notice, less: null, fine: state.notice.said ? words.walletSaid(state.notice.said) : "" };
  if (state.tracked || state.busy) return null;
  const fault = state.quoteFault;
  if (fault && !amountFault(state)) {
    return { ...(serviceFaults[fault.code] ?? serviceFaults.unexpected), less: null, fine: referenceOf(fault) };
  }
  const hurdle = obstacle(state, step, config);
  return hurdle && { ...hurdle, fine: "" };
}

function showNotice(notice) {
  showMessage(byId("notice"), notice, notice?.fine);
  const less = byId("pay-less");
  show(less, Boolean(notice?.less));
  if (notice?.less) {
    setText(less, notice.less.label);
    less.value = String(notice.less.cents);
  }
}

function showTracked({ tracked, now }, { chain }) {
  const box = byId("status");
  show(box, Boolean(tracked));
  if (!tracked) return null;
  const age = now - tracked.since;
  const view = describe(tracked.answer, age, chain.name);
  box.className = `panel ${view.tone}`;
  setText(byId("status-title"), view.title);
  setText(byId("status-text"), tracked.fault ? followFaults.passing : view.text);
  const waiting = view.tone === "progress";
  const bar = byId("status-bar");
  show(bar, waiting);
  if (view.share === null) bar.removeAttribute("value");
  else bar.value = view.share;
  const open = !isFinal(tracked.answer?.state);
  setText(byId("status-hint"), open && age > CLOSE_HINT_S ? words.closeHint : "");
  setText(byId("status-reference"), referenceOf(tracked.fault));
  show(byId("again"), tracked.answer?.state === "credited");
  const link = byId("status-tx");
  if (link.title !== tracked.hash) {
    link.title = tracked.hash;
    link.replaceChildren(`${words.transaction} `, explorerLink(chain.explorer, "tx", tracked.hash, shortHex(tracked.hash)));
  }
  return view;
}

function showButton(state, step, config) {
  const button = byId("primary");
  const idle = step === "wait" || step === "short" || Boolean(state.busy) || Boolean(amountFault(state) && !state.tracked);
  setText(button, labelOf(state, step, config));
  // The button keeps the focus while it waits, so it is never really disabled.
  button.setAttribute("aria-disabled", String(idle));
  button.classList.toggle("working", Boolean(state.busy) || step === "wait");
}

function showSteps({ tracked }, step) {
  const ended = tracked?.answer && isFinal(tracked.answer.state);
  const position = ended && tracked.answer.state === "credited" ? 5 : Math.min(positionOf(step), 4);
  for (const [index, item] of [...byId("steps").children].entries()) {
    const done = index < position;
    item.classList.toggle("done", done);
    setText(item.querySelector(".note"), done ? words.stepDone : "");
    if (index === position) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

export function render(state, config) {
  const step = nextStep(state, config.chain);
  showAmount(state);
  showQuote(state, config);
  showPayer(state);
  showMessage(byId("warning"), warningOf(state));
  const notice = noticeOf(state, step, config);
  showNotice(notice);
  const view = showTracked(state, config);
  showButton(state, step, config);
  showSteps(state, step);
  // One voice: the notice, else the payment, else what the wallet is asked for. Counters stay silent.
  announce(notice ? `${notice.title}. ${notice.text}` : (view?.title ?? actions[state.busy] ?? ""));
}

export function walletChoice({ info }, onChoice) {
  const image = /^data:image\//.test(info.icon) ? element("img", { src: info.icon, alt: "", width: "32", height: "32" }) : null;
  const button = element("button", { type: "button", class: "choice" }, image, element("span", {}, info.name));
  button.addEventListener("click", onChoice);
  return element("li", {}, button);
}
