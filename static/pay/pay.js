/** The pay page: the server's data in, the modules joined, the visitor's hands on the controls. */

import { fetchAccount, serverNow } from "./api.js";
import { listenForAmounts } from "./amounts.js";
import { createCheckout } from "./checkout.js";
import { listenForClaims } from "./claim.js";
import { createConnection } from "./connection.js";
import { byId } from "../shared/dom.js";
import { hashOf } from "./payment_polling.js";
import { lastFirst, remembered } from "./local_hints.js";
import { keepQuote } from "./quotes.js";
import { claimUnfinished, merged, showPayments } from "./payment_list.js";
import { isFinal } from "./states.js";
import { createStore } from "./store.js";
import { words } from "./strings.js";
import { offerSupportText } from "./support.js";
import { trackPayments } from "./current_payment.js";
import { render, walletChoice } from "./view.js";
import { discoverWallets } from "./wallets.js";

const config = JSON.parse(byId("config").textContent ?? "");

function initialState(account) {
  return {
    account,
    payments: account.payments,
    cents: null,
    quote: null,
    lastQuote: null,
    quoteFault: null,
    quoting: false,
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
    notice: null,
    tracked: null,
    now: serverNow(),
  };
}

function createPicker(onChoice) {
  const dialog = byId("picker");
  byId("picker-close").addEventListener("click", () => dialog.close());
  return (wallets) => {
    const choices = lastFirst(wallets).map((wallet) =>
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

/** The way back tells how the payment went; the other site can check it with us by the hash. */
function keepWayBack(store) {
  const link = document.querySelector("#back a");
  if (!link) return;
  store.subscribe(({ tracked }) => {
    if (!tracked) return;
    const href = new URL(config.back.href);
    href.searchParams.set("status", tracked.answer?.state ?? "unknown");
    href.searchParams.set("tx", tracked.hash);
    link.href = href.toString();
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
  const requote = listenForAmounts(store, quotes, config);
  store.subscribe((state) => render(state, config));
  focusResults(store);
  offerSupportText(store);
  keepWayBack(store);
  resume(store, tracking);
  keepPaymentsMoving(store, onPayments);
  refreshOnReturn(connection, onPayments);
  requote();
  const requestWallets = discoverWallets(words.fallbackWallet, (wallets) => store.set({ wallets }));
  requestWallets();
  byId("again").addEventListener("click", () => void checkout.again());
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

const takePayments = config.account?.found ? start(config.account) : () => {};
listenForClaims(config, takePayments);
