// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {PaymentGateway} from "../../src/PaymentGateway.sol";
import {Vm} from "../Vm.sol";
import {Svm} from "./Svm.sol";

/// @notice Base of the checks: a gateway in any state that calls can lead to, at any block, time and chain.
/// @dev A check holds for every value of its parameters and of everything that `svm` creates.
abstract contract Proof {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm internal constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant COUNT_MASK = 2 ** 56 - 1;

    IERC20 internal token;
    PaymentGateway internal gateway;
    address internal treasury;
    address internal owner;
    address internal pendingOwner;
    address internal signer;

    /// @dev Deploys the gateway for any treasury, then puts it into any state.
    function deployOn(IERC20 anyToken) internal {
        token = anyToken;
        treasury = svm.createAddress("treasury");
        gateway = new PaymentGateway(anyToken, treasury, address(1), address(2), 0, 0);
        owner = svm.createAddress("owner");
        pendingOwner = svm.createAddress("pendingOwner");
        signer = svm.createAddress("signer");
        vm.assume(signer != address(0));

        fill(0, uint160(owner));
        fill(1, uint160(pendingOwner));
        fill(4, uint256(uint160(signer)) << 8 | (svm.createUint256("paused") & 1));
        fill(5, svm.createUint256("minimumAmount"));
        fill(6, uint128(svm.createUint256("rateCeiling")));
        fill(8, svm.createUint256("total"));
        svm.enableSymbolicStorage(address(gateway)); // the mappings
        vm.assume(gateway.totalPayments() < COUNT_MASK);
        vm.roll(svm.createUint256("block"));
        vm.warp(svm.createUint256("time"));
    }

    function fill(uint256 slot, uint256 value) private {
        vm.store(address(gateway), bytes32(slot), bytes32(value));
    }

    /// @dev An amount and its cents, within the ceiling that it sets: solvers search long for factors of their own.
    function plausiblePrice() internal returns (uint256 amount, uint256 cents) {
        fill(6, 1e6); // a cent per token
        return (1_000e18, 700);
    }

    /// @dev No chain sees 2^56 - 1 payments.
    function assumeFewPayments(bytes32 customerId) internal view {
        vm.assume(gateway.paymentCount(customerId) < COUNT_MASK);
    }

    /// @dev Whether all are true, without branches: each would double the paths.
    function all(bool[9] memory facts) internal pure returns (bool every) {
        every = true;
        for (uint256 i = 0; i < facts.length; ++i) {
            bool fact = facts[i];
            assembly ("memory-safe") {
                every := and(every, fact)
            }
        }
    }

    function all(bool first, bool second, bool third, bool fourth) internal pure returns (bool every) {
        return all([first, second, third, fourth, true, true, true, true, true]);
    }

    function choose(bool condition, uint256 yes, uint256 no) internal pure returns (uint256 chosen) {
        assembly ("memory-safe") {
            chosen := xor(no, and(xor(yes, no), sub(0, condition)))
        }
    }

    /// @dev Calls the gateway as `caller`, with a record of the logs.
    function attempt(address caller, bytes memory call) internal returns (bool done, bytes memory answer) {
        vm.assume(caller != address(gateway)); // it calls nothing but the token
        vm.recordLogs();
        vm.prank(caller);
        (done, answer) = address(gateway).call(call);
    }

    // Signatures, computed independently of the contract's own hashing.

    function quoteHash(address wallet, uint256 sequence, uint256 amount, uint256 cents, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                keccak256("Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)"),
                wallet,
                sequence,
                amount,
                cents,
                deadline
            )
        );
    }

    function registrationHash(address wallet, bytes32 customerId, uint256 deadline) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("Registration(address wallet,bytes32 customerId,uint256 deadline)"),
                wallet,
                customerId,
                deadline
            )
        );
    }

    /// @dev Whether `signature` is the signer's over this struct, for this gateway on this chain.
    function isSigned(bytes32 structHash, bytes memory signature) internal view returns (bool) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        address recovered = ecrecover(digestOf(structHash), v, r, s);
        return all(signature.length == 65, uint256(s) <= HALF_ORDER, recovered != address(0), recovered == signer);
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("PaymentGateway"),
                keccak256("1"),
                block.chainid,
                address(gateway)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    // Events

    function assertNoLogs() internal {
        vm.assertEq(gatewayLogs().length, 0, "no event");
    }

    /// @dev Exactly this event was emitted, whatever the token emitted besides.
    function assertPayment(
        bytes32 customerId,
        address wallet,
        address payer,
        uint256 sequence,
        uint256 amount,
        uint256 cents
    ) internal {
        Vm.Log memory entry = loneLog(IPaymentGateway.Payment.selector, 4);
        vm.assertEq(entry.topics[1], customerId, "the event's customer");
        vm.assertEq(entry.topics[2], word(wallet), "the event's wallet");
        vm.assertEq(entry.topics[3], word(payer), "the event's payer");
        (uint256 place, uint256 received, uint256 promised) = abi.decode(entry.data, (uint256, uint256, uint256));
        vm.assertEq(place, sequence, "the event's sequence");
        vm.assertEq(received, amount, "the event's amount");
        vm.assertEq(promised, cents, "the event's cents");
    }

    /// @dev Returns the gateway's log of the last attempt, of which there must be exactly one.
    function loneLog(bytes32 topic, uint256 topics) internal returns (Vm.Log memory) {
        Vm.Log[] memory logs = gatewayLogs();
        vm.assertEq(logs.length, 1, "one event");
        vm.assertEq(logs[0].topics.length, topics, "the event's topics");
        vm.assertEq(logs[0].topics[0], topic, "the event's kind");
        return logs[0];
    }

    function gatewayLogs() internal returns (Vm.Log[] memory logs) {
        logs = vm.getRecordedLogs();
        uint256 size;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(gateway)) logs[size++] = logs[i];
        }
        assembly ("memory-safe") {
            mstore(logs, size)
        }
    }

    function word(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
