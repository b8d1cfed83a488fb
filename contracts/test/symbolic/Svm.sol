// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The prover's cheat codes that the checks use: each value stands for every value of its type.
interface Svm {
    function createUint256(string calldata name) external view returns (uint256);
    function createAddress(string calldata name) external view returns (address);
    function createBytes32(string calldata name) external view returns (bytes32);
    function createBool(string calldata name) external view returns (bool);
    function createBytes(uint256 size, string calldata name) external view returns (bytes memory);
    function createCalldata(string calldata contractName) external view returns (bytes memory);
    function enableSymbolicStorage(address account) external view;
}
