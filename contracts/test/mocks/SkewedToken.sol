// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestToken} from "../../src/TestToken.sol";

/// @notice Delivers a different amount than requested: less, as with a fee on transfers, or more.
contract SkewedToken is TestToken {
    int256 public immutable skew;

    constructor(int256 skew_) {
        skew = skew_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from == address(0) || to == address(0)) return;
        if (skew < 0) _burn(to, uint256(-skew));
        else _mint(to, uint256(skew));
    }
}
