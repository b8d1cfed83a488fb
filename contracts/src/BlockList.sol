// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title BlockList
/// @notice An append-only list of block numbers, packed so that a push usually writes a single storage slot.
/// @dev A word holds six block numbers of 40 bits. The head holds the count (56 bits) and, above it, the partial word
/// (at most five numbers, 200 bits); the sixth number moves that word to `words` and clears it in the head. 40 bits
/// last for 7,000 years at five blocks a second.
library BlockList {
    struct List {
        uint256 head;
        mapping(uint256 index => uint256 word) words;
    }

    uint256 private constant PER_WORD = 6;
    uint256 private constant BLOCK_BITS = 40;
    uint256 private constant BLOCK_MASK = 2 ** BLOCK_BITS - 1;
    uint256 private constant COUNT_BITS = 56;
    uint256 private constant COUNT_MASK = 2 ** COUNT_BITS - 1;

    /// @notice Thrown when [`from`, `to`) is not within a list of `count` entries.
    error OutOfRange(uint256 from, uint256 to, uint256 count);

    /// @notice Appends the current block number.
    function push(List storage self) internal {
        uint256 head = self.head;
        // Unchecked to save gas on every payment. Each term stays within its bits: no chain sees 2^56 payments.
        unchecked {
            uint256 index = head & COUNT_MASK;
            uint256 place = index % PER_WORD;
            uint256 entry = uint256(SafeCast.toUint40(block.number)) << (BLOCK_BITS * place);
            if (place == PER_WORD - 1) {
                self.words[index / PER_WORD] = (head >> COUNT_BITS) | entry;
                self.head = index + 1;
            } else {
                self.head = (head + 1) | (entry << COUNT_BITS);
            }
        }
    }

    /// @notice The number of entries.
    function count(List storage self) internal view returns (uint256) {
        return self.head & COUNT_MASK;
    }

    /// @notice The entries [`from`, `to`), oldest first.
    function slice(List storage self, uint256 from, uint256 to) internal view returns (uint64[] memory blocks) {
        uint256 head = self.head;
        uint256 size = head & COUNT_MASK;
        require(from <= to && to <= size, OutOfRange(from, to, size));

        blocks = new uint64[](to - from);
        for (uint256 i = from; i < to; ++i) {
            uint256 word = i / PER_WORD == size / PER_WORD ? head >> COUNT_BITS : self.words[i / PER_WORD];
            // forge-lint: disable-next-line(unsafe-typecast) -- masked to 40 bits
            blocks[i - from] = uint64((word >> (BLOCK_BITS * (i % PER_WORD))) & BLOCK_MASK);
        }
    }
}
