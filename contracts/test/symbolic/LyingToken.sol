// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Svm} from "./Svm.sol";

/// @notice Any token: it says anything of balances, transfers or not, returns anything or nothing, or reverts.
contract LyingToken {
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    uint256 public immutable before = svm.createUint256("before");
    uint256 public immutable afterwards = svm.createUint256("afterwards");
    uint256 public immutable answer = svm.createUint256("answer");
    uint256 public immutable size = svm.createUint256("size") & 1;

    bool public transferred;
    bytes public permitted;
    address public from;
    address public to;
    uint256 public value;

    function balanceOf(address) external view returns (uint256) {
        return transferred ? afterwards : before;
    }

    function transferFrom(address from_, address to_, uint256 value_) external {
        (transferred, from, to, value) = (true, from_, to_, value_);
        (uint256 word, uint256 length) = (answer, size == 0 ? 0 : 32);
        assembly ("memory-safe") {
            mstore(0, word)
            return(0, length)
        }
    }

    /// @dev Succeeds or reverts with the same data: the caller must not care.
    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {
        permitted = msg.data;
        require(svm.createBool("permits"));
    }
}
