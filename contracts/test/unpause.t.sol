// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {OwnerTest} from "./OwnerTest.sol";

contract UnpauseTest is OwnerTest {
    function setUp() public override {
        super.setUp();
        vm.prank(owner);
        gateway.pause();
    }

    function test_letsPaymentsThroughAgain() public {
        vm.expectEmit(address(gateway));
        emit Pausable.Unpaused(owner);
        vm.prank(owner);
        gateway.unpause();
        pay(MINIMUM);
        payQuote(MINIMUM, 1);
        assertPayments(2, 2);
    }

    function test_reverts_whenNotPaused() public {
        vm.startPrank(owner);
        gateway.unpause();
        vm.expectRevert(abi.encodeWithSelector(Pausable.ExpectedPause.selector));
        gateway.unpause();
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.unpause, ()));
        vm.assertEq(gateway.paused(), true, "paused");
    }
}
