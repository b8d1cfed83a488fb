// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {PaymentGateway} from "../src/PaymentGateway.sol";
import {GatewayTest} from "./GatewayTest.sol";

contract ConstructorTest is GatewayTest {
    function testFuzz_setsEverything(
        address treasury_,
        address owner_,
        address signer_,
        uint256 minimum,
        uint128 ceiling
    ) public {
        vm.assume(treasury_ != address(0) && treasury_ != address(token) && treasury_ != next());
        vm.assume(owner_ != address(0) && signer_ != address(0));
        address made = next();
        vm.expectEmit(made);
        emit Ownable.OwnershipTransferred(address(0), owner_);
        vm.expectEmit(made);
        emit IPaymentGateway.SignerSet(signer_);
        vm.expectEmit(made);
        emit IPaymentGateway.MinimumAmountSet(minimum);
        vm.expectEmit(made);
        emit IPaymentGateway.RateCeilingSet(ceiling);
        gateway = new PaymentGateway(token, treasury_, owner_, signer_, minimum, ceiling);

        vm.assertEq(address(gateway.token()), address(token), "token");
        vm.assertEq(gateway.treasury(), treasury_, "treasury");
        vm.assertEq(gateway.owner(), owner_, "owner");
        vm.assertEq(gateway.pendingOwner(), address(0), "pending owner");
        vm.assertEq(gateway.signer(), signer_, "signer");
        vm.assertEq(gateway.minimumAmount(), minimum, "minimum");
        vm.assertEq(gateway.rateCeiling(), ceiling, "rate ceiling");
        vm.assertEq(gateway.paused(), false, "paused");
        vm.assertEq(gateway.totalPayments(), 0, "payments in all");
    }

    function test_domain() public view {
        (, string memory name, string memory version, uint256 chainId, address verifier,,) = gateway.eip712Domain();
        vm.assertEq(keccak256(bytes(name)), keccak256("PaymentGateway"), "domain name");
        vm.assertEq(keccak256(bytes(version)), keccak256("1"), "domain version");
        vm.assertEq(chainId, block.chainid, "domain chain");
        vm.assertEq(verifier, address(gateway), "domain contract");
    }

    function testFuzz_reverts_whenTheTokenHasNoCode(address noToken) public {
        vm.assume(noToken.code.length == 0);
        expectInvalidAddress(noToken);
        new PaymentGateway(IERC20(noToken), treasury, owner, signer, MINIMUM, CEILING);
    }

    // One failing deployment per test: with dynamic linking, as for the mutants, a test ends at its first one.

    function test_reverts_withoutTreasury() public {
        expectInvalidAddress(address(0));
        new PaymentGateway(token, address(0), owner, signer, MINIMUM, CEILING);
    }

    function test_reverts_whenTheTreasuryIsTheToken() public {
        expectInvalidAddress(address(token));
        new PaymentGateway(token, address(token), owner, signer, MINIMUM, CEILING);
    }

    function test_reverts_whenTheTreasuryIsTheGateway() public {
        address self = next();
        expectInvalidAddress(self);
        new PaymentGateway(token, self, owner, signer, MINIMUM, CEILING);
    }

    function test_reverts_withoutOwner() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableInvalidOwner.selector, address(0)));
        new PaymentGateway(token, treasury, address(0), signer, MINIMUM, CEILING);
    }

    function test_reverts_withoutSigner() public {
        expectInvalidAddress(address(0));
        new PaymentGateway(token, treasury, owner, address(0), MINIMUM, CEILING);
    }

    function testFuzz_reverts_whenTheCeilingIsTooHigh(uint256 ceiling) public {
        ceiling = bound(ceiling, 2 ** 128, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, ceiling));
        new PaymentGateway(token, treasury, owner, signer, MINIMUM, ceiling);
    }

    /// @dev The address of the next contract this test creates.
    function next() private view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
    }
}
