// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {PaymentGateway} from "../src/PaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";

contract RegisterTest is GatewayTest {
    uint256 private constant DEADLINE = 1_800_086_400;

    function testFuzz_registers(address whose, address sender) public {
        vm.assume(whose != wallet);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, whose, BOB, DEADLINE);
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.CustomerRegistered(whose, BOB);
        vm.prank(sender);
        gateway.register(whose, BOB, DEADLINE, signature);
        vm.assertEq(gateway.customerOf(whose), BOB, "customer of the wallet");
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of another wallet");
    }

    function test_worksWhilePaused() public {
        vm.prank(owner);
        gateway.pause();
        enroll(gateway, other, BOB);
        vm.assertEq(gateway.customerOf(other), BOB, "customer of the wallet");
    }

    function test_severalWalletsMayShareACustomer() public {
        enroll(gateway, other, ALICE);
        vm.assertEq(gateway.customerOf(other), ALICE, "customer of the second wallet");
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of the first wallet");
    }

    function testFuzz_sameCustomerAgainDoesNothing(uint256 deadline, bytes calldata signature) public {
        gateway.register(wallet, ALICE, deadline, signature);
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of the wallet");
    }

    function testFuzz_reverts_withAnotherCustomer(uint256 deadline, bytes calldata signature) public {
        expectAlreadyRegistered(wallet, ALICE);
        gateway.register(wallet, BOB, deadline, signature);
        bytes memory valid = signRegistration(SIGNER_KEY, gateway, wallet, BOB, DEADLINE);
        expectAlreadyRegistered(wallet, ALICE);
        gateway.register(wallet, BOB, DEADLINE, valid);
        vm.assertEq(gateway.customerOf(wallet), ALICE, "customer of the wallet");
    }

    function testFuzz_reverts_whenDeadlinePassed(uint256 late) public {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        vm.warp(bound(late, DEADLINE + 1, type(uint64).max));
        expectDeadlinePassed(DEADLINE);
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function test_isAcceptedInTheSecondOfItsDeadline() public {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        vm.warp(DEADLINE);
        gateway.register(other, BOB, DEADLINE, signature);
        vm.assertEq(gateway.customerOf(other), BOB, "customer of the wallet");
    }

    function testFuzz_reverts_withAnotherWallet(address whose) public {
        vm.assume(whose != other && whose != wallet);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        expectInvalidSignature();
        gateway.register(whose, BOB, DEADLINE, signature);
    }

    function test_reverts_withAnotherCustomerThanSigned() public {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        expectInvalidSignature();
        gateway.register(other, ALICE, DEADLINE, signature);
    }

    function testFuzz_reverts_withAnotherDeadline(uint256 deadline) public {
        deadline = bound(deadline, block.timestamp, type(uint256).max);
        vm.assume(deadline != DEADLINE);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        expectInvalidSignature();
        gateway.register(other, BOB, deadline, signature);
    }

    function testFuzz_reverts_whenAnotherKeySigned(uint256 key) public {
        key = bound(key, 1, SECP256K1_ORDER - 1);
        vm.assume(key != SIGNER_KEY);
        bytes memory signature = signRegistration(key, gateway, other, BOB, DEADLINE);
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function test_reverts_onAnotherGateway() public {
        PaymentGateway second = deploy(token);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        expectInvalidSignature();
        second.register(other, BOB, DEADLINE, signature);
    }

    function testFuzz_reverts_onAnotherChain(uint64 chain) public {
        vm.assume(chain != block.chainid);
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        vm.chainId(chain);
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function test_reverts_whenTheSignerChanged() public {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        vm.prank(owner);
        gateway.setSigner(treasury);
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function test_reverts_whenTheSignatureIsMalleated() public {
        bytes memory signature = malleated(signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE));
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function testFuzz_reverts_whenTheSignatureIsAnythingElse(bytes calldata signature) public {
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    function test_reverts_whenAQuoteIsPassedOffAsARegistration() public {
        bytes memory signature = signQuote(other, 0, MINIMUM, 1, DEADLINE);
        expectInvalidSignature();
        gateway.register(other, BOB, DEADLINE, signature);
    }

    /// @dev Random letters and digits of every valid length.
    function testFuzz_acceptsCustomerIds(uint256 seed, uint256 length) public {
        bytes32 customerId = makeCustomerId(seed, bound(length, 5, 32));
        enroll(gateway, other, customerId);
        vm.assertEq(gateway.customerOf(other), customerId, "customer of the wallet");
    }

    /// @dev Replaces one byte of a valid ID with an invalid one.
    function testFuzz_reverts_withAWrongByte(uint256 seed, uint256 length, uint256 place, bytes1 wrong) public {
        length = bound(length, 5, 32);
        place = bound(place, 0, length - 1);
        bytes32 good = makeCustomerId(seed, length);
        bool belongs = place < 4 ? wrong == good[place] : isAlphanumeric(wrong);
        bool shortens = wrong == 0 && place == length - 1 && length > 5;
        vm.assume(!belongs && !shortens);

        bytes32 hole = bytes32(bytes1(0xff)) >> (8 * place);
        expectMalformed((good & ~hole) | (bytes32(wrong) >> (8 * place)));
    }

    function test_reverts_withMalformedCustomerIds() public {
        expectMalformed(0);
        expectMalformed("cus_");
        expectMalformed("cus");
        expectMalformed("Cus_abc");
        expectMalformed("abc");
        expectMalformed("cus_abc/../x");
        expectMalformed("cus_abc\x00def");
        expectMalformed("cus_\x00def");
        expectMalformed("cus_abc ");
        expectMalformed("cus_@");
        expectMalformed("cus_[");
        expectMalformed("cus_`");
        expectMalformed("cus_{");
        expectMalformed("cus_:");
        expectMalformed("cus_\xc3\xa9");
        expectMalformed(bytes32("cus_abc") >> 8);
        expectMalformed(bytes32("cus_abc") | bytes32(uint256(1)));
        expectMalformed(bytes32(type(uint256).max));
    }

    function expectMalformed(bytes32 customerId) private {
        bytes memory signature = signRegistration(SIGNER_KEY, gateway, other, customerId, DEADLINE);
        expectInvalidCustomerId(customerId);
        gateway.register(other, customerId, DEADLINE, signature);
        vm.assertEq(gateway.customerOf(other), 0, "still not registered");
    }

    function makeCustomerId(uint256 seed, uint256 length) private pure returns (bytes32 customerId) {
        bytes memory alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        bytes memory id = new bytes(32);
        (id[0], id[1], id[2], id[3]) = ("c", "u", "s", "_");
        for (uint256 i = 4; i < length; ++i) {
            id[i] = alphabet[uint256(keccak256(abi.encode(seed, i))) % alphabet.length];
        }
        return bytes32(id);
    }

    function isAlphanumeric(bytes1 char) private pure returns (bool) {
        uint8 code = uint8(char);
        return (code > 47 && code < 58) || (code > 64 && code < 91) || (code > 96 && code < 123);
    }
}
