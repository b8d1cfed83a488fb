// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {GatewayTest} from "./GatewayTest.sol";

/// @notice Test base for the owner's functions.
abstract contract OwnerTest is GatewayTest {
    function refuses(address stranger, bytes memory call) internal {
        vm.assume(stranger != owner);
        vm.prank(stranger);
        (bool done, bytes memory reason) = address(gateway).call(call);
        vm.assertEq(done, false, "a stranger's call succeeded");
        vm.assertEq(
            keccak256(reason),
            keccak256(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger)),
            "reason"
        );
    }
}
