// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GatewayTest} from "./GatewayTest.sol";

contract TestTokenTest is GatewayTest {
    function testFuzz_anybodyMints(address anybody, uint256 amount) public {
        amount = bound(amount, 0, type(uint256).max - FUNDS);
        vm.prank(anybody);
        token.mint(other, amount);
        vm.assertEq(token.balanceOf(other), amount, "minted");
    }

    function test_looksLikeTheRealOne() public view {
        vm.assertEq(token.decimals(), 18, "decimals");
        vm.assertEq(keccak256(bytes(token.symbol())), keccak256("LITKEY"), "symbol");
    }
}
