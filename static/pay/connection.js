/** The connected wallet: its account, its network, and what the account holds. */

import { supportsBatch } from "./batch.js";
import { saveLastWallet } from "./local_hints.js";
import { parseChainId } from "./wallet_errors.js";
import { WalletFault, connectWallet, getChainId, getSelectedAccount, readHoldings, requireChain, switchChain } from "./wallets.js";

/** @typedef {import("./wallets.js").Wallet} Wallet */

export function createConnection(store, config, quotes) {
  const subscribed = new WeakSet();

  /** Reads the account's holdings. On another network the numbers would be meaningless. */
  async function refreshHoldings() {
    const { wallet, payer, chainId } = store.get();
    if (!wallet || !payer || chainId !== config.chain.hex) return;
    const holdings = await readHoldings(wallet.provider, config, payer);
    if (store.get().payer === payer) store.set({ holdings });
  }

  function setPayer(payer) {
    if (payer?.toLowerCase() === store.get().payer?.toLowerCase()) return;
    store.set({ payer, holdings: null, atomic: false });
    // While the wallet is open, `verify` finds the change before the next call is sent.
    if (!store.get().busy) void quotes.renew();
    void refreshHoldings();
  }

  function subscribeToWallet({ provider }) {
    if (subscribed.has(provider)) return;
    subscribed.add(provider);
    const isCurrent = () => store.get().wallet?.provider === provider;
    provider.on?.("accountsChanged", (accounts) => isCurrent() && setPayer(accounts[0] ?? null));
    provider.on?.("chainChanged", (chainId) => {
      if (!isCurrent()) return;
      store.set({ chainId: parseChainId(chainId), holdings: null });
      void refreshHoldings();
    });
  }

  /**
   * @param {import("./wallets.js").Provider} provider the wallet's, for as long as the payer waits
   */
  async function connect(wallet, provider) {
    store.set({ busy: "connecting" });
    const payer = await connectWallet(provider);
    const chainId = await getChainId(provider);
    subscribeToWallet(wallet);
    saveLastWallet(wallet);
    store.set({ wallet, chainId, canPermit: Boolean(config.token.permit) });
    setPayer(payer);
    const [atomic] = await Promise.all([supportsBatch(wallet.provider, payer, config.chain.hex), quotes.renew()]);
    if (store.get().wallet === wallet) store.set({ atomic });
  }

  function disconnect() {
    store.set({ wallet: null, payer: null, chainId: null, holdings: null, atomic: false, canPermit: false });
    void quotes.renew();
  }

  async function switchNetwork(provider) {
    store.set({ busy: "switching" });
    await switchChain(provider, config.chain);
    store.set({ chainId: config.chain.hex });
    await refreshHoldings();
  }

  /** Checks account and network again: a wallet's events can be late or missing. */
  async function verify(provider) {
    const { payer } = store.get();
    const selected = await getSelectedAccount(provider);
    if (!selected) throw new WalletFault("locked");
    if (selected.toLowerCase() !== payer.toLowerCase()) {
      store.set({ busy: "" });
      setPayer(selected);
      throw new WalletFault("account_changed");
    }
    const chainId = await getChainId(provider);
    store.set({ chainId });
    requireChain(chainId, config.chain);
  }

  return { connect, disconnect, switchNetwork, verify, refreshHoldings };
}
