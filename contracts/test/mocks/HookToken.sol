// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {TestToken} from "../../src/TestToken.sol";

/// @notice Calls another contract during the next transfer, once.
contract HookToken is TestToken {
    address public target;
    bytes public call;

    function setHook(address target_, bytes calldata call_) external {
        target = target_;
        call = call_;
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        address hooked = target;
        target = address(0);
        if (hooked != address(0)) Address.functionCall(hooked, call);
        return super.transferFrom(from, to, value);
    }
}
