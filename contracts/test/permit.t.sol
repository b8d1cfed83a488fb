// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {GatewayTest} from "./GatewayTest.sol";
import {BrokenPermitToken} from "./mocks/BrokenPermitToken.sol";
import {SilentToken} from "./mocks/SilentToken.sol";

contract PermitTest is GatewayTest {
    uint256 private constant DEADLINE = 1_800_000_300;

    function setUp() public override {
        super.setUp();
        vm.prank(payer);
        token.approve(address(gateway), 0);
    }

    function testFuzz_setsTheAllowanceOfTheCaller(uint256 amount) public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(amount);
        vm.prank(payer);
        gateway.permit(amount, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), amount, "allowance");
    }

    function testFuzz_toleratesAPermitThatSomebodyElseUsed(uint256 amount) public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(amount);
        vm.prank(other);
        token.permit(payer, address(gateway), amount, DEADLINE, v, r, s);

        vm.prank(payer);
        gateway.permit(amount, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), amount, "allowance");
    }

    function test_doesNotRenewAnAllowanceThatWasSpent() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(MINIMUM);
        vm.startPrank(payer);
        gateway.permit(MINIMUM, DEADLINE, v, r, s);
        gateway.pay(wallet, MINIMUM);
        gateway.permit(MINIMUM, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), 0, "allowance");
        expectInsufficientAllowance(0, MINIMUM);
        gateway.pay(wallet, MINIMUM);
    }

    function test_worksForNobodyButTheCaller() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(MINIMUM);
        vm.prank(other);
        gateway.permit(MINIMUM, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), 0, "allowance of the payer");
        vm.assertEq(token.allowance(other, address(gateway)), 0, "allowance of the other");
    }

    function testFuzz_changesNothingWithAWrongSignature(uint256 amount, uint8 v, bytes32 r, bytes32 s) public {
        vm.prank(payer);
        gateway.permit(amount, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), 0, "allowance");
    }

    function test_changesNothingWhenExpired() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(MINIMUM);
        vm.warp(DEADLINE + 1);
        vm.prank(payer);
        gateway.permit(MINIMUM, DEADLINE, v, r, s);
        vm.assertEq(token.allowance(payer, address(gateway)), 0, "allowance");
    }

    function test_anEarlierAllowanceDecides_whenTheTokensPermitReverts() public {
        deployHostile(new BrokenPermitToken());
        vm.startPrank(payer);
        gateway.permit(MINIMUM, DEADLINE, 27, 0, 0);
        gateway.pay(wallet, MINIMUM);
        assertPayments(1, 1);
    }

    function test_anEarlierAllowanceDecides_whenTheTokenHasNoPermit() public {
        deployHostile(IERC20(address(new SilentToken())));
        vm.startPrank(payer);
        gateway.permit(MINIMUM, DEADLINE, 27, 0, 0);
        gateway.pay(wallet, MINIMUM);
        assertPayments(1, 1);
    }

    function signPermit(uint256 amount) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                payer,
                address(gateway),
                amount,
                token.nonces(payer),
                DEADLINE
            )
        );
        return vm.sign(PAYER_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }
}
