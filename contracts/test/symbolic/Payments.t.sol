// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TestToken} from "../../src/TestToken.sol";
import {Proof} from "./Proof.sol";

/// @notice Payments with an honest ERC-20: when they succeed, and what they move, store and emit.
contract PaymentsProof is Proof {
    /// @notice A payment by anybody, for any wallet, and the state before it.
    struct Payment {
        address payer;
        address wallet;
        bytes32 customerId;
        uint256 amount;
        uint256 payerHad;
        uint256 treasuryHad;
        uint256 gatewayHad;
        uint256 sequence;
        uint256 total;
    }

    function setUp() external {
        TestToken honest = new TestToken();
        deployOn(honest);
        svm.enableSymbolicStorage(address(honest));
    }

    function check_pay() external {
        Payment memory it = anyPayment();
        bool possible = canPay(it);

        (bool done,) = attempt(it.payer, abi.encodeCall(gateway.pay, (it.wallet, it.amount)));

        vm.assertEq(done, possible, "a payment succeeds exactly when it must");
        if (done) assertPayment(it.customerId, it.wallet, it.payer, it.sequence, it.amount, 0);
        assertMoved(it, done);
    }

    function check_payQuoted(uint256 cents, uint256 deadline) external {
        Payment memory it = anyPayment();
        bytes memory signature = svm.createBytes(65, "signature");
        bytes32 quote = quoteHash(it.wallet, it.sequence, it.amount, cents, deadline);
        bool promised =
            all(block.timestamp <= deadline, isBelowCeiling(cents, it.amount), isSigned(quote, signature), true);
        bool possible = all(canPay(it), promised, true, true);

        (bool done,) =
            attempt(it.payer, abi.encodeCall(gateway.payQuoted, (it.wallet, it.amount, cents, deadline, signature)));

        vm.assertEq(done, possible, "a quote pays exactly when it must");
        if (done) assertPayment(it.customerId, it.wallet, it.payer, it.sequence, it.amount, cents);
        assertMoved(it, done);
    }

    function anyPayment() private view returns (Payment memory it) {
        it.payer = svm.createAddress("payer");
        it.wallet = svm.createAddress("wallet");
        it.amount = svm.createUint256("amount");
        vm.assume(it.payer != treasury); // it would pay itself nothing
        it.customerId = gateway.customerOf(it.wallet);
        assumeFewPayments(it.customerId);
        it.payerHad = token.balanceOf(it.payer);
        it.treasuryHad = token.balanceOf(treasury);
        it.gatewayHad = token.balanceOf(address(gateway));
        it.sequence = gateway.paymentCount(it.customerId);
        it.total = gateway.totalPayments();
        // All balances together are the supply, which a uint256 holds.
        vm.assume(it.payerHad <= type(uint256).max - it.treasuryHad);
    }

    function canPay(Payment memory it) private view returns (bool) {
        return all(
            [
                !gateway.paused(),
                it.customerId != 0,
                block.number < 2 ** 40,
                it.payer != address(0),
                it.payerHad >= it.amount,
                token.allowance(it.payer, address(gateway)) >= it.amount,
                it.amount >= gateway.minimumAmount(),
                true,
                true
            ]
        );
    }

    /// @dev Multiplies as OpenZeppelin does: solvers cannot compare two ways to multiply 256 bits.
    function isBelowCeiling(uint256 cents, uint256 amount) private view returns (bool) {
        uint256 highest = Math.saturatingMul(amount, gateway.rateCeiling()) / 1e24;
        return all(cents > 0, cents <= highest, true, true);
    }

    function assertMoved(Payment memory it, bool done) private view {
        (uint256 moved, uint256 number) = done ? (it.amount, 1) : (0, 0);
        vm.assertEq(token.balanceOf(it.payer), it.payerHad - moved, "the payer loses exactly the amount");
        vm.assertEq(token.balanceOf(treasury), it.treasuryHad + moved, "the treasury gains exactly the amount");
        vm.assertEq(token.balanceOf(address(gateway)), it.gatewayHad, "nothing stays in the gateway");
        vm.assertEq(gateway.paymentCount(it.customerId), it.sequence + number, "the customer's count");
        vm.assertEq(gateway.totalPayments(), it.total + number, "the count of all");
    }
}
