// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {AnyCall} from "./AnyCall.sol";
import {LyingToken} from "./LyingToken.sol";

/// @notice Payments with a token that may lie, take a fee, return anything, and permit or not.
contract HostileProof is AnyCall {
    struct Payment {
        address payer;
        address wallet;
        uint256 amount;
        bytes32 customerId;
        uint256 received; // by what the token says
        bool transfers; // by what the token says
        uint256 sequence;
    }

    LyingToken private liar;

    function setUp() external {
        liar = new LyingToken();
        deployOn(IERC20(address(liar)));
    }

    function check_payCountsWhatArrived() external {
        Payment memory it = anyPayment();
        bool possible = all(
            [
                it.transfers,
                !gateway.paused(),
                it.customerId != 0,
                block.number < 2 ** 40,
                it.received <= it.amount,
                it.received >= gateway.minimumAmount(),
                true,
                true,
                true
            ]
        );

        (bool done,) = attempt(it.payer, abi.encodeCall(gateway.pay, (it.wallet, it.amount)));

        vm.assertEq(done, possible, "a payment succeeds exactly when it must");
        if (!done) return;
        assertPayment(it.customerId, it.wallet, it.payer, it.sequence, it.received, 0);
        assertAsked(it);
    }

    function check_aQuoteNeedsItsExactAmount(uint256 cents, uint256 deadline) external {
        payQuoted(anyPayment(), cents, deadline);
    }

    function check_aPlausibleQuoteNeedsItsExactAmount(uint256 deadline) external {
        Payment memory it = anyPayment();
        uint256 cents;
        (it.amount, cents) = plausiblePrice();
        payQuoted(it, cents, deadline);
    }

    function payQuoted(Payment memory it, uint256 cents, uint256 deadline) private {
        bytes memory signature = svm.createBytes(65, "signature");

        (bool done,) =
            attempt(it.payer, abi.encodeCall(gateway.payQuoted, (it.wallet, it.amount, cents, deadline, signature)));

        if (!done) return;
        vm.assertEq(it.received, it.amount, "exactly the quote's amount arrived");
        vm.assertTrue(it.transfers, "the token says that it transferred");
        assertPayment(it.customerId, it.wallet, it.payer, it.sequence, it.amount, cents);
        assertAsked(it);
    }

    function check_permitNeverReverts(address caller, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        (bool done,) = attempt(caller, abi.encodeCall(gateway.permit, (amount, deadline, v, r, s)));
        vm.assertTrue(done, "a permit that was used before does not matter");
        assertNoLogs();
        bytes memory permitted = liar.permitted();
        if (permitted.length == 0) return; // the token reverted
        bytes memory expected =
            abi.encodeCall(IERC20Permit.permit, (caller, address(gateway), amount, deadline, v, r, s));
        vm.assertEq(keccak256(permitted), keccak256(expected), "the caller's permit for this gateway");
    }

    function anyPayment() private view returns (Payment memory it) {
        it.payer = svm.createAddress("payer");
        it.wallet = svm.createAddress("wallet");
        it.amount = svm.createUint256("amount");
        it.customerId = gateway.customerOf(it.wallet);
        assumeFewPayments(it.customerId);
        it.sequence = gateway.paymentCount(it.customerId);
        unchecked {
            it.received = liar.afterwards() - liar.before();
        }
        bool counted = liar.afterwards() >= liar.before();
        bool agreed = choose(liar.size() == 0, 1, liar.answer()) == 1;
        it.transfers = all(counted, agreed, true, true);
    }

    /// @dev The gateway asked for one transfer from the payer to the treasury, and for nothing else.
    function assertAsked(Payment memory it) private view {
        vm.assertEq(liar.from(), it.payer, "from the payer");
        vm.assertEq(liar.to(), treasury, "to the treasury");
        vm.assertEq(liar.value(), it.amount, "the amount");
    }
}
