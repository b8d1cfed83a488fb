// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {PaymentGateway} from "../../src/PaymentGateway.sol";
import {TestToken} from "../../src/TestToken.sol";
import {GatewayTest} from "../GatewayTest.sol";
import {Vm} from "../Vm.sol";

/// @notice Every actor that can call a gateway, acting in any order, with a record of the observed events.
/// @dev Calls that must fail are made too, and their failure is asserted: `fail_on_revert` ends the run if one
/// succeeds.
contract Actors is GatewayTest {
    /// @notice A `Payment` event as a reader of logs sees it, with its block and the ceiling in effect.
    struct Seen {
        bytes32 customerId;
        address wallet;
        address payer;
        uint256 sequence;
        uint256 amount;
        uint256 cents;
        uint256 blockNumber;
        uint256 ceiling;
    }

    /// @notice A signed quote that may be paid now, later or never.
    struct Quote {
        address wallet;
        uint256 sequence;
        uint256 amount;
        uint256 cents;
        uint256 deadline;
        address signer;
        bytes signature;
    }

    uint256 private constant OTHER_SIGNER_KEY = 0x0d15c0;

    bytes32[2] private customers = [ALICE, BOB];
    address[3] private wallets = [wallet, other, payer];

    Seen[] private _seen;
    Quote[] private _quotes;
    mapping(uint256 index => mapping(bytes32 customerId => uint256)) private _timesPaid;
    uint256 public quotesPaid;
    bool public paidTwice;
    uint256 public straight; // tokens sent to the treasury without the gateway
    uint256 private signerKey = SIGNER_KEY;
    mapping(address whose => bytes32) public customerFrom; // as first registered or set by the owner

    constructor() {
        setUp();
        customerFrom[wallet] = ALICE;
    }

    function deployed() external view returns (PaymentGateway, TestToken) {
        return (gateway, token);
    }

    function allWallets() external view returns (address[3] memory) {
        return wallets;
    }

    function seen() external view returns (Seen[] memory) {
        return _seen;
    }

    // Anybody

    function passTime(uint16 number) external {
        vm.roll(block.number + number % 300);
        vm.warp(block.timestamp + uint256(number % 300) / 5);
    }

    /// @dev For a registered wallet, the same customer does nothing and another one reverts.
    function register(uint8 which, bool bob, bool paidFor) external {
        address whose = wallets[which % 3];
        bytes32 customerId = customers[bob ? 1 : 0];
        bytes memory signature = signRegistration(signerKey, gateway, whose, customerId, block.timestamp);
        bytes32 present = customerFrom[whose];
        vm.prank(paidFor ? payer : other);
        (bool done,) =
            address(gateway).call(abi.encodeCall(gateway.register, (whose, customerId, block.timestamp, signature)));
        vm.assertEq(done, present == 0 || present == customerId, "register");
        if (done) customerFrom[whose] = customerId;
    }

    function forgeRegistration(uint8 which, bool bob, uint256 key) external {
        key = bound(key, 1, SECP256K1_ORDER - 1);
        address whose = wallets[which % 3];
        bytes32 customerId = customers[bob ? 1 : 0];
        if (key == signerKey || customerFrom[whose] == customerId) return;
        bytes memory signature = signRegistration(key, gateway, whose, customerId, block.timestamp);
        refused(other, abi.encodeCall(gateway.register, (whose, customerId, block.timestamp, signature)));
    }

    function tryTheOwnersFunctions(uint256 value, uint8 which) external {
        refused(signerAddress(), abi.encodeCall(gateway.correctCustomer, (wallets[which % 3], customers[which % 2])));
        refused(payer, abi.encodeCall(gateway.setSigner, (payer)));
        refused(treasury, abi.encodeCall(gateway.setMinimumAmount, (value)));
        refused(other, abi.encodeCall(gateway.setRateCeiling, (value % 2 ** 128)));
        refused(payer, abi.encodeCall(gateway.pause, ()));
        refused(payer, abi.encodeCall(gateway.unpause, ()));
    }

    function sendStraightToTheTreasury(uint256 amount) external {
        amount = bound(amount, 0, 1e24);
        straight += amount;
        vm.prank(payer);
        token.transfer(treasury, amount);
    }

    // Payers

    function payPlain(uint8 which, uint256 amount) external {
        address whose = wallets[which % 3];
        amount = bound(amount, 0, 1e24);
        bool possible = canPay(whose) && amount >= gateway.minimumAmount();
        attempt(abi.encodeCall(gateway.pay, (whose, amount)), possible);
    }

    function payTwiceAtOnce(uint8 which, uint8 second, uint256 amount) external {
        (address one, address two) = (wallets[which % 3], wallets[second % 3]);
        amount = bound(amount, 0, 1e24);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(gateway.pay, (one, amount));
        calls[1] = abi.encodeCall(gateway.pay, (two, amount));
        bool possible = canPay(one) && canPay(two) && amount >= gateway.minimumAmount();
        attempt(abi.encodeCall(gateway.multicall, (calls)), possible);
    }

    function payFreshQuote(uint8 which, uint256 amount, uint256 cents) external {
        address whose = wallets[which % 3];
        quote(whose, gateway.paymentCount(gateway.customerOf(whose)), amount, cents, 0);
        payQuoteAt(_quotes.length - 1);
    }

    /// @dev Signs a quote for one of the next sequences, so that it may match once others have been paid.
    function signAQuote(uint8 which, uint8 ahead, uint256 amount, uint256 cents, uint16 delay) external {
        address whose = wallets[which % 3];
        uint256 sequence = gateway.paymentCount(gateway.customerOf(whose)) + ahead % 3;
        quote(whose, sequence, amount, cents, delay % 600);
    }

    function payAnyQuote(uint256 which) external {
        if (_quotes.length > 0) payQuoteAt(which % _quotes.length);
    }

    function payTheNewestQuoteAgain() external {
        if (_quotes.length == 0) return;
        payQuoteAt(_quotes.length - 1);
        payQuoteAt(_quotes.length - 1);
    }

    function payAnAlteredQuote(uint256 which, uint8 field) external {
        if (_quotes.length == 0) return;
        Quote memory it = _quotes[which % _quotes.length];
        if (field % 4 == 0) ++it.amount;
        else if (field % 4 == 1) ++it.cents;
        else if (field % 4 == 2) ++it.deadline;
        else it.wallet = it.wallet == wallet ? other : wallet;
        refused(payer, callOf(it));
    }

    // The owner

    function correct(uint8 which, bool bob) external {
        address whose = wallets[which % 3];
        customerFrom[whose] = customers[bob ? 1 : 0];
        vm.prank(owner);
        gateway.correctCustomer(whose, customerFrom[whose]);
    }

    function changeSigner() external {
        signerKey = signerKey == SIGNER_KEY ? OTHER_SIGNER_KEY : SIGNER_KEY;
        vm.prank(owner);
        gateway.setSigner(signerAddress());
    }

    function changeLimits(uint256 minimum, uint256 ceiling) external {
        vm.startPrank(owner);
        gateway.setMinimumAmount(bound(minimum, 1, 1e20));
        gateway.setRateCeiling(bound(ceiling, 0, 1e8));
        vm.stopPrank();
    }

    function pauseOrUnpause(uint8 often) external {
        bool paused = gateway.paused();
        if (!paused && often % 4 != 0) return; // usually not paused
        vm.prank(owner);
        if (paused) gateway.unpause();
        else gateway.pause();
    }

    // Helpers

    function canPay(address whose) private view returns (bool) {
        return !gateway.paused() && gateway.customerOf(whose) != 0;
    }

    function signerAddress() private view returns (address) {
        return vm.addr(signerKey);
    }

    function quote(address whose, uint256 sequence, uint256 amount, uint256 cents, uint256 delay) private {
        amount = bound(amount, 0, 1e24);
        cents = bound(cents, 0, amount / 1e16); // up to 100 cents per token, which the ceiling may or may not allow
        uint256 deadline = block.timestamp + delay;
        bytes32 structHash = quoteHash(whose, sequence, amount, cents, deadline);
        bytes memory signature = signStruct(signerKey, address(gateway), block.chainid, structHash);
        _quotes.push(Quote(whose, sequence, amount, cents, deadline, signerAddress(), signature));
    }

    function payQuoteAt(uint256 index) private {
        Quote memory it = _quotes[index];
        bool possible = canPay(it.wallet) && block.timestamp <= it.deadline && it.signer == gateway.signer()
            && it.sequence == gateway.paymentCount(gateway.customerOf(it.wallet)) && it.cents > 0
            && it.cents * 1e24 <= it.amount * gateway.rateCeiling() && it.amount >= gateway.minimumAmount();
        attempt(callOf(it), possible);
        if (!possible) return;
        ++quotesPaid;
        // It may be valid again for another customer: the owner corrected the wallet while the quote was still open.
        if (++_timesPaid[index][gateway.customerOf(it.wallet)] > 1) paidTwice = true;
    }

    function callOf(Quote memory it) private view returns (bytes memory) {
        return abi.encodeCall(gateway.payQuoted, (it.wallet, it.amount, it.cents, it.deadline, it.signature));
    }

    /// @dev Makes the payer's call, which must succeed exactly if `possible`, and records its logs.
    function attempt(bytes memory call, bool possible) private {
        vm.recordLogs();
        vm.prank(payer);
        (bool done,) = address(gateway).call(call);
        vm.assertEq(done, possible, "a payment went otherwise than it must");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; done && i < logs.length; ++i) {
            // forge also records reverted logs
            if (logs[i].emitter == address(gateway)) keep(logs[i]);
        }
    }

    function keep(Vm.Log memory entry) private {
        vm.assertEq(entry.topics[0], IPaymentGateway.Payment.selector, "an event of a payment");
        (uint256 sequence, uint256 amount, uint256 cents) = abi.decode(entry.data, (uint256, uint256, uint256));
        _seen.push(
            Seen({
                customerId: entry.topics[1],
                wallet: address(uint160(uint256(entry.topics[2]))),
                payer: address(uint160(uint256(entry.topics[3]))),
                sequence: sequence,
                amount: amount,
                cents: cents,
                blockNumber: block.number,
                ceiling: gateway.rateCeiling()
            })
        );
    }

    function refused(address caller, bytes memory call) private {
        vm.prank(caller);
        (bool done,) = address(gateway).call(call);
        vm.assertEq(done, false, "what is not allowed was done");
    }
}
