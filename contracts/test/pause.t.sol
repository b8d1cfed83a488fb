// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {OwnerTest} from "./OwnerTest.sol";

contract PauseTest is OwnerTest {
    function test_pauses() public {
        vm.expectEmit(address(gateway));
        emit Pausable.Paused(owner);
        vm.prank(owner);
        gateway.pause();
        vm.assertEq(gateway.paused(), true, "paused");
    }

    function test_leavesTheIndexReadable() public {
        pay(MINIMUM);
        vm.prank(owner);
        gateway.pause();
        vm.assertEq(gateway.paymentBlocks(0, 1)[0], block.number, "block of the payment");
    }

    function test_reverts_whenPausedAlready() public {
        vm.startPrank(owner);
        gateway.pause();
        vm.expectRevert(abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        gateway.pause();
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.pause, ()));
        vm.assertEq(gateway.paused(), false, "paused");
    }
}
