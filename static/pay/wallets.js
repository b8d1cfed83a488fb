/** Browser wallets: discovered by EIP-6963, called by EIP-1193. */

import { parseChainId, readWalletError } from "./wallet_errors.js";

const FALLBACK_DELAY_MS = 250;
const RECEIPT_FIRST_WAIT_MS = 700;
const RECEIPT_MAX_WAIT_MS = 6_000;
const READ_LIMIT_MS = 10_000;
const ALLOWANCE_OF = "0xdd62ed3e";
const BALANCE_OF = "0x70a08231";
const LATEST_ANSWER = "0x50d25bcd";

/** No coin costs a million dollars: a negative answer looks like more. */
const MAX_COIN_PRICE = 10n ** 14n;

/** @typedef {{request: (call: {method: string, params?: unknown[]}) => Promise<any>, on?: Function, removeListener?: Function}} Provider */
/** @typedef {{info: {uuid: string, name: string, icon: string, rdns?: string}, provider: Provider}} Wallet */

/** A wallet's refusal, or a reason of our own not to ask it. */
export class WalletFault extends Error {
  /**
   * @param {string} [detail] the wallet's message, or the name of the contract's error
   * @param {boolean} [mayHaveSent] whether the wallet may have sent something all the same
   */
  constructor(code, detail = "", mayHaveSent = false) {
    super(code);
    this.code = code;
    this.detail = detail;
    this.mayHaveSent = mayHaveSent;
  }
}

export async function requestWallet(provider, method, params = []) {
  try {
    return await provider.request({ method, params });
  } catch (error) {
    const { meaning, message, mayHaveSent } = readWalletError(error, method);
    throw new WalletFault(meaning, message, mayHaveSent);
  }
}

/** Adds an announced wallet. One that announces itself again, or with a new provider, is the same wallet. */
function mergeWallet(wallets, announced) {
  const { provider, info } = announced;
  if (wallets.some((wallet) => wallet.provider === provider)) return wallets;
  const isSame = (wallet) => wallet.info.uuid === info.uuid || Boolean(info.rdns && wallet.info.rdns === info.rdns);
  return wallets.some(isSame) ? wallets.map((wallet) => (isSame(wallet) ? announced : wallet)) : [...wallets, announced];
}

/**
 * Reports the known wallets whenever another one announces itself.
 * @param {string} fallbackName the name of a wallet that does not announce itself
 * @returns {() => void} asks all wallets to announce themselves again
 */
export function discoverWallets(fallbackName, onChange) {
  let wallets = [];
  window.addEventListener("eip6963:announceProvider", (event) => {
    const detail = event.detail;
    if (!detail?.info?.uuid || !detail.provider) return;
    const merged = mergeWallet(wallets, detail);
    if (merged === wallets) return;
    wallets = merged;
    onChange(wallets);
  });
  return () => {
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    setTimeout(() => {
      const provider = window.ethereum;
      if (wallets.length || !provider) return;
      onChange([{ info: { uuid: "injected", name: fallbackName, icon: "" }, provider }]);
    }, FALLBACK_DELAY_MS);
  };
}

export async function connectWallet(provider) {
  const accounts = await requestWallet(provider, "eth_requestAccounts");
  if (!Array.isArray(accounts) || !accounts.length) throw new WalletFault("locked");
  return String(accounts[0]);
}

export async function getSelectedAccount(provider) {
  const accounts = await requestWallet(provider, "eth_accounts");
  return Array.isArray(accounts) && accounts.length ? String(accounts[0]) : null;
}

/** Reads the wallet's network. Null if the wallet names none. */
export async function getChainId(provider) {
  const chainId = parseChainId(await requestWallet(provider, "eth_chainId"));
  return chainId ?? parseChainId(await tryRead(provider, "net_version", []));
}

/** Raises unless the wallet is on our chain. */
export function requireChain(chainId, chain) {
  if (chainId === null) throw new WalletFault("no_network");
  if (chainId !== chain.hex) throw new WalletFault("still_elsewhere");
}

/**
 * Switches the wallet to our chain, adding the chain first if needed. Adding does not imply switching.
 */
export async function switchChain(provider, chain) {
  const switchNow = () => requestWallet(provider, "wallet_switchEthereumChain", [{ chainId: chain.hex }]);
  try {
    await switchNow();
  } catch (error) {
    const meaning = error instanceof WalletFault ? error.code : "";
    if (meaning === "unsupported") throw new WalletFault("still_elsewhere");
    if (meaning !== "unknown_chain" || !chain.rpc_urls.length) throw error;
    await addChain(provider, chain);
    if ((await getChainId(provider)) !== chain.hex) await switchNow();
  }
  requireChain(await getChainId(provider), chain);
}

function addChain(provider, chain) {
  const description = {
    chainId: chain.hex,
    chainName: chain.name,
    nativeCurrency: chain.currency,
    rpcUrls: chain.rpc_urls,
    ...(chain.explorer ? { blockExplorerUrls: [chain.explorer] } : {}),
  };
  return requestWallet(provider, "wallet_addEthereumChain", [description]);
}

/**
 * @returns {Promise<string>} the wallet's answer: an EVM transaction hash, or a smart account's own identifier
 */
export async function sendTransaction(provider, from, { to, data, value }) {
  return String(await requestWallet(provider, "eth_sendTransaction", [{ from, to, data, value }]));
}

/** Polls for a receipt with growing pauses. Null if none came in time. */
export async function waitForReceipt(provider, hash, limitMs, signal) {
  const end = Date.now() + limitMs;
  for (let wait = RECEIPT_FIRST_WAIT_MS; Date.now() < end && !signal?.aborted; wait = Math.min(wait * 1.4, RECEIPT_MAX_WAIT_MS)) {
    // Retry when the node fails.
    const receipt = await tryRead(provider, "eth_getTransactionReceipt", [hash]);
    if (receipt) return receipt;
    await pause(wait);
  }
  return null;
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Reads what a wallet tells without its user. Null if it fails or does not answer in time. */
export function tryRead(provider, method, params) {
  const answer = requestWallet(provider, method, params).catch(() => null);
  return Promise.race([answer, pause(READ_LIMIT_MS).then(() => null)]);
}

/** Encodes one word of calldata. */
export const encodeWord = (hex) => hex.slice(2).toLowerCase().padStart(64, "0");

/** Reads a number through the wallet's node. Null if unreadable, which proves nothing. */
export async function readNumber(provider, method, params) {
  const answer = await tryRead(provider, method, params);
  return typeof answer === "string" && /^0x[0-9a-f]+$/i.test(answer) ? BigInt(answer) : null;
}

/** Reads the account's tokens and coins, the price of gas, and the coin's price in 10^-8 dollars. */
export async function readHoldings(provider, { token, chain }, account) {
  const feed = chain.coin_price_feed;
  const [tokens, coins, gasPrice, coinPrice] = await Promise.all([
    readNumber(provider, "eth_call", [{ to: token.address, data: BALANCE_OF + encodeWord(account) }, "latest"]),
    readNumber(provider, "eth_getBalance", [account, "latest"]),
    readNumber(provider, "eth_gasPrice", []),
    feed && readNumber(provider, "eth_call", [{ to: feed, data: LATEST_ANSWER }, "latest"]),
  ]);
  return { tokens, coins, gasPrice, coinPrice: coinPrice < MAX_COIN_PRICE ? coinPrice : null };
}

export function readAllowance(provider, quote, account) {
  const data = ALLOWANCE_OF + encodeWord(account) + encodeWord(quote.gateway);
  return readNumber(provider, "eth_call", [{ to: quote.token, data }, "latest"]);
}
