// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PaymentGateway} from "../src/PaymentGateway.sol";
import {Vm} from "../test/Vm.sol";

/// @notice Simulates an owner's action on the current chain, prints the call for a Safe, and sends it if the owner is a
/// single key. Run by tools/owner; see docs/deploying.md.
contract Owner {
    /// @notice Thrown when the gateway rejects the call.
    error Refused(bytes reason);

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;

    function pause(PaymentGateway gateway) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.pause, ()));
    }

    function unpause(PaymentGateway gateway) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.unpause, ()));
    }

    function setSigner(PaymentGateway gateway, address signer) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.setSigner, (signer)));
    }

    function setMinimumAmount(PaymentGateway gateway, uint256 amount) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.setMinimumAmount, (amount)));
    }

    function setRateCeiling(PaymentGateway gateway, uint256 ceiling) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.setRateCeiling, (ceiling)));
    }

    function correctCustomer(PaymentGateway gateway, address wallet, string calldata customer) external {
        require(bytes(customer).length <= 32, Refused("the customer ID is too long"));
        // forge-lint: disable-next-line(unsafe-typecast) -- its length was just checked
        act(gateway, gateway.owner(), abi.encodeCall(gateway.correctCustomer, (wallet, bytes32(bytes(customer)))));
    }

    function transferOwnership(PaymentGateway gateway, address heir) external {
        act(gateway, gateway.owner(), abi.encodeCall(gateway.transferOwnership, (heir)));
    }

    function acceptOwnership(PaymentGateway gateway) external {
        act(gateway, gateway.pendingOwner(), abi.encodeCall(gateway.acceptOwnership, ()));
    }

    function act(PaymentGateway gateway, address sender, bytes memory data) private {
        log(string.concat("from ", vm.toString(sender)));
        log(string.concat("to   ", vm.toString(address(gateway))));
        log(string.concat("data ", vm.toString(data)));
        vm.startBroadcast(sender);
        (bool done, bytes memory reason) = address(gateway).call(data);
        vm.stopBroadcast();
        require(done, Refused(reason));
    }

    function log(string memory text) private view {
        (bool done,) = CONSOLE.staticcall(abi.encodeWithSignature("log(string)", text));
        done; // forge prints it; elsewhere the call has no effect
    }
}
