// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Makes several calls in one EVM transaction, as a smart account or a bundler does.
contract Batcher {
    function run(address[] calldata targets, bytes[] calldata calls) external {
        for (uint256 i = 0; i < targets.length; i++) {
            (bool done, bytes memory result) = targets[i].call(calls[i]);
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
        }
    }
}
