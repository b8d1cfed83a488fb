// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";

contract MulticallTest is GatewayTest {
    uint256 private constant AMOUNT = 1_000e18;
    uint256 private constant CENTS = 700;
    uint256 private constant DEADLINE = 1_800_000_300;

    bytes[] private calls;

    /// @dev As the pay page sends it: everything a first payment needs, in one EVM transaction.
    function test_permitsRegistersAndPays() public {
        vm.prank(payer);
        token.approve(address(gateway), 0);
        addPermit(AMOUNT);
        addRegistration(other, BOB);
        addQuote(other, 0);

        Balances memory before = balances();
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.CustomerRegistered(other, BOB);
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.Payment(BOB, other, payer, 0, AMOUNT, CENTS);
        vm.prank(payer);
        bytes[] memory results = gateway.multicall(calls);

        assertMoved(before, AMOUNT);
        vm.assertEq(results.length, 3, "results");
        vm.assertEq(gateway.paymentCount(BOB), 1, "payments of Bob");
        vm.assertEq(token.allowance(payer, address(gateway)), 0, "allowance is used up");
    }

    function test_permitMayHaveBeenUsedBySomebodyElse() public {
        vm.prank(payer);
        token.approve(address(gateway), 0);
        (uint8 v, bytes32 r, bytes32 s) = addPermit(AMOUNT);
        addRegistration(other, BOB);
        addQuote(other, 0);
        token.permit(payer, address(gateway), AMOUNT, DEADLINE, v, r, s);
        enroll(gateway, other, BOB);

        vm.prank(payer);
        gateway.multicall(calls);
        vm.assertEq(gateway.paymentCount(BOB), 1, "payments of Bob");
    }

    function test_reverts_whenPermitAndAllowanceAreMissing() public {
        vm.prank(payer);
        token.approve(address(gateway), AMOUNT - 1);
        calls.push(abi.encodeCall(gateway.permit, (AMOUNT, DEADLINE, 27, 0, 0)));
        addQuote(wallet, 0);
        expectInsufficientAllowance(AMOUNT - 1, AMOUNT);
        vm.prank(payer);
        gateway.multicall(calls);
    }

    function testFuzz_paysSeveralTimes(uint8 size) public {
        uint256 count = bound(size, 1, 10);
        for (uint256 i = 0; i < count; ++i) {
            if (i % 2 == 0) addQuote(wallet, i);
            else calls.push(abi.encodeCall(gateway.pay, (wallet, AMOUNT)));
        }
        Balances memory before = balances();
        vm.prank(payer);
        gateway.multicall(calls);
        assertMoved(before, count * AMOUNT);
        assertPayments(count, count);
    }

    function test_chargesTheCallerOnly() public {
        calls.push(abi.encodeCall(gateway.pay, (wallet, AMOUNT)));
        expectInsufficientAllowance(0, AMOUNT);
        vm.prank(other);
        gateway.multicall(calls);
    }

    function test_nestedCallsStayTheCallers() public {
        calls.push(abi.encodeCall(gateway.pay, (wallet, AMOUNT)));
        bytes[] memory outer = new bytes[](1);
        outer[0] = abi.encodeCall(gateway.multicall, (calls));
        Balances memory before = balances();
        expectPayment(0, AMOUNT, 0);
        vm.prank(payer);
        gateway.multicall(outer);
        assertMoved(before, AMOUNT);
    }

    function test_isAllOrNone() public {
        addQuote(wallet, 0);
        addQuote(wallet, 0); // the same quote again
        Balances memory before = balances();
        expectInvalidSignature();
        vm.prank(payer);
        gateway.multicall(calls);
        assertMoved(before, 0);
        assertPayments(0, 0);
    }

    function test_returnsWhatTheCallsReturn() public {
        calls.push(abi.encodeCall(gateway.customerOf, (wallet)));
        calls.push(abi.encodeCall(gateway.minimumAmount, ()));
        bytes[] memory results = gateway.multicall(calls);
        vm.assertEq(abi.decode(results[0], (bytes32)), ALICE, "customer of the wallet");
        vm.assertEq(abi.decode(results[1], (uint256)), MINIMUM, "minimum");
    }

    function test_givesNobodyTheOwnersRights() public {
        calls.push(abi.encodeCall(gateway.pause, ()));
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", payer));
        vm.prank(payer);
        gateway.multicall(calls);

        vm.prank(owner);
        gateway.multicall(calls);
        vm.assertEq(gateway.paused(), true, "paused by the owner");
    }

    function test_takesNoEther() public {
        (bool taken,) = address(gateway).call{value: 1}(abi.encodeCall(gateway.multicall, (calls)));
        vm.assertEq(taken, false, "ether taken");
    }

    function addPermit(uint256 amount) private returns (uint8 v, bytes32 r, bytes32 s) {
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
        (v, r, s) = vm.sign(PAYER_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
        calls.push(abi.encodeCall(gateway.permit, (amount, DEADLINE, v, r, s)));
    }

    function addRegistration(address whose, bytes32 customerId) private {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, whose, customerId, DEADLINE);
        calls.push(abi.encodeCall(gateway.register, (whose, customerId, DEADLINE, signature)));
    }

    function addQuote(address whose, uint256 sequence) private {
        bytes memory signature = signQuote(whose, sequence, AMOUNT, CENTS, DEADLINE);
        calls.push(abi.encodeCall(gateway.payQuoted, (whose, AMOUNT, CENTS, DEADLINE, signature)));
    }
}
