// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "../Vm.sol";

/// @notice Everybody can always pay any amount, to everybody alike. During a transfer it makes a call, as anybody.
contract GenerousToken {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 public received;
    address public from;
    address public to;
    address private _target;
    address private _caller;
    bytes private _call;
    bool public calledBack;

    /// @dev Prepares a call for the next transfer.
    function prepare(address target, address caller, bytes calldata call) external {
        (_target, _caller, _call) = (target, caller, call);
    }

    function balanceOf(address) external view returns (uint256) {
        return received;
    }

    function transferFrom(address from_, address to_, uint256 value) external returns (bool) {
        (from, to) = (from_, to_);
        unchecked {
            received += value;
        }
        address target = _target;
        _target = address(0);
        if (target != address(0)) {
            vm.prank(_caller);
            (calledBack,) = target.call(_call);
        }
        return true;
    }
}
