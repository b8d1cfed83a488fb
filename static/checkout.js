/** What the primary button does: connect, switch, allow, pay. One wallet request at a time. */

import { findPayment, isHash } from "./follow.js";
import { exactTokens } from "./money.js";
import { FRESH_S, secondsLeft } from "./quotes.js";
import { nextStep } from "./steps.js";
import { allowanceShort, walletFaults } from "./strings.js";
import { WalletFault, allowance, receiptOf, send } from "./wallets.js";

/** @typedef {{to: string, data: string, value: string}} Call */

const ALLOWANCE_LIMIT_MS = 60_000;
const UNANSWERED_CHECK_S = 6;

function noticeOf(fault) {
  const message = walletFaults[fault.code] ?? walletFaults.wallet_failed;
  return { ...message, said: fault.nothingSent ? "" : fault.words };
}

/** Sends the quote's calls in their order. */
function createSender(store, config, quotes, connection, tracking) {
  let search = new AbortController();
  const provider = () => store.get().wallet.provider;

  /** True when the quote is for this payer, lasts long enough, and costs no more than what was shown. */
  async function freshen() {
    const { quote, payer } = store.get();
    if (quote.payer === payer && secondsLeft(quote) >= FRESH_S) return true;
    store.set({ busy: "quoting" });
    await quotes.renew();
    const renewed = store.get().quote;
    if (!renewed) return false;
    if (BigInt(renewed.amount) <= BigInt(quote.amount)) return true;
    throw new WalletFault("price_rose");
  }

  /** Wallets let people edit an allowance down, so it is read back. */
  async function allow(call) {
    const { payer, quote, sent } = store.get();
    store.set({ busy: "allowing" });
    const hash = await send(provider(), payer, call);
    store.set({ busy: "allowMining" });
    const receipt = await receiptOf(provider(), hash, ALLOWANCE_LIMIT_MS);
    if (!receipt) throw new WalletFault("allow_slow");
    if (BigInt(receipt.status ?? "0x1") === 0n) throw new WalletFault("allow_failed");
    const allowed = await allowance(provider(), quote, payer);
    if (allowed !== null && allowed < BigInt(quote.amount)) {
      const [has, needs] = [allowed, quote.amount].map((units) => exactTokens(units, config.token));
      store.set({ notice: allowanceShort(has, needs) });
      return false;
    }
    store.set({ sent: sent + 1 });
    return true;
  }

  /** Sends the payment; it is found by its sequence where the wallet gives no hash. */
  async function pay(call) {
    const { payer, quote } = store.get();
    search.abort();
    search = new AbortController();
    const seen = findPayment(quote, { firstSeconds: UNANSWERED_CHECK_S, signal: search.signal });
    store.set({ busy: "paying" });
    try {
      const hash = await Promise.race([send(provider(), payer, call), seen]);
      if (isHash(hash)) {
        search.abort();
        tracking.track(hash, quote);
        return;
      }
      store.set({ notice: walletFaults.handed_over });
    } catch (fault) {
      if (!(fault instanceof WalletFault) || fault.nothingSent) {
        search.abort();
        throw fault;
      }
      store.set({ notice: { ...walletFaults.pay_unclear, said: fault.words } });
    }
    void seen.then((hash) => tracking.track(hash, quote));
  }

  return async function sendCalls() {
    for (;;) {
      if (!(await freshen())) return;
      await connection.check();
      const { quote, sent } = store.get();
      const call = quote.calls[sent];
      if (sent === quote.calls.length - 1) {
        await pay(call);
        return;
      }
      if (!(await allow(call))) return;
    }
  };
}

/**
 * @param {(wallets: import("./wallets.js").Wallet[]) => void} choose shows the picker
 */
export function createCheckout(store, config, quotes, connection, tracking, choose) {
  const sendCalls = createSender(store, config, quotes, connection, tracking);

  async function find() {
    const { wallets } = store.get();
    if (!wallets.length) throw new WalletFault("none");
    if (wallets.length === 1) await connection.use(wallets[0]);
    else choose(wallets);
  }

  async function restart() {
    tracking.release();
    store.set({ quote: null, sent: 0 });
    await Promise.all([quotes.renew(), connection.readHoldings()]);
  }

  const work = {
    connect: find,
    switch: connection.changeChain,
    quote: quotes.renew,
    allow: sendCalls,
    pay: sendCalls,
    again: restart,
    retry: restart,
  };

  /** Runs one piece of work; what the wallet refuses becomes a notice. */
  async function once(job) {
    if (store.get().busy) return;
    store.set({ notice: null });
    try {
      await job();
    } catch (fault) {
      if (!(fault instanceof WalletFault)) throw fault;
      store.set({ notice: noticeOf(fault) });
    } finally {
      store.set({ busy: "" });
    }
  }

  return {
    /** Does the next action, if there is one to do. */
    async press() {
      const job = work[nextStep(store.get(), config.chain)];
      if (job) await once(job);
    },
    use: (wallet) => once(() => connection.use(wallet)),
  };
}
