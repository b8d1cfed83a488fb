// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

import {Deploy} from "../script/Deploy.s.sol";
import {PaymentGateway} from "../src/PaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";
import {OddToken} from "./mocks/OddToken.sol";
import {SilentToken} from "./mocks/SilentToken.sol";

/// @notice Tests what the deployment rejects and that it deploys the plan. The record file and the real proxy are
/// tested from outside, against a local chain.
contract DeployTest is GatewayTest {
    bytes private constant PROXY =
        hex"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";

    Deploy private script;

    function setUp() public override {
        super.setUp();
        script = new Deploy();
        vm.etch(script.DEPLOYER(), PROXY);
    }

    function plan() private view returns (Deploy.Plan memory) {
        IERC20Metadata paid = IERC20Metadata(address(token));
        return Deploy.Plan(block.chainid, paid, treasury, owner, signer, MINIMUM, CEILING, bytes32(0));
    }

    function test_deploysWhereItSays() public {
        Deploy.Plan memory it = plan();
        script.check(it);
        address made = script.deploy(it);
        vm.assertEq(made, script.addressOf(it), "address");
        script.readBack(it);
        gateway = PaymentGateway(made);
        enroll(gateway, wallet, ALICE);
        vm.prank(payer);
        token.approve(made, MINIMUM);
        pay(MINIMUM);
        assertPayments(1, 1);
    }

    /// @dev The address depends on each argument and the salt, but not on the sender of the EVM transaction.
    function test_theAddressDependsOnArgumentsAlone() public {
        address here = script.addressOf(plan());
        vm.prank(other);
        vm.assertEq(script.addressOf(plan()), here, "another sender");
        Deploy.Plan memory it = plan();
        it.salt = bytes32(uint256(1));
        vm.assertTrue(script.addressOf(it) != here, "another salt");
        it = plan();
        it.rateCeiling = 1;
        vm.assertTrue(script.addressOf(it) != here, "another ceiling");
    }

    function test_reverts_whenItIsThereAlready() public {
        address made = script.deploy(plan());
        vm.expectRevert(abi.encodeWithSelector(Deploy.NotDeployed.selector, made));
        script.deploy(plan());
    }

    function test_reverts_onAnotherChain() public {
        Deploy.Plan memory it = plan();
        it.chainId = 8453;
        refuses(it, abi.encodeWithSelector(Deploy.WrongChain.selector, block.chainid, 8453));
    }

    function test_reverts_withoutTheProxy() public {
        vm.etch(script.DEPLOYER(), "");
        refuses(plan(), abi.encodeWithSelector(Deploy.NoDeployer.selector, script.DEPLOYER()));
    }

    function test_reverts_withABadToken() public {
        refusesToken(other, "no code");
        refusesToken(address(new SilentToken()), "no symbol");
        refusesToken(address(new OddToken("", 18)), "no symbol");
        refusesToken(address(new OddToken("LITKEY", 6)), "other than 18 decimals");
        refusesToken(address(gateway), "no symbol");
    }

    function test_reverts_withABadTreasury() public {
        refusesTreasury(address(0));
        refusesTreasury(address(token));
        refusesTreasury(address(gateway));
    }

    function test_readingBackReverts_whenNothingIsThere() public {
        Deploy.Plan memory it = plan();
        vm.expectRevert(abi.encodeWithSelector(Deploy.NotDeployed.selector, script.addressOf(it)));
        script.readBack(it);
        vm.expectRevert(abi.encodeWithSelector(Deploy.NotDeployed.selector, other));
        script.record(other);
    }

    function test_readingBackReverts_whenSomethingDiffers() public {
        Deploy.Plan memory it = plan();
        gateway = PaymentGateway(script.deploy(it));
        vm.startPrank(owner);
        gateway.pause();
        differs(it, "paused");
        gateway.setRateCeiling(0);
        differs(it, "rate ceiling");
        gateway.setMinimumAmount(0);
        differs(it, "minimum amount");
        gateway.setSigner(other);
        differs(it, "signer");
        gateway.transferOwnership(other);
        differs(it, "pending owner");
        vm.stopPrank();
        vm.prank(other);
        gateway.acceptOwnership();
        differs(it, "owner");
    }

    function refuses(Deploy.Plan memory it, bytes memory reason) private {
        vm.expectRevert(reason);
        script.check(it);
    }

    function refusesToken(address bad, string memory reason) private {
        Deploy.Plan memory it = plan();
        it.token = IERC20Metadata(bad);
        refuses(it, abi.encodeWithSelector(Deploy.NotAToken.selector, bad, reason));
    }

    function refusesTreasury(address bad) private {
        Deploy.Plan memory it = plan();
        it.treasury = bad;
        refuses(it, abi.encodeWithSelector(Deploy.BadTreasury.selector, bad));
    }

    function differs(Deploy.Plan memory it, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(Deploy.Differs.selector, what));
        script.readBack(it);
    }
}
