// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {Vm} from "../Vm.sol";
import {AnyCall} from "./AnyCall.sol";
import {LyingToken} from "./LyingToken.sol";

/// @notice Only the owner changes anything, and each change is what the owner asked for and what the event says.
contract AuthorityProof is AnyCall {
    struct Settings {
        address owner;
        address pendingOwner;
        address signer;
        bool paused;
        uint256 minimumAmount;
        uint256 rateCeiling;
    }

    function setUp() external {
        deployOn(IERC20(address(new LyingToken())));
    }

    function check_noOtherCallerChangesASetting(address caller, address wallet) external {
        bytes memory call = anyCall();
        vm.assume(caller != owner && caller != pendingOwner);
        Settings memory before = settings();
        bytes32 customerId = gateway.customerOf(wallet);

        attempt(caller, call);

        assertSame(before);
        bytes32 present = gateway.customerOf(wallet);
        if (present != customerId) vm.assertEq(customerId, 0, "only the owner changes a registration");
    }

    function check_thePendingOwnerCanOnlyAccept() external {
        bytes memory call = anyCall();
        vm.assume(pendingOwner != owner && pendingOwner != address(0));
        Settings memory before = settings();

        (bool done,) = attempt(pendingOwner, call);

        if (bytes4(call) == gateway.acceptOwnership.selector) {
            vm.assertTrue(done, "accepted");
            (before.owner, before.pendingOwner) = (pendingOwner, address(0));
        }
        assertSame(before);
    }

    function check_setSigner(address caller, address newSigner) external {
        Settings memory before = settings();
        bool possible = all(caller == owner, newSigner != address(0), true, true);
        (bool done,) = attempt(caller, abi.encodeCall(gateway.setSigner, (newSigner)));
        vm.assertEq(done, possible, "the owner sets the signer");
        if (done) {
            Vm.Log memory entry = loneLog(IPaymentGateway.SignerSet.selector, 2);
            vm.assertEq(entry.topics[1], word(newSigner), "the event's signer");
            before.signer = newSigner;
        }
        assertSame(before);
    }

    function check_setMinimumAmount(address caller, uint256 minimumAmount) external {
        Settings memory before = settings();
        (bool done,) = attempt(caller, abi.encodeCall(gateway.setMinimumAmount, (minimumAmount)));
        vm.assertEq(done, caller == owner, "the owner sets the minimum");
        if (done) {
            Vm.Log memory entry = loneLog(IPaymentGateway.MinimumAmountSet.selector, 1);
            vm.assertEq(abi.decode(entry.data, (uint256)), minimumAmount, "the event's minimum");
            before.minimumAmount = minimumAmount;
        }
        assertSame(before);
    }

    function check_setRateCeiling(address caller, uint256 rateCeiling) external {
        Settings memory before = settings();
        bool possible = all(caller == owner, rateCeiling < 2 ** 128, true, true);
        (bool done,) = attempt(caller, abi.encodeCall(gateway.setRateCeiling, (rateCeiling)));
        vm.assertEq(done, possible, "the owner sets the ceiling");
        if (done) {
            Vm.Log memory entry = loneLog(IPaymentGateway.RateCeilingSet.selector, 1);
            vm.assertEq(abi.decode(entry.data, (uint256)), rateCeiling, "the event's ceiling");
            before.rateCeiling = rateCeiling;
        }
        assertSame(before);
    }

    function check_pauseAndUnpause(address caller, bool pausing) external {
        Settings memory before = settings();
        bytes memory call = pausing ? abi.encodeCall(gateway.pause, ()) : abi.encodeCall(gateway.unpause, ());
        (bool done,) = attempt(caller, call);
        vm.assertEq(done, all(caller == owner, before.paused != pausing, true, true), "the owner pauses");
        if (done) before.paused = pausing;
        assertSame(before);
    }

    function settings() private view returns (Settings memory) {
        return Settings(
            gateway.owner(),
            gateway.pendingOwner(),
            gateway.signer(),
            gateway.paused(),
            gateway.minimumAmount(),
            gateway.rateCeiling()
        );
    }

    function assertSame(Settings memory before) private view {
        vm.assertEq(gateway.owner(), before.owner, "owner");
        vm.assertEq(gateway.pendingOwner(), before.pendingOwner, "pending owner");
        vm.assertEq(gateway.signer(), before.signer, "signer");
        vm.assertEq(gateway.paused(), before.paused, "paused");
        vm.assertEq(gateway.minimumAmount(), before.minimumAmount, "minimum");
        vm.assertEq(gateway.rateCeiling(), before.rateCeiling, "ceiling");
        vm.assertEq(address(gateway.token()), address(token), "token");
        vm.assertEq(gateway.treasury(), treasury, "treasury");
    }
}
