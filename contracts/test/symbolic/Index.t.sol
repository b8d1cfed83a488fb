// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BlockList} from "../../src/BlockList.sol";
import {Vm} from "../Vm.sol";
import {Svm} from "./Svm.sol";

/// @notice The list of blocks equals a naive one.
/// @custom:halmos --loop 32
contract IndexProof {
    using BlockList for BlockList.List;

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));
    uint256 private constant LENGTH = 14; // three words, two of them full

    BlockList.List private list;

    /// @dev From an empty list to every length up to the bound, in any blocks: all entries, after each push.
    function check_everyLengthEqualsANaiveList() external {
        uint64[] memory naive = new uint64[](LENGTH);
        (uint256 part, uint256 word) = (0, 0);
        for (uint256 size = 0; size < LENGTH; ++size) {
            uint256 number = svm.createUint256("block") & (2 ** 40 - 1);
            vm.roll(number);
            list.push();
            naive[size] = uint64(number);
            part |= number << (40 * (size % 6));
            bool full = size % 6 == 5;
            if (full) (word, part) = (part, 0);
            vm.assertEq(list.head, part << 56 | (size + 1), "the head of docs/contracts.md");
            if (full) vm.assertEq(list.words[size / 6], word, "the word of docs/contracts.md");
            vm.assertEq(list.count(), size + 1, "count");
            uint64[] memory blocks = list.slice(0, size + 1);
            vm.assertEq(blocks.length, size + 1, "length");
            uint256 difference;
            for (uint256 i = 0; i <= size; ++i) {
                difference |= blocks[i] ^ naive[i];
            }
            vm.assertEq(difference, 0, "every entry");
        }
    }

    /// @dev A list of these lengths with any entries, also near the longest: a push adds this block and changes no other
    /// entry of the words around it.
    function check_aPushAddsThisBlockAlone(uint256 which, uint256 entries, bool long, uint256 number) external {
        uint256 first = long ? 6 * 2 ** 53 : 0;
        uint256 size = first + upTo(which, LENGTH);
        anyList(size, entries);
        uint64[] memory before = list.slice(first, size);
        vm.roll(number);

        (bool done,) = address(this).call(abi.encodeCall(this.push, ()));

        vm.assertEq(done, number < 2 ** 40, "every block below 2^40 is stored, no other");
        if (!done) return;
        vm.assertEq(list.count(), size + 1, "count");
        uint64[] memory blocks = list.slice(first, size + 1);
        uint256 difference = blocks[size - first] ^ number;
        for (uint256 i = 0; i < before.length; ++i) {
            difference |= blocks[i] ^ before[i];
        }
        vm.assertEq(difference, 0, "this block at the end, and every earlier entry");
        uint256 partBits = 40 * ((size + 1) % 6);
        vm.assertEq(list.head >> (56 + partBits), 0, "zeros above the unfinished word");
    }

    /// @dev A slice is possible exactly within the list.
    function check_slicesStayWithinTheList(uint256 which, uint256 entries, uint256 from, uint256 length) external {
        uint256 size = upTo(which, 8);
        anyList(size, entries);
        length = upTo(length, 3);
        vm.assume(from <= type(uint256).max - length);
        (bool done,) = address(this).call(abi.encodeCall(this.slice, (from, from + length)));
        vm.assertEq(done, from + length <= size, "within the list");
    }

    function check_slicesDoNotRunBackwards(uint256 head, uint256 from, uint256 to) external {
        list.head = head;
        vm.assume(to < from);
        (bool done, bytes memory answer) = address(this).call(abi.encodeCall(this.slice, (from, to)));
        vm.assertEq(done, false, "backwards");
        vm.assertTrue(bytes4(answer) == BlockList.OutOfRange.selector, "the error says so");
    }

    function push() external {
        list.push();
    }

    function slice(uint256 from, uint256 to) external view returns (uint64[] memory) {
        return list.slice(from, to);
    }

    /// @dev Each value below `end` on its own path.
    function upTo(uint256 which, uint256 end) private pure returns (uint256 value) {
        while (value < end - 1 && which != value) ++value;
    }

    /// @dev What every push keeps: above the numbers of an unfinished word there are only zeros.
    function anyList(uint256 size, uint256 entries) private {
        uint256 part = entries & (2 ** (40 * (size % 6)) - 1);
        list.head = part << 56 | size;
        svm.enableSymbolicStorage(address(this));
    }
}
