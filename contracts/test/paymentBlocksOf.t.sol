// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GatewayTest} from "./GatewayTest.sol";

contract PaymentBlocksOfTest is GatewayTest {
    mapping(bytes32 customerId => uint64[]) private happened;

    function testFuzz_namesTheBlockOfEachPaymentOfTheCustomer(uint256 seed, uint8 size) public {
        enroll(gateway, other, BOB);
        uint256 count = bound(size, 0, 40);
        for (uint256 i = 0; i < count; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            vm.roll(block.number + random % 3);
            bool alice = random % 5 < 3;
            happened[alice ? ALICE : BOB].push(uint64(block.number));
            vm.prank(payer);
            gateway.pay(alice ? wallet : other, MINIMUM);
        }
        check(ALICE, seed);
        check(BOB, seed);
        vm.assertEq(gateway.paymentCount(ALICE) + gateway.paymentCount(BOB), gateway.totalPayments(), "sum of counts");
    }

    function testFuzz_reverts_beyondTheCount(bytes32 stranger, uint256 from, uint256 to) public {
        vm.assume(stranger != ALICE);
        pay(MINIMUM);
        to = bound(to, 2, type(uint256).max);
        expectOutOfRange(from, to, 1);
        gateway.paymentBlocksOf(ALICE, from, to);
        expectOutOfRange(from, to, 0);
        gateway.paymentBlocksOf(stranger, from, to);
    }

    function testFuzz_reverts_whenFromIsBehindTo(uint256 from) public {
        pay(MINIMUM);
        from = bound(from, 1, type(uint256).max);
        expectOutOfRange(from, 0, 1);
        gateway.paymentBlocksOf(ALICE, from, 0);
    }

    function testFuzz_emptyRangesAreFine(bytes32 customerId) public view {
        vm.assertEq(gateway.paymentBlocksOf(customerId, 0, 0).length, 0, "length");
        vm.assertEq(gateway.paymentCount(customerId), 0, "count");
    }

    function check(bytes32 customerId, uint256 seed) private view {
        uint64[] storage expected = happened[customerId];
        vm.assertEq(gateway.paymentCount(customerId), expected.length, "count");
        uint256 from = bound(seed, 0, expected.length);
        uint256 to = bound(seed >> 128, from, expected.length);
        uint64[] memory blocks = gateway.paymentBlocksOf(customerId, from, to);
        vm.assertEq(blocks.length, to - from, "length");
        for (uint256 i = 0; i < blocks.length; ++i) {
            vm.assertEq(blocks[i], expected[from + i], "block");
        }
    }
}
