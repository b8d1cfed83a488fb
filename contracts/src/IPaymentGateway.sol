// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title IPaymentGateway
/// @notice Takes token payments for customers, forwards them straight to the treasury and stores the block number of
/// each one. A service that reads the `Payment` events credits the customer; the gateway itself knows nothing of
/// credits.
///
/// Units
/// - `amount` is in the token's base units; the token has 18 decimals.
/// - `cents` are whole US cents.
/// - `rateCeiling` is in millionths of a cent per whole token (10^18 base units).
/// - `deadline` is in Unix seconds, inclusive.
/// - `customerId` is `cus_` followed by at least one ASCII letter or digit, at most 32 bytes in all, left-aligned and
///   padded with zero bytes. Zero means not registered.
///
/// Guarantees
/// - The gateway holds no tokens: each payment is one transfer from the payer to the treasury.
/// - `amount` in an event is the increase of the treasury's balance, not the requested amount.
/// - The `sequence` numbers of a customer are 0, 1, 2, … without gaps, and `totalPayments` counts every event.
/// - The index holds the block of every event, in order, so a reader who finds fewer events than index entries knows
///   that the node omitted some.
/// - An event names the wallet's customer at that moment; later corrections change no past payment.
/// - A quote pays once, for its wallet, at its sequence, for exactly its amount, until its deadline (see below for the
///   effect of a correction of the wallet's customer).
/// - Only the payer (`msg.sender`) is ever charged, also through `multicall`.
///
/// Assumptions about the token
/// - It follows ERC-20. Missing return values are tolerated; `false` is a failure.
/// - Balances change by transfers only. A fee on transfers reduces the amount of a plain payment and makes quoted
///   payments revert. A rebase inside the transfer would be counted.
/// - It calls no other contract during a transfer. If it does, reentering this gateway reverts, and any other tokens
///   that reach the treasury meanwhile make the payment revert, because more than `amount` would have arrived.
/// - EIP-2612 is optional; only `permit` needs it.
///
/// Assumptions about the chain
/// - `block.number` is the chain's own block number, as on Base, and stays below 2^40.
/// - Transient storage (EIP-1153) is available.
///
/// Not protected against
/// - Tokens sent to the treasury without the gateway emit no event. Tokens sent to the gateway itself are lost.
/// - A stolen signer key can register unregistered wallets for any customer, and can promise cents up to the rate
///   ceiling for tokens that are really paid. The owner changes the signer, pauses, or sets the ceiling to 0.
/// - A quote names a wallet and a sequence, not a customer: when the owner corrects the wallet's customer, an unexpired
///   quote is valid for the new customer if that customer's count happens to match, even if it was paid before the
///   correction. It then takes tokens again, at its price. Pause until the quotes have expired, then correct.
/// - A payment with a wrong `wallet` credits that wallet's customer. The gateway makes no refunds.
/// - With a minimum of 0, payments of nothing are accepted and fill the index.
/// - The owner may renounce; the settings can then never change again.
interface IPaymentGateway {
    /// @notice A payment reached the treasury.
    /// @param customerId The customer of `wallet` at this moment.
    /// @param wallet The wallet that was paid for.
    /// @param payer The account that was charged.
    /// @param sequence The number of earlier payments of this customer.
    /// @param amount The amount the treasury received, in base units.
    /// @param cents The cents the signer promised for `amount`; 0 for a payment without a quote.
    event Payment(
        bytes32 indexed customerId,
        address indexed wallet,
        address indexed payer,
        uint256 sequence,
        uint256 amount,
        uint256 cents
    );

    /// @notice `wallet` belongs to `customerId` from now on: registered with the signer's signature or set by the
    /// owner.
    event CustomerRegistered(address indexed wallet, bytes32 indexed customerId);

    /// @notice The owner (or the constructor) set the signer.
    event SignerSet(address indexed signer);

    /// @notice The owner (or the constructor) set the smallest payment.
    event MinimumAmountSet(uint256 minimumAmount);

    /// @notice The owner (or the constructor) set the rate ceiling.
    event RateCeilingSet(uint256 rateCeiling);

    /// @notice Thrown when `wallet` has no customer yet.
    error NotRegistered(address wallet);

    /// @notice Thrown when `wallet` already belongs to `customerId`, which is not the requested customer.
    error AlreadyRegistered(address wallet, bytes32 customerId);

    /// @notice Thrown when `customerId` does not have the form of a Stripe customer ID.
    error InvalidCustomerId(bytes32 customerId);

    /// @notice Thrown when the treasury would receive `amount`, which is less than `minimum`.
    error BelowMinimum(uint256 amount, uint256 minimum);

    /// @notice Thrown when `deadline` has passed.
    error DeadlinePassed(uint256 deadline);

    /// @notice Thrown when the signature is not the signer's over exactly these values: altered, for another gateway or
    /// chain, malformed, or for a quote that has been paid (its sequence is no longer the customer's next one).
    error InvalidSignature();

    /// @notice Thrown when `cents` is 0, or more than the rate ceiling allows for `amount`.
    error AboveRateCeiling(uint256 cents, uint256 amount);

    /// @notice Thrown when the treasury received an amount other than the quote's, or more than the payer sent.
    error ReceivedOther(uint256 received, uint256 amount);

    /// @notice Thrown by the constructor and `setSigner` for an account that cannot have this role: the zero address, a
    /// token without code, a treasury that is the token or the gateway.
    error InvalidAddress(address account);

    /// @notice Pays `amount` of the caller's tokens for `wallet`, credited at the market rate at this block's time.
    /// @dev Requires an allowance of `amount`. The minimum applies to the amount the treasury receives.
    function pay(address wallet, uint256 amount) external;

    /// @notice Pays `amount` of the caller's tokens for `wallet` at the price of a quote.
    /// @dev The quote is the signer's EIP-712 signature over
    /// `Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)`, where `sequence` is
    /// `paymentCount(customerOf(wallet))` at the time of payment. Anyone may pay a quote.
    /// Requires `0 < cents` and `cents · 10^24 ≤ amount · rateCeiling`.
    /// @param signature 65 bytes (r, s, v) from an externally owned account, s in the lower half.
    function payQuoted(address wallet, uint256 amount, uint256 cents, uint256 deadline, bytes calldata signature)
        external;

    /// @notice Registers `wallet` for `customerId`. Anyone may call it. Repeating it with the same customer does
    /// nothing, whatever the deadline and signature, so that it never reverts a multicall.
    /// @dev `signature` is the signer's EIP-712 signature over
    /// `Registration(address wallet,bytes32 customerId,uint256 deadline)`. It works while the gateway is paused.
    function register(address wallet, bytes32 customerId, uint256 deadline, bytes calldata signature) external;

    /// @notice Passes the caller's EIP-2612 permit for this gateway to the token.
    /// @dev Never reverts: a permit is public, so anybody may have submitted it first, and then the allowance exists
    /// anyway. The payment that follows checks the allowance.
    function permit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Makes several calls to this gateway on behalf of the caller, all or none.
    /// @return results The return data of each call.
    function multicall(bytes[] calldata calls) external returns (bytes[] memory results);

    /// @notice The payment token. Never changes.
    function token() external view returns (IERC20);

    /// @notice The recipient of all tokens. Never changes.
    function treasury() external view returns (address);

    /// @notice The account that signs quotes and registrations.
    function signer() external view returns (address);

    /// @notice The account that may call the setters, `pause`, `unpause` and `correctCustomer`. Changes in two steps.
    function owner() external view returns (address);

    /// @notice Whether payments are paused.
    function paused() external view returns (bool);

    /// @notice The smallest amount the treasury must receive in a payment.
    function minimumAmount() external view returns (uint256);

    /// @notice The highest price a quote may promise, in millionths of a cent per whole token. 0 turns quotes off.
    function rateCeiling() external view returns (uint256);

    /// @notice The customer of `wallet`; 0 if it is not registered.
    function customerOf(address wallet) external view returns (bytes32);

    /// @notice The number of payments.
    function totalPayments() external view returns (uint256);

    /// @notice The number of payments of `customerId`, which is the next payment's sequence.
    function paymentCount(bytes32 customerId) external view returns (uint256);

    /// @notice The blocks of the payments [`from`, `to`), oldest first.
    /// @dev Reverts with `BlockList.OutOfRange` when `from > to` or `to > totalPayments()`.
    function paymentBlocks(uint256 from, uint256 to) external view returns (uint64[] memory);

    /// @notice The blocks of the payments of `customerId` whose sequence is in [`from`, `to`).
    /// @dev Reverts with `BlockList.OutOfRange` when `from > to` or `to > paymentCount(customerId)`.
    function paymentBlocksOf(bytes32 customerId, uint256 from, uint256 to) external view returns (uint64[] memory);

    /// @notice Sets the signer. All quotes and registrations signed by the old one become void.
    function setSigner(address newSigner) external;

    /// @notice Sets the smallest amount the treasury must receive in a payment.
    function setMinimumAmount(uint256 newMinimumAmount) external;

    /// @notice Sets the rate ceiling, at most 2^128 − 1.
    function setRateCeiling(uint256 newRateCeiling) external;

    /// @notice Stops `pay` and `payQuoted`.
    function pause() external;

    /// @notice Re-enables `pay` and `payQuoted`.
    function unpause() external;

    /// @notice Sets the customer of `wallet`, registered or not, for future payments.
    function correctCustomer(address wallet, bytes32 customerId) external;
}
