// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestToken} from "../../src/TestToken.sol";

/// @notice Returns `false` instead of reverting, and transfers nothing.
contract FalseToken is TestToken {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }
}
