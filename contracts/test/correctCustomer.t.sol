// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {OwnerTest} from "./OwnerTest.sol";

contract CorrectCustomerTest is OwnerTest {
    function testFuzz_sets(address whose) public {
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.CustomerRegistered(whose, BOB);
        vm.prank(owner);
        gateway.correctCustomer(whose, BOB);
        vm.assertEq(gateway.customerOf(whose), BOB, "customer of the wallet");
    }

    function test_leavesPastPaymentsWhereTheyAre() public {
        pay(MINIMUM);
        vm.prank(owner);
        gateway.correctCustomer(wallet, BOB);
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.Payment(BOB, wallet, payer, 0, MINIMUM, 0);
        pay(MINIMUM);
        assertPayments(1, 2);
        vm.assertEq(gateway.paymentCount(BOB), 1, "payments of Bob");
    }

    function test_registrationsOfTheOldCustomerAreRefusedAfterwards() public {
        vm.prank(owner);
        gateway.correctCustomer(wallet, BOB);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, wallet, ALICE, block.timestamp);
        expectAlreadyRegistered(wallet, BOB);
        gateway.register(wallet, ALICE, block.timestamp, signature);
    }

    function test_reverts_withMalformedCustomerIds() public {
        vm.startPrank(owner);
        expectInvalidCustomerId(0);
        gateway.correctCustomer(wallet, 0);
        expectInvalidCustomerId("cus_");
        gateway.correctCustomer(wallet, "cus_");
        expectInvalidCustomerId("cus_a b");
        gateway.correctCustomer(wallet, "cus_a b");
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of the wallet");
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.correctCustomer, (wallet, BOB)));
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of the wallet");
    }
}
