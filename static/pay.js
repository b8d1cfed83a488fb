/** The pay page: the server's data in, the modules joined, the visitor's hands on the controls. */

import { fetchAccount, serverNow } from "./api.js";
import { createCheckout } from "./checkout.js";
import { listenForClaims } from "./claim.js";
import { createConnection } from "./connection.js";
import { byId } from "./dom.js";
import { hashOf } from "./follow.js";
import { remembered } from "./memory.js";
import { decimalText, parseDollars } from "./money.js";
import { keepQuote } from "./quotes.js";
import { claimUnfinished, merged, showPayments } from "./recent.js";
import { isFinal } from "./states.js";
import { createStore } from "./store.js";
import { words } from "./strings.js";
import { trackPayments } from "./tracking.js";
import { render, walletChoice } from "./view.js";
import { discoverWallets } from "./wallets.js";

const config = JSON.parse(byId("config").textContent ?? "");

function initialState(account) {
  return {
    account,
    payments: account.payments,
    cents: null,
    quote: null,
    quoteFault: null,
    quoting: false,
    wallets: [],
    wallet: null,
    payer: null,
    chainId: null,
    holdings: null,
    sent: 0,
    busy: "",
    notice: null,
    tracked: null,
    now: serverNow(),
  };
}

/** Quotes only what is within the limits. */
function listenForAmounts(store, quotes) {
  const input = byId("usd");
  const read = () => {
    const { account } = store.get();
    const cents = parseDollars(input.value);
    const payable = cents !== null && cents >= account.minimum_cents && cents <= account.maximum_cents;
    store.set({ cents, quoteFault: null, notice: null, ...(payable ? { quoting: true } : { quote: null, quoting: false }) });
    return payable;
  };
  const fill = (text) => {
    input.value = text;
    if (read()) void quotes.renew();
  };
  input.addEventListener("input", () => (read() ? quotes.renewSoon() : quotes.cancel()));
  for (const preset of document.querySelectorAll("button.preset")) {
    preset.addEventListener("click", () => fill(preset.value));
  }
  byId("pay-less").addEventListener("click", () => {
    fill(decimalText(byId("pay-less").value, 2));
    byId("primary").focus();
  });
  return () => fill(input.value);
}

function createPicker(onChoice) {
  const dialog = byId("picker");
  byId("picker-close").addEventListener("click", () => dialog.close());
  return (wallets) => {
    const choices = wallets.map((wallet) =>
      walletChoice(wallet, () => {
        dialog.close();
        onChoice(wallet);
      }),
    );
    byId("picker-list").replaceChildren(...choices);
    dialog.showModal();
  };
}

/** The focus goes to the result once, when it is there. */
function focusResults(store) {
  let seen = "";
  store.subscribe(({ tracked }) => {
    const result = tracked?.answer && isFinal(tracked.answer.state) ? `${tracked.hash} ${tracked.answer.state}` : "";
    if (result && result !== seen) byId("status-title").focus();
    seen = result;
  });
}

function keepPaymentsMoving(store, onPayments) {
  const claim = claimUnfinished(onPayments);
  let shown = [];
  store.subscribe(({ payments, tracked }) => {
    claim(payments, tracked?.hash);
    if (payments === shown) return;
    shown = payments;
    showPayments(byId("payments"), payments, config);
  });
}

/** Reads everything again that may have changed while nobody looked. */
function refreshOnReturn(connection, onPayments) {
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden) return;
    void connection.readHoldings();
    const account = await fetchAccount(config.wallet).catch(() => null);
    if (account) onPayments(account.payments);
  });
}

/** Takes up the payment of an earlier visit, unless it has already come to its end. */
function resume(store, tracking) {
  const hint = remembered(config.wallet, serverNow());
  if (!hint) return;
  const known = store.get().payments.find((one) => hashOf(one) === hint.hash);
  if (!known || !isFinal(known.state)) tracking.track(hint.hash, null, hint.at);
}

/**
 * Joins the modules for a known account.
 * @returns {(payments: any[]) => void} takes fresh facts about payments
 */
function start(account) {
  const store = createStore(initialState(account));
  const onPayments = (payments) => store.set({ payments: merged(store.get().payments, payments, config.wallet) });
  const quotes = keepQuote(store, config.wallet);
  const connection = createConnection(store, config, quotes);
  const tracking = trackPayments(store, config.wallet, onPayments);
  const choose = createPicker((wallet) => void checkout.use(wallet));
  const checkout = createCheckout(store, config, quotes, connection, tracking, choose);
  const requote = listenForAmounts(store, quotes);
  store.subscribe((state) => render(state, config));
  focusResults(store);
  resume(store, tracking);
  keepPaymentsMoving(store, onPayments);
  refreshOnReturn(connection, onPayments);
  requote();
  const requestWallets = discoverWallets(words.fallbackWallet, (wallets) => store.set({ wallets }));
  requestWallets();
  byId("checkout").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("primary").getAttribute("aria-disabled") === "true") return;
    requestWallets();
    void checkout.press();
  });
  setInterval(() => {
    store.set({ now: serverNow() });
    quotes.tick();
  }, 1000);
  return onPayments;
}

listenForClaims(config, config.account?.found ? start(config.account) : () => {});
