// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Proof} from "./Proof.sol";

/// @notice Any call that can change a gateway's state, with any arguments; signatures have 65 bytes.
/// @dev `multicall` makes several of these; it has its own check.
abstract contract AnyCall is Proof {
    function anyCall() internal view returns (bytes memory) {
        uint256 which = svm.createUint256("which");
        address account = svm.createAddress("account");
        uint256 amount = svm.createUint256("amount");
        uint256 deadline = svm.createUint256("deadline");
        if (which == 0) return abi.encodeCall(gateway.pay, (account, amount));
        if (which == 1) return anyQuoted(account, amount, deadline);
        if (which == 2) return anyRegistration(account, deadline);
        if (which == 3) return anyPermit(amount, deadline);
        if (which == 4) return abi.encodeCall(gateway.correctCustomer, (account, anyCustomer()));
        return anySetting(which, account, amount);
    }

    function anySetting(uint256 which, address account, uint256 amount) private view returns (bytes memory) {
        if (which == 5) return abi.encodeCall(gateway.setSigner, (account));
        if (which == 6) return abi.encodeCall(gateway.setMinimumAmount, (amount));
        if (which == 7) return abi.encodeCall(gateway.setRateCeiling, (amount));
        if (which == 8) return abi.encodeCall(gateway.pause, ());
        if (which == 9) return abi.encodeCall(gateway.unpause, ());
        if (which == 10) return abi.encodeCall(gateway.transferOwnership, (account));
        if (which == 11) return abi.encodeCall(gateway.acceptOwnership, ());
        return abi.encodeCall(gateway.renounceOwnership, ());
    }

    function anyQuoted(address wallet, uint256 amount, uint256 deadline) private view returns (bytes memory) {
        uint256 cents = svm.createUint256("cents");
        bytes memory signature = svm.createBytes(65, "signature");
        return abi.encodeCall(gateway.payQuoted, (wallet, amount, cents, deadline, signature));
    }

    function anyRegistration(address wallet, uint256 deadline) private view returns (bytes memory) {
        bytes memory signature = svm.createBytes(65, "signature");
        return abi.encodeCall(gateway.register, (wallet, anyCustomer(), deadline, signature));
    }

    function anyPermit(uint256 amount, uint256 deadline) private view returns (bytes memory) {
        uint8 v = uint8(svm.createUint256("v"));
        return abi.encodeCall(gateway.permit, (amount, deadline, v, svm.createBytes32("r"), svm.createBytes32("s")));
    }

    /// @dev Anything, but with at most one letter or digit after `cus_`: each multiplies the paths by three.
    function anyCustomer() internal view returns (bytes32 customerId) {
        customerId = svm.createBytes32("customerId");
        vm.assume(!isCharacter(uint8(customerId[5])));
    }

    function isCharacter(uint256 char) internal pure returns (bool fits) {
        assembly ("memory-safe") {
            let letter := or(and(gt(char, 64), lt(char, 91)), and(gt(char, 96), lt(char, 123)))
            fits := or(letter, and(gt(char, 47), lt(char, 58)))
        }
    }
}
