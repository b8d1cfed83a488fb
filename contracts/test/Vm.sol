// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The forge cheat codes that tests and scripts use.
interface Vm {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 privateKey) external pure returns (address);
    function assertEq(address left, address right, string calldata label) external pure;
    function assertEq(bool left, bool right, string calldata label) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata label) external pure;
    function assertEq(uint256 left, uint256 right, string calldata label) external pure;
    function assertTrue(bool condition, string calldata label) external pure;
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function envAddress(string calldata name) external view returns (address);
    function envOr(string calldata name, bytes32 otherwise) external view returns (bytes32);
    function envUint(string calldata name) external view returns (uint256);
    function etch(address target, bytes calldata code) external;
    function exists(string calldata path) external view returns (bool);
    function expectEmit(address emitter) external;
    function expectRevert(bytes calldata reason) external;
    function getNonce(address account) external view returns (uint64);
    function getRecordedLogs() external returns (Log[] memory logs);
    function label(address account, string calldata name) external;
    function lastCallGas() external view returns (Gas memory);
    function load(address target, bytes32 slot) external view returns (bytes32 value);
    function prank(address sender) external;
    function startBroadcast() external;
    function startBroadcast(address sender) external;
    function startPrank(address sender) external;
    function recordLogs() external;
    function revertToState(uint256 id) external returns (bool done);
    function roll(uint256 blockNumber) external;
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256 gasUsed);
    function serializeAddress(string calldata object, string calldata name, address value)
        external
        returns (string memory json);
    function serializeBool(string calldata object, string calldata name, bool value)
        external
        returns (string memory json);
    function serializeBytes32(string calldata object, string calldata name, bytes32 value)
        external
        returns (string memory json);
    function serializeString(string calldata object, string calldata name, string calldata value)
        external
        returns (string memory json);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotState() external returns (uint256 id);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function stopBroadcast() external;
    function stopPrank() external;
    function store(address target, bytes32 slot, bytes32 value) external;
    function toString(address value) external pure returns (string memory);
    function toString(bytes calldata value) external pure returns (string memory);
    function toString(bytes32 value) external pure returns (string memory);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
    function writeFile(string calldata path, string calldata text) external;
    function writeJson(string calldata json, string calldata path, string calldata key) external;
}
