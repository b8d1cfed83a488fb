// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {OwnerTest} from "./OwnerTest.sol";

contract SetSignerTest is OwnerTest {
    function testFuzz_sets(address newSigner) public {
        vm.assume(newSigner != address(0));
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.SignerSet(newSigner);
        vm.prank(owner);
        gateway.setSigner(newSigner);
        vm.assertEq(gateway.signer(), newSigner, "signer");
    }

    function test_theNewSignersQuotesHold() public {
        vm.prank(owner);
        gateway.setSigner(vm.addr(PAYER_KEY));
        bytes32 structHash = quoteHash(wallet, 0, MINIMUM, 1, block.timestamp);
        bytes memory signature = signStruct(PAYER_KEY, address(gateway), block.chainid, structHash);
        vm.prank(payer);
        gateway.payQuoted(wallet, MINIMUM, 1, block.timestamp, signature);
        assertPayments(1, 1);
    }

    function test_reverts_withTheZeroAddress() public {
        expectInvalidAddress(address(0));
        vm.prank(owner);
        gateway.setSigner(address(0));
    }

    function testFuzz_reverts_forStrangers(address stranger) public {
        refuses(stranger, abi.encodeCall(gateway.setSigner, (stranger)));
        vm.assertEq(gateway.signer(), signer, "signer");
    }
}
