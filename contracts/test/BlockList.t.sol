// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {BlockList} from "../src/BlockList.sol";
import {GatewayTest} from "./GatewayTest.sol";

contract BlockListTest is GatewayTest {
    using BlockList for BlockList.List;

    uint256 private constant LARGEST = 2 ** 40 - 1;

    BlockList.List private list;
    uint64[] private model;

    function setUp() public override {}

    /// @dev Compares the whole list with a plain array after each push: no neighboring entry may change.
    function testFuzz_equalsAPlainArray(uint256 seed, uint8 size) public {
        uint256 count = bound(size, 0, 20);
        for (uint256 i = 0; i < count; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            vm.roll(random % 4 == 0 ? LARGEST : random % (LARGEST + 1));
            list.push();
            model.push(uint64(block.number));
            compare();
        }
    }

    function test_countsFarBeyondAWord() public {
        for (uint256 i = 0; i < 300; ++i) {
            vm.roll(i + 1);
            list.push();
            model.push(uint64(i + 1));
        }
        compare();
    }

    /// @dev Checks the layout in docs/contracts.md: the head until a word is full, then a word of six.
    function test_packsSixToAWord() public {
        uint256 slot;
        assembly {
            slot := list.slot
        }
        bytes32 word = keccak256(abi.encode(0, slot + 1));
        uint256 packed;
        for (uint256 i = 0; i < 5; ++i) {
            vm.roll(0xa000000000 + i);
            list.push();
            packed |= block.number << (40 * i);
            vm.assertEq(vm.load(address(this), bytes32(slot)), bytes32(packed << 56 | i + 1), "head");
            vm.assertEq(vm.load(address(this), word), bytes32(0), "no word yet");
        }
        list.push();
        packed |= block.number << 200;
        vm.assertEq(vm.load(address(this), bytes32(slot)), bytes32(uint256(6)), "head has the count alone");
        vm.assertEq(vm.load(address(this), word), bytes32(packed), "word of six");
    }

    function testFuzz_reverts_whenTheBlockIsTooHigh(uint256 number) public {
        number = bound(number, LARGEST + 1, type(uint64).max);
        vm.roll(number);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 40, number));
        this.pushOne();
    }

    function pushOne() external {
        list.push();
    }

    function compare() private view {
        vm.assertEq(list.count(), model.length, "count");
        uint64[] memory blocks = list.slice(0, model.length);
        for (uint256 i = 0; i < model.length; ++i) {
            vm.assertEq(blocks[i], model[i], "entry");
        }
    }
}
