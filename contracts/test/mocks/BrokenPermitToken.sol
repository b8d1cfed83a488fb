// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestToken} from "../../src/TestToken.sol";

/// @notice Its permit always reverts, with a long reason.
contract BrokenPermitToken is TestToken {
    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) public pure override {
        revert("this token would rather not be approved by signature, whoever asks and however politely");
    }
}
