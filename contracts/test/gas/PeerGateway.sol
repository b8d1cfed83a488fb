// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice A minimal payment contract as the baseline for gas: transfers the tokens and emits an event. It has no
/// customers, price, index, pause or measurement of the received amount.
contract PeerGateway {
    using SafeERC20 for IERC20;

    IERC20 public immutable token;
    address public immutable treasury;

    event Payment(address indexed wallet, address indexed payer, uint256 amount);

    constructor(IERC20 token_, address treasury_) {
        token = token_;
        treasury = treasury_;
    }

    function pay(uint256 amount, address wallet) external {
        token.safeTransferFrom(msg.sender, treasury, amount);
        emit Payment(wallet, msg.sender, amount);
    }
}
