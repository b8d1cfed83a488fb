/** What the primary button does: connect, switch, allow, pay. One wallet request at a time. */

import { hashOfBatch, sendBatch } from "./batch.js";
import { byId } from "../shared/dom.js";
import { refusalOf } from "./simulate_call.js";
import { findPayment, isHash, receiptUrl } from "./payment_polling.js";
import { exactTokens } from "./money.js";
import { signPermit, withPermit } from "./permit.js";
import { FRESH_S, secondsLeft } from "./quotes.js";
import { nextStep } from "./steps.js";
import { allowanceShort, contractFaults, walletFaults } from "./strings.js";
import { WalletFault, allowance, pause, receiptOf, send } from "./wallets.js";

/** @typedef {{to: string, data: string, value: string}} Call */

const ALLOWANCE_LIMIT_MS = 60_000;
const UNANSWERED_CHECK_S = 6;
const BATCH_LIMIT_MS = 60_000;

/** What the contract says when only the allowance is missing. */
const UNALLOWED = "ERC20InsufficientAllowance";

function faultNotice(fault) {
  if (fault.code === "refused") return contractFaults[fault.words] ?? contractFaults.unnamed;
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

  /** Asks the chain what it would say to the payment; false where there is something else to do first. */
  async function examine() {
    const { payer, quote, sent, permit } = store.get();
    store.set({ busy: "checking" });
    const refusal = await refusalOf(provider(), payer, withPermit(permit, quote.calls.at(-1)));
    if (!refusal) return true;
    const tokensOwn = refusal.name === "" || refusal.name === UNALLOWED;
    if (tokensOwn && sent < quote.calls.length - 1) return true;
    if (tokensOwn && permit) {
      // Some accounts sign what the token cannot check. An allowance does it then.
      store.set({ permit: null, canPermit: false, sent: 0 });
      return false;
    }
    store.set({ quote: null });
    void quotes.renew();
    throw new WalletFault("refused", refusal.name);
  }

  /** The allowance by signature; false where it has to be sent after all. */
  async function sign() {
    const { payer, quote, sent } = store.get();
    store.set({ busy: "signing" });
    try {
      const permit = await signPermit(provider(), config.token, quote, payer);
      store.set(permit ? { permit, sent: sent + 1 } : { canPermit: false });
    } catch (fault) {
      if (!(fault instanceof WalletFault) || fault.code === "rejected" || fault.code === "busy") throw fault;
      store.set({ canPermit: false });
    }
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

  /** A payment that no wallet told of: the account's payments do. */
  function found(hash, quote) {
    if (hash) tracking.track(hash, quote);
    else store.set({ notice: walletFaults.overtaken });
  }

  /**
   * Has the wallet pay; the payment is found by its sequence where the wallet gives no hash.
   * @param {(signal: AbortSignal) => Promise<string>} ask
   */
  async function pay(ask) {
    const { quote } = store.get();
    search.abort();
    search = new AbortController();
    const { signal } = search;
    const seen = findPayment(quote, { firstSeconds: UNANSWERED_CHECK_S, signal });
    store.set({ busy: "paying" });
    try {
      const hash = await Promise.race([ask(signal), seen]);
      if (isHash(hash) || hash === "") {
        search.abort();
        found(hash, quote);
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
    void seen.then((hash) => found(hash, quote));
  }

  function payOnce(call) {
    return pay(() => send(provider(), store.get().payer, call));
  }

  /** All calls in one prompt; false where the wallet wants them one by one. */
  async function payAtOnce(calls) {
    try {
      await pay(async (signal) => {
        const id = await sendBatch(provider(), store.get().payer, config.chain.hex, calls);
        store.set({ busy: "sending" });
        return Promise.race([hashOfBatch(provider(), id, signal), pause(BATCH_LIMIT_MS)]);
      });
      return true;
    } catch (fault) {
      if (!(fault instanceof WalletFault) || fault.code !== "no_batch") throw fault;
      store.set({ atomic: false });
      return false;
    }
  }

  /** One step; true when there is another one to do. */
  async function step() {
    const { quote, sent, atomic, canPermit, permit } = store.get();
    const [call, last] = [quote.calls[sent], sent === quote.calls.length - 1];
    if (!last && atomic) return !(await payAtOnce(quote.calls));
    if (!last && canPermit) {
      await sign();
      return true;
    }
    if (!last) return allow(call);
    await payOnce(withPermit(permit, call));
    return false;
  }

  return async function sendCalls() {
    for (let more = true; more; ) {
      if (!(await freshen())) return;
      await connection.check();
      if (await examine()) more = await step();
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
    if (!wallets.length) {
      byId("elsewhere").open = true;
      throw new WalletFault("none");
    }
    if (wallets.length === 1) await connection.use(wallets[0]);
    else choose(wallets);
  }

  async function restart() {
    tracking.release();
    store.set({ quote: null, sent: 0, permit: null });
    await Promise.all([quotes.renew(), connection.readHoldings()]);
  }

  async function openReceipt() {
    location.assign(receiptUrl(store.get().tracked.answer.payments[0]));
  }

  const work = {
    connect: find,
    switch: connection.changeChain,
    quote: quotes.renew,
    allow: sendCalls,
    pay: sendCalls,
    receipt: openReceipt,
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
      store.set({ notice: faultNotice(fault) });
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
    again: () => once(restart),
    use: (wallet) => once(() => connection.use(wallet)),
  };
}
