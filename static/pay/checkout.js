/** Runs the primary button's actions: connect, switch, allow, pay. One wallet request at a time. */

import { getServerTime } from "./api.js";
import { rememberRefusal, sendBatch, waitForBatchHash } from "./batch.js";
import { formatExactTokens } from "./money.js";
import { buildReceiptUrl, isHash } from "./payment_polling.js";
import { attachPermit, signPermit } from "./permit.js";
import { MIN_QUOTE_SECONDS, getSecondsLeft } from "./quotes.js";
import { simulateCall } from "./simulate_call.js";
import { findDoubled } from "./states.js";
import { chooseStep } from "./steps.js";
import { allowanceShortage, contractFaults, outcomes, walletFaults } from "./strings.js";
import { createTurn } from "./turn.js";
import { WalletFault, readAllowance, sendTransaction, waitForReceipt } from "./wallets.js";

/** @typedef {{to: string, data: string, value: string}} Call */

const ALLOWANCE_LIMIT_MS = 60_000;
const BATCH_LIMIT_MS = 60_000;

/** While these wait, the wallet may send the payment at any time. */
const WAITING_FOR_PAYMENT = new Set(["paying", "sending"]);

/** The contract's error when only the allowance is missing. */
const MISSING_ALLOWANCE = "ERC20InsufficientAllowance";

/** Meanings that need no quotation of the wallet. */
const PLAIN_MEANINGS = new Set(["rejected", "busy", "locked", "no_gas", "no_tokens"]);

/** Meanings after which another kind of request would press the payer. */
const PAYER_DECIDES = new Set(["rejected", "refused", "busy"]);

/** Describes a fault. `hasAllowed` says that an allowance was sent before, so that not nothing was sent. */
function createFaultNotice(fault, hasAllowed) {
  if (fault.code === "contract") {
    const { title, text } = contractFaults[fault.detail] ?? contractFaults.unnamed;
    return { title, text: hasAllowed ? text.replace(outcomes.nothing, outcomes.noPayment) : text };
  }
  const { title, text, next } = walletFaults[fault.code] ?? walletFaults.unclear;
  // Payments have words of their own: what may have been sent here is an allowance.
  const outcome = fault.mayHaveSent || hasAllowed ? outcomes.noPayment : outcomes.nothing;
  return { title, text: text ?? `${outcome} ${next}`, walletMessage: PLAIN_MEANINGS.has(fault.code) ? "" : fault.detail };
}

/** Raises unless the payer has pressed again after this fault; the next press counts as that. */
function warnOnce(store, code, marks) {
  const { accepted } = store.get();
  const fresh = marks.filter((mark) => !accepted.includes(mark));
  if (!fresh.length) return;
  store.set({ accepted: [...accepted, ...fresh] });
  throw new WalletFault(code);
}

/** Sends the quote's calls in order, during one turn. */
function createSender(store, config, quotes, connection, tracker, attempts, readAccount, turn) {
  const provider = turn.guard(store.get().wallet.provider);

  /** Reads the account again. False if it shows this page's payment. Warns of payments that this one may double. */
  async function checkPayments() {
    store.set({ busy: "looking" });
    const isRead = await readAccount().then(
      () => true,
      () => false,
    );
    const state = store.get();
    if (state.tracked) return false;
    if (!isRead) warnOnce(store, "unread", [`unread ${state.quote.sequence}`]);
    warnOnce(store, "doubled", findDoubled({ ...state, now: getServerTime() }).map(({ payment }) => payment));
    return attempts.allowAnother(state.quote);
  }

  /** True if the quote is for this payer, lasts long enough, and costs no more than the amount shown. */
  async function ensureFreshQuote() {
    const { quote, payer } = store.get();
    if (quote.payer === payer && getSecondsLeft(quote) >= MIN_QUOTE_SECONDS) return true;
    store.set({ busy: "quoting" });
    await quotes.renew();
    const renewed = store.get().quote;
    if (!renewed) return false;
    if (BigInt(renewed.amount) <= BigInt(quote.amount)) return true;
    throw new WalletFault("price_rose");
  }

  /** Simulates the payment. False if another step comes first. */
  async function simulatePayment() {
    const { payer, quote, sent, permit } = store.get();
    const refusal = await simulateCall(provider, payer, attachPermit(permit, quote.calls.at(-1)));
    if (!refusal) return true;
    const isAllowance = refusal.name === "" || refusal.name === MISSING_ALLOWANCE;
    if (isAllowance && sent < quote.calls.length - 1) return true;
    if (isAllowance && permit) {
      // Some accounts sign what the token cannot verify: use an allowance instead.
      store.set({ permit: null, canPermit: false, sent: 0 });
      return false;
    }
    store.set({ quote: null });
    void quotes.renew();
    await readAccount().catch(() => {});
    throw new WalletFault("contract", refusal.name);
  }

  /** Signs the allowance. If the wallet cannot, the allowance is sent instead. */
  async function signAllowance() {
    const { payer, quote, sent } = store.get();
    store.set({ busy: "signing" });
    try {
      const permit = await signPermit(provider, config.token, quote, payer);
      store.set(permit ? { permit, sent: sent + 1 } : { canPermit: false });
    } catch (fault) {
      if (!(fault instanceof WalletFault) || PAYER_DECIDES.has(fault.code)) throw fault;
      store.set({ canPermit: false });
    }
  }

  /** Sends the allowance and reads it back: wallets let people lower it. */
  async function sendAllowance(call) {
    const { payer, quote, sent } = store.get();
    store.set({ busy: "allowing" });
    const hash = await sendTransaction(provider, payer, call);
    turn.hasAllowed = true;
    store.set({ busy: "allowMining" });
    const receipt = await waitForReceipt(provider, hash, ALLOWANCE_LIMIT_MS);
    if (!receipt) throw new WalletFault("allow_slow");
    if (BigInt(receipt.status ?? "0x1") === 0n) throw new WalletFault("allow_failed");
    const allowed = await readAllowance(provider, quote, payer);
    if (allowed !== null && allowed < BigInt(quote.amount)) {
      const [has, needs] = [allowed, quote.amount].map((units) => formatExactTokens(units, config.token));
      store.set({ notice: allowanceShortage(has, needs) });
      return false;
    }
    store.set({ sent: sent + 1 });
    return true;
  }

  /**
   * Requests the payment. False if the wallet's answer does not tell whether it was sent: the chain decides.
   * @param {() => Promise<string>} request
   */
  async function pay(request) {
    const decided = attempts.begin(store.get().quote);
    store.set({ busy: "paying" });
    try {
      const hash = await Promise.race([request(), decided]);
      if (isHash(hash)) tracker.track(hash);
      else attempts.explain(hash ? "handed_over" : "slow");
      return true;
    } catch (fault) {
      if (!(fault instanceof WalletFault)) throw fault;
      if (!fault.mayHaveSent) {
        attempts.cancel();
        throw fault;
      }
      attempts.explain(fault.code, fault.detail);
      return false;
    }
  }

  function sendPayment(call) {
    return pay(() => sendTransaction(provider, store.get().payer, call));
  }

  /** The wallet gets the calls one by one: now, or at the next press. */
  function refuseBatches() {
    rememberRefusal(store.get().wallet.provider);
    store.set({ atomic: false });
  }

  /** Sends all calls in one prompt. True if the wallet wants them one by one. */
  async function sendTogether(calls) {
    try {
      const isClear = await pay(async () => {
        const id = await sendBatch(provider, store.get().payer, config.chain.hex, calls);
        store.set({ busy: "sending" });
        return waitForBatchHash(provider, id, BATCH_LIMIT_MS);
      });
      if (!isClear) refuseBatches();
      return false;
    } catch (fault) {
      if (!(fault instanceof WalletFault) || fault.code !== "no_batch") throw fault;
      refuseBatches();
      return true;
    }
  }

  /** Takes one step. True if another one follows. */
  async function takeStep() {
    const { quote, sent, atomic, canPermit, permit } = store.get();
    const [call, isLast] = [quote.calls[sent], sent === quote.calls.length - 1];
    if (!isLast && atomic) return sendTogether(quote.calls);
    if (!isLast && canPermit) {
      await signAllowance();
      return true;
    }
    if (!isLast) return sendAllowance(call);
    await sendPayment(attachPermit(permit, call));
    return false;
  }

  return async function sendCalls() {
    for (let hasMore = true; hasMore; ) {
      if (!(await ensureFreshQuote()) || !(await checkPayments())) return;
      store.set({ busy: "checking" });
      await connection.verify(provider);
      if (await simulatePayment()) hasMore = await takeStep();
    }
  };
}

/**
 * @param {(wallets: import("./wallets.js").Wallet[]) => void} openPicker
 */
export function createCheckout(store, config, quotes, connection, tracker, attempts, readAccount, openPicker) {
  let turn = createTurn();
  let lastAction = async () => {};

  const connectTo = (wallet) => (current) => connection.connect(wallet, current.guard(wallet.provider));

  /** Brings the links into wallets' apps into view, below the notice. */
  function showPhones() {
    const elsewhere = document.getElementById("elsewhere");
    if (!elsewhere) return;
    elsewhere.open = true;
    elsewhere.scrollIntoView({ block: "center" });
  }

  async function chooseWallet(current) {
    const { wallets } = store.get();
    if (!wallets.length) throw new WalletFault("none");
    if (wallets.length === 1) await connectTo(wallets[0])(current);
    else openPicker(wallets);
  }

  async function restart() {
    attempts.explain("unseen");
    tracker.stop();
    const { accepted, payments } = store.get();
    store.set({ accepted: [...accepted, ...payments.map(({ payment }) => payment)] });
    store.set({ quote: null, sent: 0, permit: null });
    await Promise.all([quotes.renew(), connection.refreshHoldings()]);
  }

  async function openReceipt() {
    location.assign(buildReceiptUrl(store.get().tracked.answer.payments[0]));
  }

  const sendCalls = (current) => createSender(store, config, quotes, connection, tracker, attempts, readAccount, current)();

  const actions = {
    connect: chooseWallet,
    switch: (current) => connection.switchNetwork(current.guard(store.get().wallet.provider)),
    quote: quotes.renew,
    allow: sendCalls,
    pay: sendCalls,
    receipt: openReceipt,
    again: restart,
    retry: restart,
  };

  /** Runs one action at a time. A wallet's refusal becomes a notice. */
  async function runAction(action) {
    if (store.get().busy) return;
    const current = createTurn();
    turn = current;
    lastAction = action;
    store.set({ notice: null });
    try {
      await Promise.race([action(current), current.ended]);
    } catch (fault) {
      if (!(fault instanceof WalletFault)) throw fault;
      store.set({ notice: createFaultNotice(fault, current.hasAllowed) });
      if (fault.code === "none") showPhones();
    } finally {
      if (turn === current) store.set({ busy: "" });
    }
  }

  /** Waits no longer for the wallet. What it was asked to pay stays an attempt. */
  function stopWaiting() {
    turn.end();
    if (WAITING_FOR_PAYMENT.has(store.get().busy)) attempts.explain("unanswered");
    store.set({ busy: "", notice: null });
  }

  return {
    /** Runs the next action, if there is one. */
    async pressPrimary() {
      const action = actions[chooseStep(store.get(), config.chain)];
      if (action) await runAction(action);
    },
    restart: () => runAction(restart),
    connect: (wallet) => runAction(connectTo(wallet)),
    askAgain() {
      stopWaiting();
      return runAction(lastAction);
    },
    changeWallet() {
      stopWaiting();
      const { wallets } = store.get();
      if (wallets.length) openPicker(wallets);
      else showPhones();
    },
    disconnect() {
      stopWaiting();
      connection.disconnect();
    },
  };
}
