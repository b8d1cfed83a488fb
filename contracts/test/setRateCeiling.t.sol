// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {OwnerTest} from "./OwnerTest.sol";

contract SetRateCeilingTest is OwnerTest {
    function testFuzz_sets(uint128 ceiling) public {
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.RateCeilingSet(ceiling);
        vm.prank(owner);
        gateway.setRateCeiling(ceiling);
        vm.assertEq(gateway.rateCeiling(), ceiling, "rate ceiling");
    }

    /// @dev The example of docs/deploying.md: $0.006 per token at a discount of 25 % needs at least 800,000.
    function test_theDocumentedExample() public {
        uint256 amount = 10_000e18; // worth $60 at the market, credited as $80
        vm.prank(owner);
        gateway.setRateCeiling(799_999);
        bytes memory signature = signQuote(wallet, 0, amount, 8_000, block.timestamp);
        expectAboveRateCeiling(8_000, amount);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, 8_000, block.timestamp, signature);

        vm.prank(owner);
        gateway.setRateCeiling(800_000);
        payQuote(amount, 8_000);
        assertPayments(1, 1);
    }

    function testFuzz_reverts_whenTooHigh(uint256 ceiling) public {
        ceiling = bound(ceiling, 2 ** 128, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, ceiling));
        vm.prank(owner);
        gateway.setRateCeiling(ceiling);
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.setRateCeiling, (0)));
        vm.assertEq(gateway.rateCeiling(), CEILING, "rate ceiling");
    }
}
