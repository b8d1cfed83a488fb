/** Which wallet pays, with which account, on which network, and what it holds. */

import { offersBatch } from "./batch.js";
import { rememberWallet } from "./local_hints.js";
import { WalletFault, chainOf, connect, holdings, selectedAccount, switchTo } from "./wallets.js";

/** @typedef {import("./wallets.js").Wallet} Wallet */

export function createConnection(store, config, quotes) {
  /** Reads what the account holds; on another network that would say nothing. */
  async function readHoldings() {
    const { wallet, payer, chainId } = store.get();
    if (!wallet || !payer || chainId !== config.chain.hex) return;
    const held = await holdings(wallet.provider, config.token.address, payer);
    if (store.get().payer === payer) store.set({ holdings: held });
  }

  function setPayer(payer) {
    if (payer?.toLowerCase() === store.get().payer?.toLowerCase()) return;
    store.set({ payer, holdings: null, atomic: false });
    // With the wallet open, the change is noticed before the next call is sent.
    if (!store.get().busy) void quotes.renew();
    void readHoldings();
  }

  function listen({ provider }) {
    const current = () => store.get().wallet?.provider === provider;
    provider.on?.("accountsChanged", (accounts) => current() && setPayer(accounts[0] ?? null));
    provider.on?.("chainChanged", (chainId) => {
      if (!current()) return;
      store.set({ chainId: `0x${BigInt(chainId).toString(16)}`, holdings: null });
      void readHoldings();
    });
  }

  async function use(wallet) {
    store.set({ busy: "connecting" });
    const payer = await connect(wallet.provider);
    const chainId = await chainOf(wallet.provider);
    if (store.get().wallet !== wallet) listen(wallet);
    rememberWallet(wallet);
    store.set({ wallet, chainId, canPermit: Boolean(config.token.permit) });
    setPayer(payer);
    const [atomic] = await Promise.all([offersBatch(wallet.provider, payer, config.chain.hex), quotes.renew()]);
    store.set({ atomic });
  }

  async function changeChain() {
    store.set({ busy: "switching" });
    await switchTo(store.get().wallet.provider, config.chain);
    store.set({ chainId: config.chain.hex });
    await readHoldings();
  }

  /** The wallet may have changed under us; its events can be late or missing. */
  async function check() {
    const { payer, wallet } = store.get();
    const selected = await selectedAccount(wallet.provider);
    if (!selected) throw new WalletFault("locked");
    if (selected.toLowerCase() !== payer.toLowerCase()) {
      store.set({ busy: "" });
      setPayer(selected);
      throw new WalletFault("account_changed");
    }
    const chainId = await chainOf(wallet.provider);
    store.set({ chainId });
    if (chainId !== config.chain.hex) throw new WalletFault("still_elsewhere");
  }

  return { use, changeChain, check, readHoldings };
}
