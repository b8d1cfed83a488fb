// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {OwnerTest} from "./OwnerTest.sol";

/// @notice Tests transferOwnership, acceptOwnership and renounceOwnership.
contract OwnershipTest is OwnerTest {
    function testFuzz_changesInTwoSteps(address heir) public {
        vm.assume(heir != owner && heir != address(0));
        vm.prank(owner);
        gateway.transferOwnership(heir);
        vm.assertEq(gateway.owner(), owner, "owner after the first step");
        vm.assertEq(gateway.pendingOwner(), heir, "pending owner");
        refuses(heir, abi.encodeCall(gateway.pause, ()));

        vm.prank(heir);
        gateway.acceptOwnership();
        vm.assertEq(gateway.owner(), heir, "owner after the second step");
        vm.prank(heir);
        gateway.pause();
        vm.assertEq(gateway.paused(), true, "paused by the new owner");
    }

    function testFuzz_reverts_whenSomebodyElseAccepts(address stranger) public {
        vm.assume(stranger != other);
        vm.prank(owner);
        gateway.transferOwnership(other);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        gateway.acceptOwnership();
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.transferOwnership, (stranger)));
        refuses(stranger, abi.encodeCall(gateway.renounceOwnership, ()));
    }

    function test_paymentsGoOnWithoutAnOwner() public {
        vm.prank(owner);
        gateway.renounceOwnership();
        vm.assertEq(gateway.owner(), address(0), "owner");
        pay(MINIMUM);
        assertPayments(1, 1);
    }
}
