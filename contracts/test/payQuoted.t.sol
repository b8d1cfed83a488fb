// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {PaymentGateway} from "../src/PaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";
import {FalseToken} from "./mocks/FalseToken.sol";
import {HookToken} from "./mocks/HookToken.sol";
import {SilentToken} from "./mocks/SilentToken.sol";
import {SkewedToken} from "./mocks/SkewedToken.sol";

contract PayQuotedTest is GatewayTest {
    uint256 private constant AMOUNT = 1_000e18;
    uint256 private constant CENTS = 700;
    uint256 private constant DEADLINE = 1_800_000_300;

    function testFuzz_movesTokensAndEmits(uint256 amount, uint256 cents, uint256 deadline) public {
        amount = bound(amount, MINIMUM, FUNDS);
        cents = bound(cents, 1, amount / 1e18);
        deadline = bound(deadline, block.timestamp, type(uint256).max);
        bytes memory signature = signQuote(wallet, 0, amount, cents, deadline);
        Balances memory before = balances();

        expectPayment(0, amount, cents);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, cents, deadline, signature);

        assertMoved(before, amount);
        assertPayments(1, 1);
    }

    function test_anybodyPaysAQuote() public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        token.mint(other, AMOUNT);
        vm.startPrank(other);
        token.approve(address(gateway), AMOUNT);
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.Payment(ALICE, wallet, other, 0, AMOUNT, CENTS);
        gateway.payQuoted(wallet, AMOUNT, CENTS, DEADLINE, signature);
        vm.assertEq(token.balanceOf(other), 0, "the other payer gave");
        vm.assertEq(balances().payer, FUNDS, "payer untouched");
    }

    function test_reverts_whenWalletIsNotRegistered() public {
        bytes memory signature = signQuote(other, 0, AMOUNT, CENTS, DEADLINE);
        expectNotRegistered(other);
        vm.prank(payer);
        gateway.payQuoted(other, AMOUNT, CENTS, DEADLINE, signature);
    }

    function test_reverts_whenPaused() public {
        vm.prank(owner);
        gateway.pause();
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.expectRevert(abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        send(signature);
    }

    function test_isAcceptedInTheSecondOfItsDeadline() public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.warp(DEADLINE);
        send(signature);
        assertPayments(1, 1);
    }

    function testFuzz_reverts_whenDeadlinePassed(uint256 late) public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.warp(bound(late, DEADLINE + 1, type(uint64).max));
        Balances memory before = balances();
        expectDeadlinePassed(DEADLINE);
        send(signature);
        assertMoved(before, 0);
    }

    function test_reverts_whenTheQuoteIsReused() public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        send(signature);
        Balances memory before = balances();
        expectInvalidSignature();
        send(signature);
        assertMoved(before, 0);
        assertPayments(1, 1);
    }

    function test_reverts_whenAPlainPaymentTookTheSequence() public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        pay(MINIMUM);
        expectInvalidSignature();
        send(signature);
    }

    function test_reverts_whenAnotherWalletOfTheCustomerTookTheSequence() public {
        enroll(gateway, other, ALICE);
        bytes memory first = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        bytes memory second = signQuote(other, 0, AMOUNT, CENTS, DEADLINE);
        send(first);
        expectInvalidSignature();
        vm.prank(payer);
        gateway.payQuoted(other, AMOUNT, CENTS, DEADLINE, second);
    }

    function test_otherCustomersPaymentsDoNotMatter() public {
        enroll(gateway, other, BOB);
        vm.prank(payer);
        gateway.pay(other, MINIMUM);
        send(signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE));
        assertPayments(1, 2);
    }

    function testFuzz_reverts_withAnotherSequence(uint256 sequence) public {
        pay(MINIMUM);
        vm.assume(sequence != 1);
        bytes memory signature = signQuote(wallet, sequence, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        send(signature);
    }

    function test_reverts_withAnotherWallet() public {
        enroll(gateway, other, BOB);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        vm.prank(payer);
        gateway.payQuoted(other, AMOUNT, CENTS, DEADLINE, signature);
    }

    function testFuzz_reverts_withAnotherAmount(uint256 amount) public {
        vm.assume(amount != AMOUNT);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, CENTS, DEADLINE, signature);
    }

    function testFuzz_reverts_withOtherCents(uint256 cents) public {
        vm.assume(cents != CENTS);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        vm.prank(payer);
        gateway.payQuoted(wallet, AMOUNT, cents, DEADLINE, signature);
    }

    function testFuzz_reverts_withAnotherDeadline(uint256 deadline) public {
        deadline = bound(deadline, block.timestamp, type(uint256).max);
        vm.assume(deadline != DEADLINE);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        vm.prank(payer);
        gateway.payQuoted(wallet, AMOUNT, CENTS, deadline, signature);
    }

    function testFuzz_reverts_onAnotherChain(uint64 chain) public {
        vm.assume(chain != block.chainid);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.chainId(chain);
        expectInvalidSignature();
        send(signature);
    }

    function test_holdsForTheChainItRunsOn() public {
        vm.chainId(8453);
        send(signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE));
        assertPayments(1, 1);
    }

    function test_reverts_onAnotherGateway() public {
        PaymentGateway second = deploy(token);
        enroll(second, wallet, ALICE);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInvalidSignature();
        vm.prank(payer);
        second.payQuoted(wallet, AMOUNT, CENTS, DEADLINE, signature);
    }

    function testFuzz_reverts_whenAnotherKeySigned(uint256 key) public {
        key = bound(key, 1, SECP256K1_ORDER - 1);
        vm.assume(key != SIGNER_KEY);
        bytes32 structHash = quoteHash(wallet, 0, AMOUNT, CENTS, DEADLINE);
        bytes memory signature = signStruct(key, address(gateway), block.chainid, structHash);
        expectInvalidSignature();
        send(signature);
    }

    function test_reverts_whenTheSignerChanged() public {
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.prank(owner);
        gateway.setSigner(other);
        expectInvalidSignature();
        send(signature);
    }

    function test_reverts_whenTheSignatureIsMalleated() public {
        bytes memory signature = malleated(signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE));
        expectInvalidSignature();
        send(signature);
    }

    function testFuzz_reverts_whenTheSignatureIsAnythingElse(bytes calldata signature) public {
        expectInvalidSignature();
        send(signature);
    }

    function testFuzz_reverts_whenTheSignatureHasAnotherLength(uint8 length) public {
        vm.assume(length != 65);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        bytes memory cut = new bytes(length);
        for (uint256 i = 0; i < length && i < 65; ++i) {
            cut[i] = signature[i];
        }
        expectInvalidSignature();
        send(cut);
    }

    function test_reverts_whenARegistrationIsPassedOffAsAQuote() public {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, wallet, ALICE, DEADLINE);
        expectInvalidSignature();
        send(signature);
    }

    /// @dev Checks `cents · 10^24 ≤ amount · ceiling` on both sides of the boundary, with products that do not
    /// overflow.
    function testFuzz_rateCeiling(uint256 amount, uint256 cents, uint256 ceiling) public {
        amount = bound(amount, MINIMUM, FUNDS);
        ceiling = bound(ceiling, 0, 1e9);
        uint256 most = amount * ceiling / 1e24;
        cents = bound(cents, 0, 2 * most + 1);
        vm.prank(owner);
        gateway.setRateCeiling(ceiling);

        bool allowed = 0 < cents && cents * 1e24 <= amount * ceiling;
        bytes memory signature = signQuote(wallet, 0, amount, cents, DEADLINE);
        if (!allowed) expectAboveRateCeiling(cents, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, cents, DEADLINE, signature);
        assertPayments(allowed ? 1 : 0, allowed ? 1 : 0);
    }

    function testFuzz_rateCeiling_border(uint256 amount) public {
        amount = bound(amount, MINIMUM, FUNDS);
        uint256 most = amount / 1e18; // the ceiling is one cent per whole token
        bytes memory signature = signQuote(wallet, 0, amount, most + 1, DEADLINE);
        expectAboveRateCeiling(most + 1, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, most + 1, DEADLINE, signature);
        payQuote(amount, most);
        assertPayments(1, 1);
    }

    function testFuzz_reverts_whenCentsAreZero(uint256 amount) public {
        bytes memory signature = signQuote(wallet, 0, amount, 0, DEADLINE);
        expectAboveRateCeiling(0, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, 0, DEADLINE, signature);
    }

    function testFuzz_reverts_whenQuotesAreOff(uint256 amount, uint256 cents) public {
        vm.prank(owner);
        gateway.setRateCeiling(0);
        bytes memory signature = signQuote(wallet, 0, amount, cents, DEADLINE);
        expectAboveRateCeiling(cents, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, cents, DEADLINE, signature);
    }

    /// @dev If the product exceeds 256 bits, the error with its values is still raised.
    function testFuzz_reverts_whenCentsAreHuge(uint256 amount, uint256 cents) public {
        cents = bound(cents, 2 ** 177, type(uint256).max);
        vm.prank(owner);
        gateway.setRateCeiling(type(uint128).max);
        bytes memory signature = signQuote(wallet, 0, amount, cents, DEADLINE);
        expectAboveRateCeiling(cents, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, cents, DEADLINE, signature);
    }

    function testFuzz_reverts_belowMinimum(uint256 amount) public {
        amount = bound(amount, 1, MINIMUM - 1);
        vm.prank(owner);
        gateway.setRateCeiling(type(uint128).max);
        bytes memory signature = signQuote(wallet, 0, amount, 1, DEADLINE);
        expectBelowMinimum(amount, MINIMUM);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, 1, DEADLINE, signature);
    }

    function test_reverts_withoutAllowance() public {
        vm.prank(payer);
        token.approve(address(gateway), AMOUNT - 1);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectInsufficientAllowance(AMOUNT - 1, AMOUNT);
        send(signature);
        assertPayments(0, 0);
    }

    function testFuzz_reverts_whenTheTokenTakesAFee(uint256 fee) public {
        fee = bound(fee, 1, AMOUNT);
        deployHostile(new SkewedToken(-int256(fee)));
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        Balances memory before = balances();
        expectReceivedOther(AMOUNT - fee, AMOUNT);
        send(signature);
        assertMoved(before, 0);
        assertPayments(0, 0);
    }

    function testFuzz_reverts_whenTheTokenDeliversMore(uint256 surplus) public {
        surplus = bound(surplus, 1, FUNDS);
        deployHostile(new SkewedToken(int256(surplus)));
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        expectReceivedOther(AMOUNT + surplus, AMOUNT);
        send(signature);
    }

    function test_reverts_whenTheTreasuryPaysItself() public {
        token.mint(treasury, FUNDS);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.startPrank(treasury);
        token.approve(address(gateway), FUNDS);
        expectReceivedOther(0, AMOUNT);
        gateway.payQuoted(wallet, AMOUNT, CENTS, DEADLINE, signature);
    }

    function test_acceptsATokenThatReturnsNothing() public {
        deployHostile(IERC20(address(new SilentToken())));
        Balances memory before = balances();
        expectPayment(0, AMOUNT, CENTS);
        payQuote(AMOUNT, CENTS);
        assertMoved(before, AMOUNT);
    }

    function test_reverts_whenTheTokenReturnsFalse() public {
        FalseToken hostile = new FalseToken();
        deployHostile(hostile);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(hostile)));
        send(signature);
    }

    function test_reverts_whenReentered() public {
        HookToken hostile = new HookToken();
        deployHostile(hostile);
        bytes memory signature = signQuote(wallet, 0, AMOUNT, CENTS, DEADLINE);
        bytes memory next = signQuote(wallet, 1, AMOUNT, CENTS, DEADLINE);
        hostile.setHook(address(gateway), abi.encodeCall(gateway.payQuoted, (wallet, AMOUNT, CENTS, DEADLINE, next)));
        vm.expectRevert(abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
        send(signature);

        hostile.setHook(address(gateway), abi.encodeCall(gateway.pay, (wallet, AMOUNT)));
        vm.expectRevert(abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
        send(signature);
        assertPayments(0, 0);
    }

    /// @dev If several things are wrong, the error names the first that the payer can fix.
    function test_errorsInOrder() public {
        bytes memory bad = new bytes(65);
        vm.startPrank(payer);
        expectNotRegistered(other);
        gateway.payQuoted(other, 0, 0, 0, bad);
        expectDeadlinePassed(0);
        gateway.payQuoted(wallet, 0, 0, 0, bad);
        expectInvalidSignature();
        gateway.payQuoted(wallet, 0, 0, DEADLINE, bad);
        bytes memory signature = signQuote(wallet, 0, 0, 0, DEADLINE);
        expectAboveRateCeiling(0, 0);
        gateway.payQuoted(wallet, 0, 0, DEADLINE, signature);
    }

    function send(bytes memory signature) private {
        vm.prank(payer);
        gateway.payQuoted(wallet, AMOUNT, CENTS, DEADLINE, signature);
    }
}
