/** Browser wallets: discovered by EIP-6963, called by EIP-1193. */

const FALLBACK_DELAY_MS = 250;
const RECEIPT_FIRST_WAIT_MS = 700;
const RECEIPT_MAX_WAIT_MS = 6_000;
const ALLOWANCE_OF = "0xdd62ed3e";
const BALANCE_OF = "0x70a08231";
const NO_FUNDS_CODE = -32000;

/** Our fault codes by the wallet's error code. Any other error is `wallet_failed`. */
const WALLET_CODES = new Map([
  [4001, "rejected"],
  [4100, "locked"],
  [4200, "unsupported"],
  [-32601, "unsupported"],
  [4900, "disconnected"],
  [4901, "disconnected"],
  [4902, "unknown_chain"],
  [-32002, "busy"],
  [5700, "no_batch"],
  [5710, "no_batch"],
  [5740, "no_batch"],
  [5750, "no_batch"],
  [5760, "no_batch"],
]);

/** @typedef {{request: (call: {method: string, params?: unknown[]}) => Promise<any>, on?: Function, removeListener?: Function}} Provider */
/** @typedef {{info: {uuid: string, name: string, icon: string}, provider: Provider}} Wallet */

/** A wallet's refusal, or a reason of our own not to ask it. */
export class WalletFault extends Error {
  /** @param {string} [detail] the wallet's message, or the name of the contract's error */
  constructor(code, detail = "") {
    super(code);
    this.code = code;
    this.detail = detail;
  }

  /** Whether the wallet certainly sent nothing. */
  get nothingSent() {
    return this.code !== "wallet_failed";
  }
}

function createWalletFault(error) {
  // Some mobile wallets wrap the real code in a generic one.
  const inner = error?.data?.originalError?.code;
  const message = String(error?.message ?? "").slice(0, 200);
  // No error code means just this. The message selects the sentence shown, never what happens next.
  if ((inner ?? error?.code) === NO_FUNDS_CODE && /insufficient funds/i.test(message)) return new WalletFault("no_gas", message);
  return new WalletFault(WALLET_CODES.get(inner) ?? WALLET_CODES.get(error?.code) ?? "wallet_failed", message);
}

export async function requestWallet(provider, method, params = []) {
  try {
    return await provider.request({ method, params });
  } catch (error) {
    throw createWalletFault(error);
  }
}

/**
 * Reports the known wallets whenever another one announces itself.
 * @param {string} fallbackName the name of a wallet that does not announce itself
 * @returns {() => void} asks all wallets to announce themselves again
 */
export function discoverWallets(fallbackName, onChange) {
  const wallets = new Map();
  window.addEventListener("eip6963:announceProvider", (event) => {
    const detail = event.detail;
    if (!detail?.info?.uuid || !detail.provider) return;
    wallets.set(detail.info.uuid, detail);
    onChange([...wallets.values()]);
  });
  return () => {
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    setTimeout(() => {
      const provider = window.ethereum;
      if (wallets.size || !provider) return;
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

export async function getChainId(provider) {
  return `0x${BigInt(await requestWallet(provider, "eth_chainId")).toString(16)}`;
}

/**
 * Switches the wallet to our chain, adding the chain first if needed. Adding does not imply switching.
 */
export async function switchChain(provider, chain) {
  const switchNow = () => requestWallet(provider, "wallet_switchEthereumChain", [{ chainId: chain.hex }]);
  try {
    await switchNow();
  } catch (error) {
    const isUnknownChain = error instanceof WalletFault && error.code === "unknown_chain";
    if (!isUnknownChain || !chain.rpc_urls.length) throw error;
    await addChain(provider, chain);
    if ((await getChainId(provider)) !== chain.hex) await switchNow();
  }
  if ((await getChainId(provider)) !== chain.hex) throw new WalletFault("still_elsewhere");
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
    const receipt = await requestWallet(provider, "eth_getTransactionReceipt", [hash]).catch(() => null);
    if (receipt) return receipt;
    await pause(wait);
  }
  return null;
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Encodes one word of calldata. */
export const encodeWord = (hex) => hex.slice(2).toLowerCase().padStart(64, "0");

/** Reads a number through the wallet's node. Null if unreadable, which proves nothing. */
export async function readNumber(provider, method, params) {
  const answer = await requestWallet(provider, method, params).catch(() => null);
  return typeof answer === "string" && /^0x[0-9a-f]+$/i.test(answer) ? BigInt(answer) : null;
}

/** Reads the account's tokens and coins, and the price of gas. */
export async function readHoldings(provider, token, account) {
  const [tokens, coins, gasPrice] = await Promise.all([
    readNumber(provider, "eth_call", [{ to: token, data: BALANCE_OF + encodeWord(account) }, "latest"]),
    readNumber(provider, "eth_getBalance", [account, "latest"]),
    readNumber(provider, "eth_gasPrice", []),
  ]);
  return { tokens, coins, gasPrice };
}

export function readAllowance(provider, quote, account) {
  const data = ALLOWANCE_OF + encodeWord(account) + encodeWord(quote.gateway);
  return readNumber(provider, "eth_call", [{ to: quote.token, data }, "latest"]);
}
