// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title TestToken
/// @notice Stands in for LITKEY on local chains and test networks: 18 decimals, EIP-2612, and anybody may mint.
/// @dev Worthless by design. Never use it as the token of a gateway whose payments are credited with real money.
contract TestToken is ERC20, ERC20Permit {
    constructor() ERC20("Test LITKEY", "LITKEY") ERC20Permit("Test LITKEY") {}

    /// @notice Mints `amount` base units to `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
