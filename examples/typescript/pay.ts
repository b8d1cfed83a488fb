// Pays for an account with a permit and the payment in one transaction, and waits for the credit. Needs viem.
// Environment: SERVICE, RPC_URL, PAYER_KEY, WALLET, CENTS.
import { setTimeout as sleep } from "node:timers/promises";

import {
  type Abi,
  type Hex,
  createPublicClient,
  createWalletClient,
  defineChain,
  domainSeparator,
  encodeFunctionData,
  http,
  parseAbi,
  parseSignature,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

type Call = { to: Hex; data: Hex; value: "0x0"; label: string };
type Quote = { amount: string; gateway: Hex; token: Hex; chain_id: number; deadline: number; calls: Call[] };
type Claim = { state: string; retry_after: number | null; payments: { credit: string | null }[] };

const PATIENCE_MS = 600_000; // a payment that is credited later needs nobody to wait for it
const TOKEN = parseAbi([
  "function name() view returns (string)",
  "function nonces(address owner) view returns (uint256)",
  "function DOMAIN_SEPARATOR() view returns (bytes32)",
  "function allowance(address owner, address spender) view returns (uint256)",
]);
const PERMIT = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
} as const;

const { SERVICE, RPC_URL, PAYER_KEY, WALLET, CENTS } = process.env as Record<string, string>;
const payer = privateKeyToAccount(PAYER_KEY as Hex);

/** Posts JSON, which is safe to repeat. Waits where the service asks for that; throws the words of other problems. */
async function post<Answer>(path: string, body: object): Promise<Answer> {
  const end = Date.now() + PATIENCE_MS;
  const headers = { "content-type": "application/json", accept: "application/json" };
  for (;;) {
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const answer = await fetch(SERVICE + path, request).catch(() => null);
    if (answer?.ok) return await answer.json();
    if (Date.now() > end || (answer && ![429, 502, 503, 504].includes(answer.status))) {
      const problem = await answer?.json();
      throw new Error(problem ? `${problem.type}: ${problem.detail}` : "the service was not reached");
    }
    await sleep(Number(answer?.headers.get("retry-after") ?? 5) * 1000);
  }
}

const quote = await post<Quote>("/api/quotes", { wallet: WALLET, cents: Number(CENTS), payer: payer.address });
const chain = defineChain({
  id: quote.chain_id,
  name: "the quote's chain",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [RPC_URL] } },
});
const node = createPublicClient({ chain, transport: http(), pollingInterval: 500 });
const sender = createWalletClient({ account: payer, chain, transport: http() });
const abi: Abi = await (await fetch(`${SERVICE}/abi.json`)).json();

/** Signs an allowance of exactly the quote's amount; null if the token takes no permits that we know. */
async function signPermit(): Promise<Hex | null> {
  const token = { address: quote.token, abi: TOKEN } as const;
  try {
    const [name, separator, nonce] = await Promise.all([
      node.readContract({ ...token, functionName: "name" }),
      node.readContract({ ...token, functionName: "DOMAIN_SEPARATOR" }),
      node.readContract({ ...token, functionName: "nonces", args: [payer.address] }),
    ]);
    // No view tells the version. The right one gives the separator that the token itself computes.
    const domains = ["1", "2"].map((version) => ({
      name,
      version,
      chainId: quote.chain_id,
      verifyingContract: quote.token,
    }));
    const domain = domains.find((candidate) => domainSeparator({ domain: candidate }) === separator);
    if (!domain) return null;
    const [value, deadline] = [BigInt(quote.amount), BigInt(quote.deadline)];
    const message = { owner: payer.address, spender: quote.gateway, value, nonce, deadline };
    const signature = await payer.signTypedData({ domain, types: PERMIT, primaryType: "Permit", message });
    const { r, s, yParity } = parseSignature(signature);
    return encodeFunctionData({ abi, functionName: "permit", args: [value, deadline, 27 + yParity, r, s] });
  } catch {
    return null; // the token has no such views
  }
}

/** Sends one call and waits until it is mined. */
async function send(call: Pick<Call, "to" | "data">): Promise<Hex> {
  const hash = await sender.sendTransaction({ to: call.to, data: call.data });
  const receipt = await node.waitForTransactionReceipt({ hash });
  if (receipt.status !== "success") throw new Error("reverted: no token moved");
  return hash;
}

/** Permit and payment in one transaction; an approval of its own where there is no permit. */
async function pay(): Promise<Hex> {
  const payment = quote.calls[quote.calls.length - 1];
  const approvals = quote.calls.slice(0, -1);
  const permit = approvals.length ? await signPermit() : null;
  if (permit) {
    const data = encodeFunctionData({ abi, functionName: "multicall", args: [[permit, payment.data]] });
    return await send({ to: quote.gateway, data });
  }
  for (const approval of approvals) await send(approval);
  // The node that estimates the payment must see the approval, which another may have mined.
  const allowance = { address: quote.token, abi: TOKEN, functionName: "allowance" } as const;
  while ((await node.readContract({ ...allowance, args: [payer.address, quote.gateway] })) < BigInt(quote.amount)) {
    if (Date.now() / 1000 > quote.deadline) throw new Error("the quote ended before the approval was seen");
    await sleep(500);
  }
  return await send(payment);
}

const tx_hash = await pay();
const end = Date.now() + PATIENCE_MS;
let claim = await post<Claim>("/api/payments", { tx_hash });
while (claim.retry_after !== null && claim.state !== "held" && Date.now() < end) {
  await sleep(Math.min(Math.max(claim.retry_after, 1), 60) * 1000);
  claim = await post<Claim>("/api/payments", { tx_hash });
}
console.log(claim.state, claim.payments[0]?.credit);
process.exitCode = claim.state === "credited" ? 0 : 1;
