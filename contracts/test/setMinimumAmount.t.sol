// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {OwnerTest} from "./OwnerTest.sol";

contract SetMinimumAmountTest is OwnerTest {
    function testFuzz_sets(uint256 minimum) public {
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.MinimumAmountSet(minimum);
        vm.prank(owner);
        gateway.setMinimumAmount(minimum);
        vm.assertEq(gateway.minimumAmount(), minimum, "minimum");
    }

    function testFuzz_bindsFromNowOn(uint256 minimum) public {
        minimum = bound(minimum, 1, FUNDS);
        vm.prank(owner);
        gateway.setMinimumAmount(minimum);
        expectBelowMinimum(minimum - 1, minimum);
        pay(minimum - 1);
        pay(minimum);
        assertPayments(1, 1);
    }

    function test_zeroAllowsEmptyPayments() public {
        vm.prank(owner);
        gateway.setMinimumAmount(0);
        expectPayment(0, 0, 0);
        pay(0);
        assertPayments(1, 1);
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.setMinimumAmount, (0)));
        vm.assertEq(gateway.minimumAmount(), MINIMUM, "minimum");
    }
}
