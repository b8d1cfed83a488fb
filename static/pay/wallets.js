/** Wallets in the visitor's browser: found by EIP-6963, spoken to by EIP-1193. */

const FALLBACK_AFTER_MS = 250;
const RECEIPT_FIRST_MS = 700;
const RECEIPT_SLOWEST_MS = 6_000;
const ALLOWANCE_OF = "0xdd62ed3e";
const BALANCE_OF = "0x70a08231";
const NO_FUNDS = -32000;

/** What a wallet's error code means for us; anything else is `wallet_failed`. */
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

/** A refusal of the wallet that we recognise, or found out ourselves. */
export class WalletFault extends Error {
  /** @param {string} [words] what the wallet said */
  constructor(code, words = "") {
    super(code);
    this.code = code;
    this.words = words;
  }

  /** Whether the wallet certainly sent nothing. */
  get nothingSent() {
    return this.code !== "wallet_failed";
  }
}

function faultOf(error) {
  // Some mobile wallets wrap the real code in a general one.
  const inner = error?.data?.originalError?.code;
  const words = String(error?.message ?? "").slice(0, 200);
  // Nodes have no code of its own for this; the words decide what is said, never what is done.
  if ((inner ?? error?.code) === NO_FUNDS && /insufficient funds/i.test(words)) return new WalletFault("no_gas", words);
  return new WalletFault(WALLET_CODES.get(inner) ?? WALLET_CODES.get(error?.code) ?? "wallet_failed", words);
}

export async function ask(provider, method, params = []) {
  try {
    return await provider.request({ method, params });
  } catch (error) {
    throw faultOf(error);
  }
}

/**
 * Calls back with the known wallets, now and whenever another one announces itself.
 * @param {string} fallbackName what to call a wallet that does not announce itself
 * @returns {() => void} asks all wallets to announce themselves again
 */
export function discoverWallets(fallbackName, onChange) {
  const found = new Map();
  window.addEventListener("eip6963:announceProvider", (event) => {
    const detail = event.detail;
    if (!detail?.info?.uuid || !detail.provider) return;
    found.set(detail.info.uuid, detail);
    onChange([...found.values()]);
  });
  return () => {
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    setTimeout(() => {
      const provider = window.ethereum;
      if (found.size || !provider) return;
      onChange([{ info: { uuid: "injected", name: fallbackName, icon: "" }, provider }]);
    }, FALLBACK_AFTER_MS);
  };
}

export async function connect(provider) {
  const accounts = await ask(provider, "eth_requestAccounts");
  if (!Array.isArray(accounts) || !accounts.length) throw new WalletFault("locked");
  return String(accounts[0]);
}

export async function selectedAccount(provider) {
  const accounts = await ask(provider, "eth_accounts");
  return Array.isArray(accounts) && accounts.length ? String(accounts[0]) : null;
}

export async function chainOf(provider) {
  return `0x${BigInt(await ask(provider, "eth_chainId")).toString(16)}`;
}

/**
 * Takes the wallet to our chain, and adds the chain where the wallet lacks it. Adding does not imply switching.
 */
export async function switchTo(provider, chain) {
  const choose = () => ask(provider, "wallet_switchEthereumChain", [{ chainId: chain.hex }]);
  try {
    await choose();
  } catch (error) {
    const unknown = error instanceof WalletFault && error.code === "unknown_chain";
    if (!unknown || !chain.rpc_urls.length) throw error;
    await addChain(provider, chain);
    if ((await chainOf(provider)) !== chain.hex) await choose();
  }
  if ((await chainOf(provider)) !== chain.hex) throw new WalletFault("still_elsewhere");
}

function addChain(provider, chain) {
  const description = {
    chainId: chain.hex,
    chainName: chain.name,
    nativeCurrency: chain.currency,
    rpcUrls: chain.rpc_urls,
    ...(chain.explorer ? { blockExplorerUrls: [chain.explorer] } : {}),
  };
  return ask(provider, "wallet_addEthereumChain", [description]);
}

/**
 * @returns {Promise<string>} what the wallet answers: an EVM transaction hash, or a smart account's own
 */
export async function send(provider, from, { to, data, value }) {
  return String(await ask(provider, "eth_sendTransaction", [{ from, to, data, value }]));
}

/** Waits for a receipt, ever more slowly; null when none came in time. */
export async function receiptOf(provider, hash, limitMs, signal) {
  const end = Date.now() + limitMs;
  for (let wait = RECEIPT_FIRST_MS; Date.now() < end && !signal?.aborted; wait = Math.min(wait * 1.4, RECEIPT_SLOWEST_MS)) {
    // A node that fails to answer once is asked again.
    const receipt = await ask(provider, "eth_getTransactionReceipt", [hash]).catch(() => null);
    if (receipt) return receipt;
    await pause(wait);
  }
  return null;
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One word of calldata. */
export const word = (hex) => hex.slice(2).toLowerCase().padStart(64, "0");

/** Reads one number through the wallet's node; null when it cannot be read, which proves nothing. */
export async function readNumber(provider, method, params) {
  const answer = await ask(provider, method, params).catch(() => null);
  return typeof answer === "string" && /^0x[0-9a-f]+$/i.test(answer) ? BigInt(answer) : null;
}

/** What the account holds: the token, and the coin that pays the network's fee; and what a unit of gas costs. */
export async function holdings(provider, token, account) {
  const [units, coin, gasPrice] = await Promise.all([
    readNumber(provider, "eth_call", [{ to: token, data: BALANCE_OF + word(account) }, "latest"]),
    readNumber(provider, "eth_getBalance", [account, "latest"]),
    readNumber(provider, "eth_gasPrice", []),
  ]);
  return { tokens: units, coins: coin, gasPrice };
}

export function allowance(provider, quote, account) {
  const data = ALLOWANCE_OF + word(account) + word(quote.gateway);
  return readNumber(provider, "eth_call", [{ to: quote.token, data }, "latest"]);
}
