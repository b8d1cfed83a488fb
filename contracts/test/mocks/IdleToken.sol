// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestToken} from "../../src/TestToken.sol";

/// @notice Returns `true` and transfers nothing.
contract IdleToken is TestToken {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}
