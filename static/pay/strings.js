/** Every sentence the script says. Each fault tells whether money moved and what to do next. */

/** @typedef {{title: string, text: string}} Message */

const NOTHING_SENT = "Nothing was sent.";
const NO_NEED = "There is no need to pay again.";

/** The primary button: its label is the next action. */
export const actions = {
  connect: "Connect wallet",
  connecting: "Open your wallet to connect…",
  switch: (chain) => `Switch to ${chain}`,
  switching: "Confirm the network in your wallet…",
  quote: "Get a price",
  quoting: "Getting the price…",
  checking: "Asking the chain whether it would take this…",
  allow: (amount) => `Allow ${amount}`,
  signing: "Sign the allowance in your wallet…",
  allowing: "Confirm the allowance in your wallet…",
  allowMining: "Waiting for the allowance…",
  pay: (amount) => `Pay ${amount}`,
  paying: "Confirm the payment in your wallet…",
  sending: "Your wallet is sending the payment…",
  waiting: (chain) => `Waiting for ${chain}…`,
  crediting: "Adding the credit…",
  again: "Make another payment",
  receipt: "See receipt",
  retry: "Start again",
};

/** Where a rate comes from, in words. */
const rateSources = { coingecko: "CoinGecko", override: "set by our staff" };

export const words = {
  fallbackWallet: "Browser wallet",
  stepDone: "done",
  limits: (minimum, maximum) => `From ${minimum} to ${maximum}.`,
  rate: (rate, symbol) => `${rate} per ${symbol}`,
  rateSource: (source, ago) => `${rateSources[source] ?? source}, ${ago}`,
  discount: (share, market) => `${share} discount; market rate ${market}`,
  held: (clock) => `Price held for ${clock}`,
  renewing: "Renewing the price…",
  added: (cents) => `+${cents}`,
  payerIs: (wallet) => `Paying from ${wallet}`,
  payerOther: (wallet, credited) => `Paying from ${wallet}. The credit still goes to ${credited}.`,
  reference: (reference) => `Reference: ${reference}`,
  walletSaid: (said) => `Your wallet said: “${said}”`,
  closeHint: "You can close this page. We will still credit the payment.",
  holding: (now, after) => `${now} now, ${after} afterwards`,
  fee: (amount) => `about ${amount}, paid to the network`,
  feeUnknown: "about a cent, paid to the network",
  oncePrompted: "Your wallet asks once.",
  signThenPay: "Your wallet asks twice: for a signature, then for the payment.",
  twicePrompted: "Your wallet asks twice: to allow the amount, then to pay.",
  receipt: "Receipt",
  copied: "Copied",
  notCopied: "Copying is not allowed here. The details are below.",
  priceUnknown: "–",
  transaction: "EVM transaction",
  noPayments: "No payments yet.",
  priceToCome: "priced when final",
};

export const amountFaults = {
  unreadable: "Write the amount in dollars, for example 50 or 12.50.",
  below_minimum: (minimum) => `The smallest payment is ${minimum}.`,
  above_maximum: (maximum) => `The largest payment is ${maximum}.`,
};

export const walletFaults = {
  none: {
    title: "No wallet found in this browser",
    text: `Install a wallet extension, or open this page in the browser of your wallet's app: the links and the code are below. ${NOTHING_SENT}`,
  },
  rejected: {
    title: "You closed the request in your wallet",
    text: `${NOTHING_SENT} Press the button to try again.`,
  },
  busy: {
    title: "Your wallet already has an open request",
    text: `Open the wallet and answer it, then come back and press the button. ${NOTHING_SENT}`,
  },
  locked: {
    title: "The wallet is locked or does not share this account",
    text: `Unlock it, allow this page to see the account, and press the button again. ${NOTHING_SENT}`,
  },
  disconnected: {
    title: "The wallet has no connection to its network",
    text: `Check the wallet's network and try again. ${NOTHING_SENT}`,
  },
  unsupported: {
    title: "This wallet cannot do what a payment needs",
    text: `Try another wallet. ${NOTHING_SENT}`,
  },
  unknown_chain: {
    title: "Your wallet does not know this network yet",
    text: `Add the network in the wallet's settings, then press the button again. ${NOTHING_SENT}`,
  },
  still_elsewhere: {
    title: "The wallet is still on another network",
    text: `Choose the right network in the wallet, then press the button again. ${NOTHING_SENT}`,
  },
  account_changed: {
    title: "The wallet switched to another account",
    text: `The price was renewed for the account you use now. ${NOTHING_SENT} Press the button to go on.`,
  },
  no_gas: {
    title: "This account has too little of the network's coin for the fee",
    text: `${NOTHING_SENT} Send a little of it to the account, about a cent's worth, and press the button again.`,
  },
  batch_dropped: {
    title: "Your wallet did not send the payment",
    text: `${NOTHING_SENT} Press the button to try again.`,
  },
  overtaken: {
    title: "Another payment of this account came first",
    text: "A price can be paid once, so the contract refuses yours: its tokens stay where they are. Look at the recent payments before you pay again.",
  },
  wallet_failed: {
    title: "Your wallet reported a problem",
    text: `${NOTHING_SENT} Check the wallet and press the button to try again.`,
  },
  allow_failed: {
    title: "The allowance did not go through",
    text: "No payment was sent; only the network fee for the allowance was spent. Press the button to try again.",
  },
  allow_slow: {
    title: "The allowance is taking longer than usual",
    text: "No payment was sent yet. Wait until your wallet shows the allowance as confirmed, then press the button.",
  },
  pay_unclear: {
    title: "We cannot tell whether your wallet sent the payment",
    text: "Look at the wallet's activity before you pay again. If the payment is there, it is safe: this page is looking for it and it will be credited.",
  },
  handed_over: {
    title: "Your wallet took the payment over",
    text: "It sends the payment once everyone who must sign has signed. Then it appears here and is credited. You can close this page. If that takes longer than the price is held, the contract refuses the payment and no tokens are taken.",
  },
  price_rose: {
    title: "The price was renewed and you would pay a little more",
    text: `${NOTHING_SENT} Look at the new amount and press the button if it suits you.`,
  },
};

export const allowanceShort = (allowed, needed) => ({
  title: `Your wallet allowed ${allowed}; this payment needs ${needed}`,
  text: "No payment was sent. Press the button and allow the whole amount, or choose a smaller payment.",
});

/** Why the contract would refuse a payment, by the name of its error. The wallet was not asked. */
export const contractFaults = {
  NotRegistered: {
    title: "The contract does not know this wallet's account",
    text: `A new price brings the registration along. ${NOTHING_SENT} Press the button once the new price is here.`,
  },
  AlreadyRegistered: {
    title: "The contract has this wallet under another account",
    text: `Ask support to correct it. ${NOTHING_SENT}`,
  },
  BelowMinimum: {
    title: "The amount is below what the contract takes",
    text: `Choose a larger amount. ${NOTHING_SENT}`,
  },
  DeadlinePassed: {
    title: "The price ran out",
    text: `${NOTHING_SENT} A new price is on its way; look at it and press the button.`,
  },
  InvalidSignature: {
    title: "This price was already used, or is no longer valid",
    text: `${NOTHING_SENT} Another payment of this account may have come first. A new price is on its way; look at it and at the recent payments before you press the button.`,
  },
  AboveRateCeiling: {
    title: "The price is above what the contract accepts",
    text: `${NOTHING_SENT} Try again in a few minutes, or ask support.`,
  },
  ReceivedOther: {
    title: "The token would not deliver the whole amount",
    text: `The contract refuses that. ${NOTHING_SENT} Ask support.`,
  },
  EnforcedPause: {
    title: "Payments are paused at the moment",
    text: `${NOTHING_SENT} Payments already made are credited as usual. Try again later.`,
  },
  ERC20InsufficientBalance: {
    title: "This account has too few tokens",
    text: `Choose a smaller payment or use another account. ${NOTHING_SENT}`,
  },
  ERC20InsufficientAllowance: {
    title: "The allowance is not on the chain yet",
    text: `${NOTHING_SENT} Wait until your wallet shows it as confirmed, then press the button.`,
  },
  unnamed: {
    title: "The contract would refuse this payment",
    text: `It gives no reason that we know. ${NOTHING_SENT} A new price is on its way; if it happens again, copy the details for support.`,
  },
};

export const tokensShort = (has, needs, symbol, chain) => ({
  title: `This account has ${has} and needs ${needs}`,
  text: `Choose a smaller payment, use another account, or get more ${symbol} on ${chain} first. ${NOTHING_SENT}`,
});

export const payLess = (amount) => `Pay ${amount} instead`;

export const tooFewCoins = (coin, chain, needed, has) => ({
  title: needed ? `The network fee is about ${needed}, and this account has ${has}` : `This account has no ${coin} on ${chain}`,
  text: `Unless your wallet pays the fee for you, send a little ${coin} on ${chain} to the account first: a cent's worth is enough. ${NOTHING_SENT}`,
});

const UNKNOWN_WALLET = {
  title: "No account is known for this wallet",
  text: `Check the address, or add this wallet to your account in the dashboard first. ${NOTHING_SENT}`,
};

/** Faults of the service before a payment, by the problem's code. */
export const serviceFaults = {
  rate_unavailable: {
    title: "There is no reliable price right now",
    text: `${NOTHING_SENT} This page asks again by itself; a price is usually back within minutes.`,
  },
  paused: {
    title: "Payments are paused at the moment",
    text: `${NOTHING_SENT} This page asks again by itself. Payments already made are credited as usual.`,
  },
  unknown_wallet: UNKNOWN_WALLET,
  wallet_conflict: {
    title: "This wallet belongs to more than one account",
    text: `We cannot tell which one to credit. Ask support to settle it. ${NOTHING_SENT}`,
  },
  not_payable: {
    title: "This account does not take payments here",
    text: `Payments are switched off for it. Ask support how this account is paid. ${NOTHING_SENT}`,
  },
  below_minimum: { title: "The amount is below the minimum", text: `Choose a larger amount. ${NOTHING_SENT}` },
  above_maximum: { title: "The amount is above the maximum", text: `Choose a smaller amount. ${NOTHING_SENT}` },
  busy: {
    title: "Many accounts are being looked up right now",
    text: `${NOTHING_SENT} This page asks again by itself in a moment.`,
  },
  rate_limited: {
    title: "Too many requests from your network",
    text: `${NOTHING_SENT} This page asks again by itself in a moment.`,
  },
  chain_unavailable: {
    title: "The chain cannot be read right now",
    text: `${NOTHING_SENT} This page asks again by itself. Payments already made are credited as usual.`,
  },
  unreachable: {
    title: "We cannot be reached right now",
    text: `${NOTHING_SENT} Check your connection; this page keeps trying.`,
  },
  unexpected: {
    title: "Something went wrong on our side",
    text: `${NOTHING_SENT} This page tries again by itself. If it lasts, give support the reference below.`,
  },
};

/** Faults of the service while a payment is followed. */
export const followFaults = {
  passing: `We cannot read the state right now; this page keeps trying. Your payment is safe and will be credited. ${NO_NEED}`,
  lasting: "The service does not accept this transaction hash. Check it and try again.",
};

export const underWay = (amount, ago) => ({
  title: `A payment of ${amount} is already under way, sent ${ago}`,
  text: "It will be credited by itself. Pay again only if you want to add more.",
});

export const heldBefore = (amount, ago) => ({
  title: `A payment of ${amount}, sent ${ago}, is held`,
  text: "Its reason is in the list of recent payments. It is safe; pay again only if you want to add more.",
});

export const notEnough = (symbol) => `Not enough ${symbol}`;

export const hashFaults = {
  unreadable: "A transaction hash is 0x followed by 64 characters (0-9, a-f). Nothing was changed.",
};

/** The details for support, line by line. */
export const supportLines = {
  page: "Page",
  time: "Time",
  account: "Wallet of the account",
  payer: "Paying from",
  walletName: "Wallet app",
  network: "Network",
  transaction: "EVM transaction",
  state: "State",
  notice: "Shown",
  reference: "Request",
};

/** One word per state, for the list of payments. */
export const stateNames = {
  unknown: "Looking for it",
  confirming: "Confirming",
  pending: "Pending",
  credited: "Credited",
  reversed: "Reversed",
  held: "Held",
  failed: "Failed",
};

export const pendingCauses = {
  none: `Your payment is on the chain and the credit is being written. ${NO_NEED}`,
  stripe_unclear: `The billing system gave no clear answer, so we look before we write: nothing is credited twice. This can take a while. ${NO_NEED}`,
  stripe_down: `The billing system does not answer. The credit is written as soon as it does. ${NO_NEED}`,
  rate_limited: `Many payments are being credited right now. Yours is in line. ${NO_NEED}`,
};

/** Why a payment waits, and what releases it. */
export const heldCauses = {
  rate_unavailable: `There was no reliable price at the time of this payment. It is credited once the price is known, or once our staff sets one. ${NO_NEED}`,
  over_limit: `This account's payments of the last 24 hours are above the limit. Our staff must release this one. ${NO_NEED}`,
  customer_deleted: `The account was deleted in the billing system, and its history with it. Our staff must find out whether this payment was credited before that, and which account should get it if not. ${NO_NEED}`,
  customer_invalid: `The account named by this payment cannot be found. Our staff must say which account to credit. ${NO_NEED}`,
  currency: `The account is billed in another currency. Our staff must settle it. ${NO_NEED}`,
  test_clock: `The account is a test account of the billing system. Our staff must say which account to credit. ${NO_NEED}`,
  not_payable: `Payments are switched off for this account. Our staff must decide about this one. ${NO_NEED}`,
  ledger_altered: `Somebody changed the account's balance by the same amount. Our staff must check it, so that nothing is credited twice. ${NO_NEED}`,
  ledger_unproven: `The billing system's list does not show clearly whether this payment was credited before. We read it again every hour, and our staff can settle it, so that nothing is credited twice. ${NO_NEED}`,
  stripe_refused: `The billing system refused the credit. It is tried again daily, and our staff sees it. ${NO_NEED}`,
};

/** Titles and sentences of a followed payment. */
export const paymentTexts = {
  unknown: (chain) => ({
    title: `Waiting for ${chain} to show your payment`,
    text: `This usually takes a few seconds. ${NO_NEED}`,
  }),
  unknownLong: (chain) => ({
    title: `${chain} is slower than usual`,
    text: `Your payment is safe: this page and our server keep looking. ${NO_NEED} Only if your wallet shows it as failed, cancelled or dropped were no tokens taken.`,
  }),
  confirming: (done, needed) => ({
    title: "Payment received, confirming",
    text: `${done} of ${needed} seconds. ${NO_NEED}`,
  }),
  confirmingUncounted: { title: "Payment received, confirming", text: `It is credited once the chain can no longer change it. ${NO_NEED}` },
  pendingTitle: "Paid, the credit is on its way",
  credited: (amount) => ({ title: `${amount} added`, text: "The credit is on the account. You are done." }),
  creditedUnnamed: { title: "Credited", text: "The credit is on the account. You are done." },
  creditedDust: { title: "Payment received", text: "It is worth less than one cent, so nothing could be added." },
  heldTitle: "Paid, the credit is held",
  reversed: { title: "This credit was taken back", text: "Our staff reversed it. Ask support for the reason." },
  failed: {
    title: "The payment did not go through",
    text: "The contract refused it, most often because the price was no longer valid. No tokens were taken, only the network fee. You can start again.",
  },
};
