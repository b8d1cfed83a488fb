// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {GenerousToken} from "./GenerousToken.sol";
import {Proof} from "./Proof.sol";

/// @notice The ceiling's arithmetic, without the libraries that the gateway uses for it.
contract CeilingProof is Proof {
    function setUp() external {
        deployOn(IERC20(address(new GenerousToken())));
    }

    /// @dev For any cents, and these amounts and ceilings: the highest cents are worked out by hand.
    function check_centsStayWithinTheCeiling(uint256 cents, uint256 which) external {
        (uint256 amount, uint256 rateCeiling, uint256 highest) = (1_000e18, 0, 0);
        if (which == 0) (amount, rateCeiling, highest) = (1e18, 1e6, 1); // a cent per token
        if (which == 1) (amount, rateCeiling, highest) = (1e18 - 1, 1e6, 0);
        if (which == 2) (amount, rateCeiling, highest) = (1_234e18, 750_000, 925); // 925.5
        if (which == 3) (amount, rateCeiling, highest) = (1e30, 1, 1_000_000);
        if (which == 4) (amount, rateCeiling, highest) = (1, 2 ** 128 - 1, 340_282_366_920_938); // 2^128 / 10^24
        bool possible = all(cents > 0, cents <= highest, !gateway.paused(), gateway.minimumAmount() <= amount);
        vm.assertEq(pays(amount, cents, rateCeiling), possible, "cents up to the ceiling");
    }

    /// @dev More than there can be of a token, times the ceiling, is more than 256 bits hold.
    function check_anImplausibleAmountAllowsAnyCents(uint32 cents, uint128 rateCeiling) external {
        vm.assume(cents > 0 && rateCeiling >= 2 ** 60);
        vm.assume(!gateway.paused() && gateway.minimumAmount() <= 2 ** 200);
        vm.assertEq(pays(2 ** 200, cents, rateCeiling), true, "below the ceiling");
    }

    /// @dev Whether a signed quote in time, for a registered wallet, is paid.
    function pays(uint256 amount, uint256 cents, uint256 rateCeiling) private returns (bool done) {
        address wallet = address(0xa11ce);
        vm.store(address(gateway), bytes32(uint256(6)), bytes32(rateCeiling));
        bytes memory signature = svm.createBytes(65, "signature");
        bytes32 customerId = gateway.customerOf(wallet);
        assumeFewPayments(customerId);
        uint256 sequence = gateway.paymentCount(customerId);
        vm.assume(isSigned(quoteHash(wallet, sequence, amount, cents, block.timestamp), signature));
        vm.assume(customerId != 0 && block.number < 2 ** 40);
        bytes memory call = abi.encodeCall(gateway.payQuoted, (wallet, amount, cents, block.timestamp, signature));
        (done,) = attempt(address(0xbe7), call);
    }
}
