// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentGateway} from "../../src/IPaymentGateway.sol";
import {PaymentGateway} from "../../src/PaymentGateway.sol";
import {Vm} from "../Vm.sol";
import {GenerousToken} from "./GenerousToken.sol";
import {Proof} from "./Proof.sol";

/// @notice What the constructor accepts, stores and emits.
contract DeploymentProof is Proof {
    function setUp() external {
        token = IERC20(address(new GenerousToken()));
        treasury = svm.createAddress("treasury");
        owner = svm.createAddress("owner");
        signer = svm.createAddress("signer");
    }

    function check_constructor(uint256 minimumAmount, uint256 rateCeiling) external {
        vm.recordLogs();
        gateway = new PaymentGateway(token, treasury, owner, signer, minimumAmount, rateCeiling);

        vm.assertTrue(treasury != address(0), "a treasury");
        vm.assertTrue(treasury != address(token), "the token is no treasury");
        vm.assertTrue(treasury != address(gateway), "the gateway is no treasury");
        vm.assertTrue(signer != address(0), "a signer");
        vm.assertTrue(owner != address(0), "an owner");
        vm.assertTrue(rateCeiling < 2 ** 128, "a ceiling of 128 bits");
        vm.assertEq(gateway.owner(), owner, "owner");
        vm.assertEq(gateway.signer(), signer, "signer");
        vm.assertEq(gateway.treasury(), treasury, "treasury");
        vm.assertEq(gateway.minimumAmount(), minimumAmount, "minimum");
        vm.assertEq(gateway.rateCeiling(), rateCeiling, "ceiling");
        vm.assertEq(gateway.totalPayments(), 0, "no payments");
        Vm.Log[] memory logs = gatewayLogs();
        vm.assertEq(logs.length, 4, "owner, signer, minimum, ceiling");
        vm.assertEq(logs[1].topics[0], IPaymentGateway.SignerSet.selector, "the signer's event");
        vm.assertEq(logs[1].topics[1], word(signer), "the event's signer");
        vm.assertEq(logs[2].topics[0], IPaymentGateway.MinimumAmountSet.selector, "the minimum's event");
        vm.assertEq(abi.decode(logs[2].data, (uint256)), minimumAmount, "the event's minimum");
        vm.assertEq(logs[3].topics[0], IPaymentGateway.RateCeilingSet.selector, "the ceiling's event");
        vm.assertEq(abi.decode(logs[3].data, (uint256)), rateCeiling, "the event's ceiling");
    }

    function check_theTokenNeedsCode(uint256 minimumAmount, uint128 rateCeiling) external {
        IERC20 absent = IERC20(address(0xdead));
        try new PaymentGateway(absent, treasury, owner, signer, minimumAmount, rateCeiling) {
            vm.assertTrue(false, "a token without code");
        } catch {}
    }
}
