// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {PaymentGateway} from "../src/PaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";
import {FalseToken} from "./mocks/FalseToken.sol";
import {HookToken} from "./mocks/HookToken.sol";
import {IdleToken} from "./mocks/IdleToken.sol";
import {SilentToken} from "./mocks/SilentToken.sol";
import {SkewedToken} from "./mocks/SkewedToken.sol";

contract PayTest is GatewayTest {
    function testFuzz_movesTokensAndEmits(uint256 amount) public {
        amount = bound(amount, MINIMUM, FUNDS);
        Balances memory before = balances();

        expectPayment(0, amount, 0);
        pay(amount);

        assertMoved(before, amount);
        assertPayments(1, 1);
    }

    function test_sequencesCountWithoutGaps() public {
        for (uint256 sequence = 0; sequence < 15; ++sequence) {
            expectPayment(sequence, MINIMUM + sequence, 0);
            pay(MINIMUM + sequence);
        }
        assertPayments(15, 15);
    }

    function test_reverts_whenWalletIsNotRegistered() public {
        Balances memory before = balances();
        expectNotRegistered(other);
        vm.prank(payer);
        gateway.pay(other, MINIMUM);
        assertMoved(before, 0);
        assertPayments(0, 0);
    }

    function testFuzz_reverts_belowMinimum(uint256 amount) public {
        amount = bound(amount, 0, MINIMUM - 1);
        expectBelowMinimum(amount, MINIMUM);
        pay(amount);
        assertPayments(0, 0);
    }

    function test_reverts_whenPaused() public {
        vm.prank(owner);
        gateway.pause();
        vm.expectRevert(abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        pay(MINIMUM);
    }

    function testFuzz_reverts_withoutAllowance(uint256 allowance) public {
        allowance = bound(allowance, 0, MINIMUM - 1);
        vm.prank(payer);
        token.approve(address(gateway), allowance);
        expectInsufficientAllowance(allowance, MINIMUM);
        pay(MINIMUM);
        assertPayments(0, 0);
    }

    function testFuzz_reverts_withoutFunds(uint256 amount) public {
        amount = bound(amount, FUNDS + 1, type(uint256).max - 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, payer, FUNDS, amount));
        pay(amount);
    }

    function test_takesNobodyElsesTokens() public {
        vm.prank(other);
        expectInsufficientAllowance(0, MINIMUM);
        gateway.pay(wallet, MINIMUM);
    }

    function test_reverts_whenTheTreasuryPaysItself() public {
        token.mint(treasury, FUNDS);
        vm.startPrank(treasury);
        token.approve(address(gateway), FUNDS);
        expectBelowMinimum(0, MINIMUM);
        gateway.pay(wallet, MINIMUM);
    }

    function testFuzz_countsWhatArrives_whenTheTokenTakesAFee(uint256 amount, uint256 fee) public {
        amount = bound(amount, MINIMUM + 1, FUNDS);
        fee = bound(fee, 1, amount - MINIMUM);
        deployHostile(new SkewedToken(-int256(fee)));

        expectPayment(0, amount - fee, 0);
        pay(amount);

        vm.assertEq(balances().treasury, amount - fee, "treasury received");
        vm.assertEq(balances().payer, FUNDS - amount, "payer gave");
        vm.assertEq(balances().gateway, 0, "gateway holds nothing");
    }

    function testFuzz_reverts_whenTheFeeGoesBelowTheMinimum(uint256 fee) public {
        fee = bound(fee, 1, MINIMUM);
        deployHostile(new SkewedToken(-int256(fee)));
        expectBelowMinimum(MINIMUM - fee, MINIMUM);
        pay(MINIMUM);
    }

    function testFuzz_reverts_whenMoreArrivesThanThePayerGave(uint256 surplus) public {
        surplus = bound(surplus, 1, FUNDS);
        deployHostile(new SkewedToken(int256(surplus)));
        expectReceivedOther(MINIMUM + surplus, MINIMUM);
        pay(MINIMUM);
    }

    function test_acceptsATokenThatReturnsNothing() public {
        deployHostile(IERC20(address(new SilentToken())));
        Balances memory before = balances();
        expectPayment(0, MINIMUM, 0);
        pay(MINIMUM);
        assertMoved(before, MINIMUM);
    }

    function test_reverts_whenTheTokenReturnsFalse() public {
        FalseToken hostile = new FalseToken();
        deployHostile(hostile);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(hostile)));
        pay(MINIMUM);
    }

    function test_reverts_whenTheTokenMovesNothing() public {
        deployHostile(new IdleToken());
        expectBelowMinimum(0, MINIMUM);
        pay(MINIMUM);
    }

    function test_reverts_whenReentered() public {
        HookToken hostile = new HookToken();
        deployHostile(hostile);
        bytes memory again = abi.encodeCall(gateway.pay, (wallet, MINIMUM));
        bytes[] memory calls = new bytes[](1);
        calls[0] = again;

        hostile.setHook(address(gateway), again);
        expectReentrantCall();
        pay(MINIMUM);

        hostile.setHook(address(gateway), abi.encodeCall(gateway.multicall, (calls)));
        expectReentrantCall();
        pay(MINIMUM);

        uint256 deadline = block.timestamp;
        bytes memory quote = signQuote(wallet, 0, MINIMUM, 1, deadline);
        hostile.setHook(address(gateway), abi.encodeCall(gateway.payQuoted, (wallet, MINIMUM, 1, deadline, quote)));
        expectReentrantCall();
        pay(MINIMUM);
        assertPayments(0, 0);
    }

    /// @dev Two gateways share token and treasury. Without the surplus check the inner payment would count twice.
    function test_reverts_whenAnotherGatewayIsPaidMeanwhile() public {
        HookToken hostile = new HookToken();
        PaymentGateway second = deploy(hostile);
        enroll(second, wallet, ALICE);
        deployHostile(hostile);
        hostile.mint(address(hostile), MINIMUM);
        vm.prank(address(hostile));
        hostile.approve(address(second), MINIMUM);

        hostile.setHook(address(second), abi.encodeCall(second.pay, (wallet, MINIMUM)));
        expectReceivedOther(2 * MINIMUM, MINIMUM);
        pay(MINIMUM);
        vm.assertEq(balances().treasury, 0, "nothing moved");
    }

    function expectReentrantCall() private {
        vm.expectRevert(abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
    }
}
