// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {Vm} from "../Vm.sol";
import {AnyCall} from "./AnyCall.sol";
import {GenerousToken} from "./GenerousToken.sol";

/// @notice Several calls, one after the other or one within the other, with a token that refuses nothing.
contract OrderProof is AnyCall {
    GenerousToken private generous;

    function setUp() external {
        generous = new GenerousToken();
        deployOn(IERC20(address(generous)));
    }

    /// @dev ecrecover is an unknown function here. Of the real one is known: a signature is valid for one digest.
    function check_aQuotePaysOnce(address payer, address wallet, uint256 amount, uint256 cents, uint256 deadline)
        external
    {
        bytes memory signature = svm.createBytes(65, "signature");
        bytes32 customerId = gateway.customerOf(wallet);
        assumeFewPayments(customerId);
        uint256 sequence = gateway.paymentCount(customerId);
        vm.assume(sequence < 2 ** 56 - 2 && gateway.totalPayments() < 2 ** 56 - 2);
        bool first = isSigned(quoteHash(wallet, sequence, amount, cents, deadline), signature);
        bool second = isSigned(quoteHash(wallet, sequence + 1, amount, cents, deadline), signature);
        vm.assume(!all(first, second, true, true));
        bytes memory call = abi.encodeCall(gateway.payQuoted, (wallet, amount, cents, deadline, signature));

        (bool done,) = attempt(payer, call);
        if (!done) return;
        (bool again,) = attempt(payer, call);
        vm.assertEq(again, false, "a quote pays once");
    }

    /// @dev Whoever calls whatever: counts only rise, by the events that were emitted.
    function check_everyCallCountsItsEvents(address caller, bytes32 customerId) external {
        bytes memory call = anyCall();
        assumeFewPayments(customerId);
        uint256 sequence = gateway.paymentCount(customerId);
        uint256 total = gateway.totalPayments();

        (bool done,) = attempt(caller, call);

        (uint256 ofCustomer, uint256 number) = (0, 0);
        Vm.Log[] memory logs = gatewayLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IPaymentGateway.Payment.selector) continue;
            ++number;
            if (logs[i].topics[1] == customerId) ++ofCustomer;
        }
        vm.assertEq(gateway.totalPayments(), total + number, "all events are counted");
        vm.assertEq(gateway.paymentCount(customerId), sequence + ofCustomer, "the customer's events are counted");
        bool paying = bytes4(call) == gateway.pay.selector || bytes4(call) == gateway.payQuoted.selector;
        vm.assertEq(number, done && paying ? 1 : 0, "an event for each payment");
        if (number == 1) vm.assertEq(generous.from(), caller, "only the caller is charged");
    }

    function check_aTokenThatCallsBackCannotPay(address payer, address wallet, uint256 amount, address caller)
        external
    {
        address other = svm.createAddress("other");
        generous.prepare(address(gateway), caller, abi.encodeCall(gateway.pay, (other, svm.createUint256("second"))));
        (bool done,) = attempt(payer, abi.encodeCall(gateway.pay, (wallet, amount)));
        if (done) vm.assertEq(generous.calledBack(), false, "no payment within a payment");
    }

    function check_aTokenThatCallsBackCannotPayQuoted(uint256 amount, uint256 cents) external {
        payQuotedCalledBack(amount, cents);
    }

    function check_aTokenThatCallsBackCannotPayAPlausibleQuote() external {
        (uint256 amount, uint256 cents) = plausiblePrice();
        payQuotedCalledBack(amount, cents);
    }

    function payQuotedCalledBack(uint256 amount, uint256 cents) private {
        bytes memory signature = svm.createBytes(65, "signature");
        address wallet = svm.createAddress("wallet");
        uint256 deadline = svm.createUint256("deadline");
        bytes memory plain = abi.encodeCall(gateway.pay, (wallet, svm.createUint256("second")));
        generous.prepare(address(gateway), svm.createAddress("caller"), plain);
        (bool done,) = attempt(
            svm.createAddress("payer"), abi.encodeCall(gateway.payQuoted, (wallet, amount, cents, deadline, signature))
        );
        if (done) vm.assertEq(generous.calledBack(), false, "no payment within a payment");
    }

    function check_aMulticallPaysForItsCallerAlone(address caller, address wallet, uint256 amount, uint256 second)
        external
    {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(gateway.pay, (wallet, amount));
        calls[1] = abi.encodeCall(gateway.pay, (wallet, second));
        bytes32 customerId = gateway.customerOf(wallet);
        assumeFewPayments(customerId);
        uint256 sequence = gateway.paymentCount(customerId);
        vm.assume(sequence < 2 ** 56 - 2 && gateway.totalPayments() < 2 ** 56 - 2);

        (bool done,) = attempt(caller, abi.encodeCall(gateway.multicall, (calls)));

        if (!done) return;
        Vm.Log[] memory logs = gatewayLogs();
        vm.assertEq(logs.length, 2, "two payments");
        vm.assertEq(gateway.paymentCount(customerId), sequence + 2, "both are counted");
        vm.assertEq(logs[0].topics[3], word(caller), "the first payer");
        vm.assertEq(logs[1].topics[3], word(caller), "the second payer");
        vm.assertEq(generous.from(), caller, "only the caller is charged");
    }
}
