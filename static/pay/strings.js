/** Every sentence the script shows. Each fault states what happened, whether money moved, and what to do. */

/** @typedef {{title: string, text: string}} Message */

const NOTHING_SENT = "Nothing was sent.";
const NO_PAYMENT = "No payment was sent.";
const NOT_ASKED = "Your wallet was not asked to pay.";
const NO_NEED = "You do not need to pay again.";
const AUTOMATIC = "This page tries again automatically.";
const PAID_IS_CREDITED = "Payments you already made are credited as usual.";

/** The primary button's label is the next action. */
export const buttonLabels = {
  connect: "Connect wallet",
  connecting: "Open your wallet to connect…",
  switch: (chain) => `Switch to ${chain}`,
  switching: "Confirm the network in your wallet…",
  quote: "Get a price",
  blocked: "Payment not possible now",
  retryIn: (countdown) => `Trying again in ${countdown}`,
  quoting: "Getting the price…",
  looking: "Looking for other payments…",
  checking: "Checking the payment on the chain…",
  allow: (amount) => `Allow ${amount}`,
  signing: "Sign the allowance in your wallet…",
  allowing: "Confirm the allowance in your wallet…",
  allowMining: "Waiting for the allowance…",
  pay: (amount) => `Pay ${amount}`,
  paying: "Confirm the payment in your wallet…",
  sending: "Your wallet is sending the payment…",
  unreadable: "Trying again…",
  waiting: (chain) => `Waiting for ${chain}…`,
  crediting: "Adding the credit…",
  again: "Pay again",
  receipt: "See receipt",
  retry: "Start again",
};

const rateSources = { coingecko: "CoinGecko", override: "set by our staff" };

export const phrases = {
  fallbackWallet: "Browser wallet",
  stepDone: "done",
  limits: (minimum, maximum) => `From ${minimum} to ${maximum}.`,
  rate: (rate, symbol) => `${rate} per ${symbol}`,
  rateSource: (source, age) => `${rateSources[source.split(":")[0]] ?? source}, ${age}`,
  discount: (share, market) => `${share} discount; market rate ${market}`,
  held: (countdown) => `Price held for ${countdown}`,
  renewing: "Renewing the price…",
  added: (cents) => `+${cents}`,
  payerIs: (wallet) => `Paying from ${wallet}`,
  payerOther: (wallet, credited) => `Paying from ${wallet}. The credit still goes to ${credited}.`,
  reference: (reference) => `Reference: ${reference}`,
  walletMessage: (message) => `Your wallet said: “${message}”`,
  closeHint: "You can close this page: the credit does not need it.",
  holdings: (before, after) => `${before} now, ${after} afterwards`,
  fee: (amount) => `about ${amount}`,
  feeUnder: (amount) => `under ${amount}`,
  feeUnknown: "usually about a cent",
  oncePromptedMore: "Your wallet asks once more, for the payment.",
  oncePrompted: "Your wallet asks once.",
  signThenPay: "Your wallet asks twice: for a signature, then for the payment.",
  twicePrompted: "Your wallet asks twice: to allow the amount, then to pay.",
  receipt: "Receipt",
  copied: "Copied",
  notCopied: "This browser does not allow copying. The details are below.",
  priceUnknown: "–",
  transaction: "EVM transaction",
  noPayments: "No payments yet.",
  priceToCome: "priced when final",
};

export const amountFaults = {
  unreadable: (decimal) => `Write the amount in dollars, for example 50 or ${decimal}.`,
  ambiguous: (decimal) => `Three digits after a separator can be read in two ways. Write the amount as 1000 or ${decimal}.`,
  below_minimum: (minimum) => `The smallest payment is ${minimum}.`,
  above_maximum: (maximum) => `The largest payment is ${maximum}.`,
  above_rest: (rest, limit, time) => `${rest} is left of this account's limit of ${limit} in 24 hours, and more from ${time} on.`,
  limit_reached: (limit, time) => `This account's limit of ${limit} in 24 hours is reached. More can be paid from ${time} on.`,
  uncounted: "This account's payments of the last 24 hours are still being counted. Reload the page in a few seconds.",
};

/** What a wallet's fault means for the money. */
export const outcomes = { nothing: NOTHING_SENT, noPayment: NO_PAYMENT };

/** The same, where an earlier payment may have been sent. */
export const outcomesOfLatest = [
  [NOTHING_SENT, "Nothing more was sent."],
  [NO_PAYMENT, "No second payment was sent."],
];

/** Faults of wallets. `next` follows the sentence about the money; `text` has its own. */
export const walletFaults = {
  none: {
    title: "No wallet found in this browser",
    next: "Install a wallet extension, or open this page in the browser of your wallet's app.",
  },
  rejected: {
    title: "You closed the request in your wallet",
    next: "Press the button to try again.",
  },
  refused: {
    title: "Your wallet refused the request",
    next: "Press the button to try again.",
  },
  busy: {
    title: "Your wallet already has an open request",
    next: "Answer the request in your wallet, then press the button.",
  },
  locked: {
    title: "Your wallet is locked or does not share this account",
    next: "Unlock the wallet, let this page see the account, then press the button.",
  },
  disconnected: {
    title: "Your wallet is not connected to its network",
    next: "Check the network in your wallet, then try again.",
  },
  unsupported: {
    title: "This wallet does not support the payment",
    next: "Try another wallet.",
  },
  unknown_chain: {
    title: "Your wallet does not know this network",
    next: "Add the network in your wallet's settings, then press the button.",
  },
  still_elsewhere: {
    title: "Your wallet is still on another network",
    next: "Choose the right network in your wallet, then press the button.",
  },
  other_chain: {
    title: "Your wallet is on another network",
    next: "Choose the right network in your wallet, then press the button.",
  },
  no_network: {
    title: "Your wallet does not say which network it is on",
    next: "Choose the right network in your wallet, then press the button, or use another wallet.",
  },
  account_changed: {
    title: "Your wallet switched to another account",
    next: "The price was renewed for the new account. Press the button to continue.",
  },
  no_gas: {
    title: "This account cannot pay the network fee",
    next: "Send the account a little of the network's coin, then press the button.",
  },
  no_tokens: {
    title: "This account has too few tokens",
    next: "Choose a smaller payment or use another account.",
  },
  may_be_paid: {
    title: "Wait: your earlier payment may still arrive",
    text: `${NOTHING_SENT} The contract could take both payments now. Wait until this page shows what became of the earlier one.`,
  },
  doubled: {
    title: "There is another payment to this account",
    text: `${NOT_ASKED} The warning above and the recent payments show it, whoever made it. Press the button again only to add more.`,
  },
  unread: {
    title: "We cannot look for other payments right now",
    text: `${NOT_ASKED} Press the button again to pay without that. The contract takes each price only once.`,
  },
  unclear: {
    title: "Your wallet reported a problem",
    next: "Check your wallet, then press the button to try again.",
  },
  allow_failed: {
    title: "The allowance failed",
    text: `${NO_PAYMENT} You paid only the network fee for the allowance. Press the button to try again.`,
  },
  allow_slow: {
    title: "The allowance is taking longer than usual",
    text: `${NO_PAYMENT} Wait until your wallet shows the allowance as confirmed, then press the button.`,
  },
  price_rose: {
    title: "The new price is a little higher",
    next: "Check the new amount. Press the button to accept it.",
  },
};

const LOOKING = "This page keeps looking for the payment.";
const ONCE = "If you press the button again, the contract takes at most one of the two payments.";

/** A payment that the wallet may have sent, by the reason why we do not know. Wallet faults lend their titles. */
export const attemptTexts = {
  unclear: {
    title: "We cannot tell whether your wallet sent the payment",
    text: `Check the activity in your wallet. ${LOOKING} ${ONCE}`,
  },
  batch_dropped: {
    title: "Your wallet says that it did not send the payment",
    text: `Only the chain can tell, so this page keeps looking for it. ${ONCE}`,
  },
  handed_over: {
    title: "Your wallet will send the payment later",
    text: `It named no transaction yet, as wallets with several signers do. ${LOOKING} You can close this page: a payment that arrives is credited. If the price expires first, the contract refuses it and takes no tokens.`,
  },
  slow: {
    title: "Your wallet is still sending the payment",
    text: `It named no transaction yet. ${LOOKING} ${ONCE}`,
  },
  unanswered: {
    title: "Your wallet gave no answer",
    text: `It may still send the payment if you confirm it there. ${LOOKING} ${ONCE}`,
  },
  unseen: {
    title: "The chain has not shown your payment",
    text: `Check the activity in your wallet. ${LOOKING} ${ONCE}`,
  },
  resumed: {
    title: "A payment of your last visit may be on its way",
    text: `Your wallet was asked for it, and we do not know whether it sent it. ${LOOKING} ${ONCE}`,
  },
};

/** What the page waits for, once a wallet has not answered for a while. */
export const waitingTitle = "Your wallet has not answered yet";
const OPEN_WALLET = "Open it: the request may be behind another window.";

export const waitingTexts = {
  connecting: `We wait for it to share an account. ${OPEN_WALLET} ${NOTHING_SENT}`,
  switching: `We wait for it to change the network. ${OPEN_WALLET} ${NOTHING_SENT}`,
  checking: `We wait for it to name its account and network. ${OPEN_WALLET} ${NOTHING_SENT}`,
  signing: `We wait for you to sign the allowance in it. ${OPEN_WALLET} ${NOTHING_SENT}`,
  allowing: `We wait for you to confirm the allowance in it. ${OPEN_WALLET} ${NO_PAYMENT}`,
  paying: `We wait for you to confirm the payment in it. ${OPEN_WALLET} If you ask again, the contract takes at most one of the two payments.`,
  sending: `We wait for it to name the transaction. ${LOOKING} If you ask again, the contract takes at most one of the two payments.`,
};

/** Once the price has expired, a wallet can no longer send the payment. */
export const attemptExpired = {
  title: "Wait: this payment may still arrive",
  text: "The price has expired. If your wallet sent the payment in time, it appears here. It usually takes the chain up to half an hour to rule that out.",
};

/** What became of it, if not a payment of this page's. */
export const attemptNotices = {
  superseded: {
    title: "Another payment to this account came first",
    text: "Each price can be paid only once. The contract refuses yours and takes no tokens. Check the recent payments before you pay again.",
  },
  void: {
    title: "You can safely pay again",
    text: "The earlier payment did not arrive before its price expired, so it never will. It took no tokens.",
  },
};

export const allowanceShortage = (allowed, needed) => ({
  title: `Your wallet allowed ${allowed}; this payment needs ${needed}`,
  text: `${NO_PAYMENT} Press the button and allow the full amount, or choose a smaller payment.`,
});

/** Why the contract would refuse a payment, by the name of its error. The wallet was not asked yet. */
export const contractFaults = {
  NotRegistered: {
    title: "The contract does not know this wallet's account",
    text: `${NOTHING_SENT} The next price includes the registration. Press the button once it is shown.`,
  },
  AlreadyRegistered: {
    title: "The contract links this wallet to another account",
    text: `${NOTHING_SENT} Ask support to correct it.`,
  },
  BelowMinimum: {
    title: "The amount is below the contract's minimum",
    text: `${NOTHING_SENT} Choose a larger amount.`,
  },
  DeadlinePassed: {
    title: "The price has expired",
    text: `${NOTHING_SENT} A new price is on its way. Check it, then press the button.`,
  },
  InvalidSignature: {
    title: "This price was already used or is no longer valid",
    text: `${NOTHING_SENT} Another payment to this account may have come first. A new price is on its way. Check it and the recent payments before you press the button.`,
  },
  AboveRateCeiling: {
    title: "The price is above what the contract accepts",
    text: `${NOTHING_SENT} Try again in a few minutes, or ask support.`,
  },
  ReceivedOther: {
    title: "The token would not deliver the full amount",
    text: `${NOTHING_SENT} The contract refuses such payments. Ask support.`,
  },
  EnforcedPause: {
    title: "Payments are paused",
    text: `${NOTHING_SENT} ${PAID_IS_CREDITED} Try again later.`,
  },
  ERC20InsufficientBalance: {
    title: "This account has too few tokens",
    text: `${NOTHING_SENT} Choose a smaller payment or use another account.`,
  },
  ERC20InsufficientAllowance: {
    title: "The allowance is not on the chain yet",
    text: `${NOTHING_SENT} Wait until your wallet shows it as confirmed, then press the button.`,
  },
  unnamed: {
    title: "The contract would refuse this payment",
    text: `${NOTHING_SENT} We do not know the reason. A new price is on its way. If this happens again, ask support.`,
  },
};

export const tokenShortage = (has, needs, symbol, chain) => ({
  title: `This account has ${has} and needs ${needs}`,
  text: `${NOTHING_SENT} Choose a smaller payment, use another account, or get more ${symbol} on ${chain}.`,
});

export const payLessLabel = (amount) => `Pay ${amount} instead`;

export const coinShortage = (coin, chain, needed, has) => ({
  title: needed ? `The network fee is about ${needed}, and this account has ${has}` : `This account has no ${coin} on ${chain}`,
  text: `${NOTHING_SENT} Send the account a little more ${coin} on ${chain}, unless your wallet pays the fee for you.`,
});

/** Faults of the service before a payment, by the problem's code. */
export const serviceFaults = {
  rate_unavailable: {
    title: "There is no reliable price right now",
    text: `${NOTHING_SENT} ${AUTOMATIC} A price is usually back within minutes.`,
  },
  paused: {
    title: "Payments are paused",
    text: `${NOTHING_SENT} ${AUTOMATIC} ${PAID_IS_CREDITED}`,
  },
  unknown_wallet: {
    title: "No account has this wallet",
    text: `${NOTHING_SENT} Check the address, or add this wallet to your account in the dashboard first.`,
  },
  wallet_conflict: {
    title: "We cannot tell which account this wallet pays for",
    text: `${NOTHING_SENT} More than one account has it, or it moved to another account. Reload the page to see which, and ask support to correct it.`,
  },
  not_payable: {
    title: "This account does not take payments here",
    text: `${NOTHING_SENT} A payment could not be credited to it. Ask support how to pay for this account.`,
  },
  below_minimum: { title: "The amount is below the minimum", text: `${NOTHING_SENT} Choose a larger amount.` },
  above_maximum: { title: "The amount is above the maximum", text: `${NOTHING_SENT} Choose a smaller amount.` },
  busy: {
    title: "Too many lookups right now",
    text: `${NOTHING_SENT} ${AUTOMATIC} If it goes on for minutes, try again tomorrow, or ask support.`,
  },
  rate_limited: {
    title: "Too many requests from your network",
    text: `${NOTHING_SENT} ${AUTOMATIC}`,
  },
  chain_unavailable: {
    title: "We cannot read the chain right now",
    text: `${NOTHING_SENT} ${AUTOMATIC} ${PAID_IS_CREDITED}`,
  },
  unreachable: {
    title: "We cannot be reached right now",
    text: `${NOTHING_SENT} Check your connection. ${AUTOMATIC}`,
  },
  unexpected: {
    title: "Something went wrong on our side",
    text: `${NOTHING_SENT} ${AUTOMATIC} If it lasts, ask support.`,
  },
};

/** Faults of the service while the page polls a payment. */
export const pollingFaults = {
  title: "We cannot read the payment's state right now",
  temporary: `This is a fault of ours or of your connection. ${AUTOMATIC} If you paid through our contract, the payment is safe, and we look at it again. ${NO_NEED}`,
  permanent: "We do not accept this transaction hash. No money moved. Check the hash and try again.",
};

const unfinished = (amount, age) => ({
  title: `A payment of ${amount} is already under way, sent ${age}`,
  text: "It is credited automatically. Pay again only to add more.",
});

/** A payment to this account that another one may double, by its state. */
export const doubledWarnings = {
  confirming: unfinished,
  pending: unfinished,
  credited: (amount, age) => ({
    title: `A payment of ${amount}, made ${age}, is credited`,
    text: "Pay again only to add more.",
  }),
  held: (amount, age) => ({
    title: `A payment of ${amount}, sent ${age}, is held`,
    text: "It is safe. The recent payments show the reason. Pay again only to add more.",
  }),
};

export const notEnoughLabel = (symbol) => `Not enough ${symbol}`;

export const hashFaults = {
  unreadable: "A transaction hash is 0x followed by 64 characters (0-9, a-f). No money moved.",
};

/** The subject of a mail to support. */
export const supportSubject = (reference) => `Payment ${reference}`;

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
  attempt: "Earlier request",
  reference: "Request",
};

/** One label per state, for the list of payments. */
export const stateNames = {
  unknown: "Looking for it",
  unrelated: "Not a payment",
  confirming: "Confirming",
  pending: "Pending",
  credited: "Credited",
  reversed: "Reversed",
  held: "Held",
  failed: "Failed",
};

/** Why it takes longer than usual to confirm a payment. */
export const confirmingCauses = {
  node_unavailable: `Our servers do not see the whole network yet. We credit this payment once they do. ${NO_NEED}`,
  node_disagreement: `Our servers do not show the same state of the network yet. We credit this payment once two of them show it alike. ${NO_NEED}`,
  finality_stalled: `The network takes much longer than usual to make payments final. We credit this one once it is final. ${NO_NEED}`,
};

export const pendingCauses = {
  none: `Your payment is on the chain. We are adding the credit. ${NO_NEED}`,
  stripe_unclear: `Our billing system gave no clear answer. We check before we write the credit, so it cannot be added twice. ${NO_NEED}`,
  stripe_down: `Our billing system does not answer. We add the credit as soon as it does. ${NO_NEED}`,
  rate_limited: `We are crediting many payments right now. Yours is in the queue. ${NO_NEED}`,
};

/** Why a payment is held, and what releases it. */
export const heldCauses = {
  rate_unavailable: `We had no reliable price for the time of this payment. We credit it once the price is known or our staff sets one. ${NO_NEED}`,
  over_limit: `This account's payments within 24 hours are above the limit. Our staff must release this one. ${NO_NEED}`,
  customer_deleted: `The account and its history were deleted in our billing system. Our staff must check whether this payment was credited before, and which account to credit if not. ${NO_NEED}`,
  customer_invalid: `We cannot find the account that this payment names. Our staff must choose the account to credit. ${NO_NEED}`,
  currency: `This account is not billed in dollars. Our staff must decide how to credit it. ${NO_NEED}`,
  test_clock: `This account is a test account of our billing system. Our staff must choose the account to credit. ${NO_NEED}`,
  not_payable: `Payments are switched off for this account. Our staff must decide about this one. ${NO_NEED}`,
  ledger_altered: `This account's balance was changed by the same amount. Our staff must check it to prevent a double credit. ${NO_NEED}`,
  ledger_unproven: `We cannot prove yet that this payment was not credited before. We check every hour, and our staff can settle it. ${NO_NEED}`,
  stripe_refused: `Our billing system refused the credit. We try again every day, and our staff sees it. ${NO_NEED}`,
};

/** An EVM transaction that paid none of our contracts, by the answer's cause. */
export const unrelatedTexts = {
  none: {
    title: "This transaction did not pay our contract",
    text: "It is on the chain, and nothing is credited for it. Check in your wallet that it is the one you meant. Ask support and name the transaction if it took tokens for this account.",
  },
  treasury_transfer: {
    title: "These tokens went straight to the treasury",
    text: "The transaction moved tokens to the treasury without our contract, so this page cannot credit them. Do not send more this way. Ask support and name the transaction.",
  },
};

/** Titles and sentences of the current payment. */
export const paymentTexts = {
  unknown: (chain) => ({
    title: `Waiting for ${chain} to show your payment`,
    text: `This usually takes a few seconds. ${NO_NEED}`,
  }),
  unknownLong: (chain) => ({
    title: `${chain} does not show this transaction yet`,
    text: "A payment that arrives is credited: this page and our server keep looking. Do not pay again, unless your wallet shows it as failed, canceled or dropped. In that case no tokens were taken.",
  }),
  confirming: (done, needed) => ({
    title: "Payment received, confirming",
    text: `${done} of ${needed} seconds. ${NO_NEED}`,
  }),
  confirmingUncounted: { title: "Payment received, confirming", text: `We credit it once the payment is final on the chain. ${NO_NEED}` },
  pendingTitle: "Paid, the credit is on its way",
  credited: (amount) => ({ title: `${amount} added`, text: "The credit is on the account. You are done." }),
  creditedUnpriced: { title: "Credited", text: "Each credit is on its account. You are done." },
  creditedDust: { title: "Payment received", text: "It is worth less than one cent, so no credit could be added." },
  heldTitle: "Paid, the credit is held",
  reversed: { title: "This credit was taken back", text: "Our staff reversed it. Ask support for the reason." },
  failed: {
    title: "The payment failed",
    text: "The contract refused it, usually because the price was no longer valid. No tokens were taken. You paid only the network fee. You can start again.",
  },
};
