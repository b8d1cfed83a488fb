/** The pay page's entry: connects the modules with the server's data and the controls. */

// First, with the sentences: gzip looks back 32 kB, so the order of the modules makes the bundle smaller.
import { isFinal, isSettled } from "./states.js";
import { requireElement } from "../shared/dom.js";
import { bindAmountFields } from "./amounts.js";
import { discoverWallets } from "./wallets.js";
import { fetchAccount, getServerTime } from "./api.js";
import { createCheckout } from "./checkout.js";
import { bindClaimForm } from "./claim.js";
import { createConnection } from "./connection.js";
import { followAccount } from "./live_account.js";
import { createAttempts } from "./payment_attempts.js";
import { createPaymentTracker } from "./current_payment.js";
import { loadPaymentHint, sortLastUsedFirst } from "./local_hints.js";
import { createUnfinishedPoller, mergePayments, showPayments, takeList } from "./payment_list.js";
import { getTxHash } from "./payment_polling.js";
import { isSameSequence } from "./quote_status.js";
import { createQuoteKeeper } from "./quotes.js";
import { createStore } from "./store.js";
import { phrases } from "./strings.js";
import { bindSupportButton, chooseReference, linkSupport } from "./support.js";
import { createWalletChoice, render } from "./view.js";

const config = JSON.parse(requireElement("config").textContent ?? "");

function createInitialState(account) {
  return {
    account,
    limit: config.limit_cents,
    payments: account.payments,
    cents: config.cents,
    amountFault: "",
    quote: null,
    lastQuote: null,
    quoteFault: null,
    retryAt: null,
    quoting: Boolean(config.offer),
    wallets: [],
    wallet: null,
    payer: null,
    chainId: null,
    holdings: null,
    atomic: false,
    canPermit: false,
    permit: null,
    sent: 0,
    busy: "",
    waiting: { busy: "", since: 0 },
    notice: null,
    tracked: null,
    attempt: null,
    accepted: [],
    now: getServerTime(),
  };
}

function createPicker(onChoice) {
  const dialog = requireElement("picker");
  requireElement("picker-close").addEventListener("click", () => dialog.close());
  return (wallets) => {
    const choices = sortLastUsedFirst(wallets).map((wallet) =>
      createWalletChoice(wallet, () => {
        dialog.close();
        onChoice(wallet);
      }),
    );
    requireElement("picker-list").replaceChildren(...choices);
    dialog.showModal();
  };
}

/** Notes since when the page waits for the same thing. */
function timeWaits(store) {
  store.subscribe(({ busy, waiting }) => {
    if (busy !== waiting.busy) store.set({ waiting: { busy, since: getServerTime() } });
  });
}

function bindWalletButtons(checkout) {
  requireElement("again").addEventListener("click", () => void checkout.restart());
  requireElement("ask-again").addEventListener("click", () => void checkout.askAgain());
  for (const id of ["change-wallet", "other-wallet"]) {
    requireElement(id).addEventListener("click", () => checkout.changeWallet());
  }
  requireElement("disconnect").addEventListener("click", () => checkout.disconnect());
}

/** Moves the focus to a result once. */
function focusResults(store) {
  let focused = "";
  store.subscribe(({ tracked }) => {
    const isResult = isFinal(tracked?.answer?.state) || isSettled(tracked?.answer);
    const result = isResult ? `${tracked.hash} ${tracked.answer.state}` : "";
    if (result && result !== focused) requireElement("status-title").focus();
    focused = result;
  });
}

/** Adds state and hash to the return link; the other site can verify them with our API. */
function updateReturnLink(store) {
  const links = document.querySelectorAll("#back a, #result-back");
  if (!links.length) return;
  store.subscribe(({ tracked }) => {
    if (!tracked) return;
    const href = new URL(config.back.href);
    href.searchParams.set("status", tracked.answer?.state ?? "unknown");
    href.searchParams.set("tx", tracked.hash);
    for (const link of links) link.href = href.toString();
  });
}

function syncPaymentList(store, onPayments) {
  const pollUnfinished = createUnfinishedPoller(onPayments);
  let shown;
  store.subscribe(({ payments, tracked }) => {
    pollUnfinished(payments, tracked?.hash);
    // Rows that change would lose the focus, and depths change all the time.
    const rows = JSON.stringify(payments.map(({ payment, state, cause, cents }) => [payment, state, cause, cents]));
    if (rows === shown) return;
    shown = rows;
    showPayments(requireElement("payments"), payments, config);
  });
}

/** Reads the account again once more may be paid, and gets the price that was above the limit before. */
function renewLimits(store, quotes, readAccount) {
  let renewed = 0;
  let maximum = store.get().account.maximum_cents;
  store.subscribe(({ now, quote, busy, account: { maximum_cents: cents, maximum_resets_at: resetsAt } }) => {
    const isRaised = cents > maximum;
    maximum = cents;
    if (isRaised && !quote && !busy) void quotes.renew();
    if (!resetsAt || now < resetsAt || renewed === resetsAt) return;
    renewed = resetsAt;
    void readAccount().catch(() => {});
  });
}

/** Tracks an earlier visit's payment, unless its state is final. */
function resumePayment(store, tracker) {
  const hint = loadPaymentHint(config.wallet, getServerTime());
  if (!hint) return;
  const known = store.get().payments.find((payment) => getTxHash(payment) === hint.hash);
  if (!known || !isFinal(known.state)) tracker.track(hint.hash, hint.at);
}

/**
 * Starts the page for a known account.
 * @returns {(payments: any[]) => void} merges fresh payments into the list
 */
function start(account) {
  const store = createStore(createInitialState(account));
  const onPayments = (fresh) => {
    const payments = mergePayments(store.get().payments, fresh, config.wallet);
    store.set({ payments });
    void attempts.observe(payments);
  };
  const onAccount = (fresh) => {
    if (!fresh.found) return;
    store.set({ account: fresh, payments: takeList(store.get().payments, fresh.payments, getServerTime()) });
    const observed = attempts.observe(store.get().payments);
    const { quote, payments, busy, tracked } = store.get();
    const isUsed = quote && payments.some((payment) => isSameSequence(payment, quote));
    if (isUsed && !tracked && (!busy || busy === "looking")) void quotes.renew();
    return observed;
  };
  const readAccount = async () => onAccount(await fetchAccount(config.wallet));
  const quotes = createQuoteKeeper(store, config.wallet);
  const connection = createConnection(store, config, quotes);
  const tracker = createPaymentTracker(store, config.wallet, { onPayments, onFailed: () => attempts.cancel() });
  const attempts = createAttempts(store, config.wallet, (hash) => {
    if (store.get().tracked?.hash.toLowerCase() !== hash.toLowerCase()) tracker.track(hash);
  }, readAccount);
  const openPicker = createPicker((wallet) => void checkout.connect(wallet));
  const checkout = createCheckout(store, config, quotes, connection, tracker, attempts, readAccount, openPicker);
  const quoteFields = bindAmountFields(store, quotes, config);
  timeWaits(store);
  renewLimits(store, quotes, readAccount);
  store.subscribe((state) => {
    render(state, config);
    linkSupport(config.support, chooseReference(state));
  });
  focusResults(store);
  bindSupportButton(store);
  updateReturnLink(store);
  resumePayment(store, tracker);
  attempts.resume();
  void attempts.observe(account.payments);
  syncPaymentList(store, onPayments);
  document.addEventListener("visibilitychange", () => document.hidden || void connection.refreshHoldings());
  followAccount(config.wallet, onAccount, readAccount);
  quoteFields();
  const requestWallets = discoverWallets(phrases.fallbackWallet, (wallets) => store.set({ wallets }));
  requestWallets();
  bindWalletButtons(checkout);
  requireElement("checkout").addEventListener("submit", (event) => {
    event.preventDefault();
    if (requireElement("primary").getAttribute("aria-disabled") === "true") return;
    requestWallets();
    void checkout.pressPrimary();
  });
  setInterval(() => {
    store.set({ now: getServerTime() });
    quotes.renewIfExpired();
  }, 1000);
  return onPayments;
}

const handlePayments = config.account?.found ? start(config.account) : () => {};
bindClaimForm(config, handlePayments);
