// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {TestToken} from "../../src/TestToken.sol";
import {Vm} from "../Vm.sol";
import {AnyCall} from "./AnyCall.sol";

/// @notice Who belongs to which customer: by the signer's signature once, afterwards by the owner alone.
/// @custom:halmos --loop 32 --solver-timeout-branching 10s
contract RegistrationProof is AnyCall {
    /// @notice A registration, and the state before it.
    struct Registration {
        address wallet;
        address other;
        bytes32 customerId;
        uint256 deadline;
        bytes signature;
        bytes32 present;
        bytes32 others;
        bool created;
        bool repeated;
    }

    function setUp() external {
        deployOn(new TestToken());
    }

    function check_register(address caller) external {
        Registration memory it = anySigned();
        bytes memory call = abi.encodeCall(gateway.register, (it.wallet, it.customerId, it.deadline, it.signature));

        (bool done, bytes memory answer) = attempt(caller, call);

        if (it.created) {
            vm.assertTrue(done, "a signed registration succeeds");
            assertRegistered(it.wallet, it.customerId);
        } else {
            assertNoLogs();
            vm.assertEq(done, it.repeated, "the same again");
            vm.assertEq(gateway.customerOf(it.wallet), it.present, "a registration once made stays");
        }
        vm.assertEq(gateway.customerOf(it.other), it.others, "no other wallet changes");
        if (!done && bytes4(answer) == IPaymentGateway.AlreadyRegistered.selector) {
            bytes32 named;
            assembly ("memory-safe") {
                named := mload(add(answer, 68))
            }
            vm.assertEq(named, it.present, "the error names the present customer");
        }
    }

    /// @dev `cus_`, then any number of `a`, then one arbitrary character and an arbitrary rest that has no letter or digit
    /// first: every place where an ID can end, or fail to.
    function check_customerIdsOfEveryLength(uint256 which, bytes32 customerId) external {
        uint256 place = 4;
        while (place < 31 && which != place) ++place;
        uint256 mask = type(uint256).max >> (8 * place);
        bytes32 letters = "cus_aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        customerId = bytes32((uint256(letters) & ~mask) | (uint256(customerId) & mask));
        if (place < 31) vm.assume(!isCharacter(uint8(customerId[place + 1])));
        bool goesOn = all(isCharacter(uint8(customerId[place])), customerId << (8 * place + 8) == 0, true, true);
        bool ends = all(place > 4, customerId << (8 * place) == 0, true, true);
        bool fits = choose(goesOn, 1, choose(ends, 1, 0)) == 1;

        (bool done,) = attempt(owner, abi.encodeCall(gateway.correctCustomer, (treasury, customerId)));

        vm.assertEq(done, fits, "cus_, letters and digits, then zero bytes alone");
    }

    function anySigned() private view returns (Registration memory it) {
        it.wallet = svm.createAddress("wallet");
        it.other = svm.createAddress("other");
        vm.assume(it.other != it.wallet);
        it.customerId = anyCustomer();
        it.deadline = svm.createUint256("deadline");
        it.signature = svm.createBytes(65, "signature");
        it.present = gateway.customerOf(it.wallet);
        it.others = gateway.customerOf(it.other);
        bool fits = isCustomerId(it.customerId);
        bool signed = isSigned(registrationHash(it.wallet, it.customerId, it.deadline), it.signature);
        it.created = all(fits, it.present == 0, block.timestamp <= it.deadline, signed);
        it.repeated = all(fits, it.present == it.customerId, true, true);
    }

    function check_correctCustomer(address caller, address wallet, address other) external {
        bytes32 customerId = anyCustomer();
        bytes32 present = gateway.customerOf(wallet);
        bytes32 others = gateway.customerOf(other);
        bool possible = all(caller == owner, isCustomerId(customerId), true, true);

        (bool done,) = attempt(caller, abi.encodeCall(gateway.correctCustomer, (wallet, customerId)));

        vm.assertEq(done, possible, "the owner alone corrects, to a customer alone");
        if (done) assertRegistered(wallet, customerId);
        else vm.assertEq(gateway.customerOf(wallet), present, "nothing changed");
        if (other != wallet) vm.assertEq(gateway.customerOf(other), others, "no other wallet changes");
    }

    function assertRegistered(address wallet, bytes32 customerId) private {
        vm.assertEq(gateway.customerOf(wallet), customerId, "the wallet's customer");
        Vm.Log memory entry = loneLog(IPaymentGateway.CustomerRegistered.selector, 3);
        vm.assertEq(entry.topics[1], word(wallet), "the event's wallet");
        vm.assertEq(entry.topics[2], customerId, "the event's customer");
    }

    /// @dev The form of a Stripe customer ID, where byte 5 is no letter or digit.
    function isCustomerId(bytes32 id) private pure returns (bool valid) {
        return all(bytes4(id) == "cus_", isCharacter(uint8(id[4])), id << 40 == 0, true);
    }
}
