// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GatewayTest} from "./GatewayTest.sol";

contract PaymentBlocksTest is GatewayTest {
    uint64[] private happened;

    /// @dev Makes payments of two customers, several of them in one block.
    function testFuzz_namesTheBlockOfEachPayment(uint256 seed, uint8 size) public {
        enroll(gateway, other, BOB);
        uint256 count = bound(size, 0, 40);
        for (uint256 i = 0; i < count; ++i) {
            vm.roll(block.number + uint256(keccak256(abi.encode(seed, i))) % 3);
            happened.push(uint64(block.number));
            vm.prank(payer);
            gateway.pay(i % 3 == 0 ? other : wallet, MINIMUM);
        }
        vm.assertEq(gateway.totalPayments(), count, "payments in all");
        uint256 from = bound(seed, 0, count);
        uint256 to = bound(seed >> 128, from, count);
        uint64[] memory blocks = gateway.paymentBlocks(from, to);
        vm.assertEq(blocks.length, to - from, "length");
        for (uint256 i = 0; i < blocks.length; ++i) {
            vm.assertEq(blocks[i], happened[from + i], "block");
        }
    }

    function testFuzz_reverts_beyondTheCount(uint256 from, uint256 to) public {
        pay(MINIMUM);
        pay(MINIMUM);
        to = bound(to, 3, type(uint256).max);
        expectOutOfRange(from, to, 2);
        gateway.paymentBlocks(from, to);
    }

    function test_reverts_oneBeyondTheCount() public {
        pay(MINIMUM);
        pay(MINIMUM);
        expectOutOfRange(0, 3, 2);
        gateway.paymentBlocks(0, 3);
    }

    function testFuzz_reverts_whenFromIsBehindTo(uint256 from) public {
        pay(MINIMUM);
        pay(MINIMUM);
        from = bound(from, 2, type(uint256).max);
        expectOutOfRange(from, 1, 2);
        gateway.paymentBlocks(from, 1);
    }

    function test_emptyRangesAreFine() public {
        vm.assertEq(gateway.paymentBlocks(0, 0).length, 0, "before any payment");
        pay(MINIMUM);
        vm.assertEq(gateway.paymentBlocks(0, 0).length, 0, "before the first");
        vm.assertEq(gateway.paymentBlocks(1, 1).length, 0, "after the last");
    }
}
