// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {BlockList} from "../src/BlockList.sol";
import {IPaymentGateway} from "../src/IPaymentGateway.sol";
import {PaymentGateway} from "../src/PaymentGateway.sol";
import {TestToken} from "../src/TestToken.sol";
import {Vm} from "./Vm.sol";

/// @notice Test base: a gateway with a token, accounts and a signer, plus helpers for actions and expectations.
abstract contract GatewayTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 internal constant ALICE = "cus_Alice0000000001";
    bytes32 internal constant BOB = "cus_Bob00000000002";

    uint256 internal constant SIGNER_KEY = 0x51611e5;
    uint256 internal constant PAYER_KEY = 0xba4e5;
    uint256 internal constant SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    uint256 internal constant MINIMUM = 1e18;
    uint256 internal constant CEILING = 1e6; // one cent per whole token
    uint256 internal constant FUNDS = 1e30;

    address internal immutable owner = account("owner");
    address internal immutable treasury = account("treasury");
    address internal immutable wallet = account("wallet");
    address internal immutable other = account("other");
    address internal immutable signer = vm.addr(SIGNER_KEY);
    address internal immutable payer = vm.addr(PAYER_KEY);

    TestToken internal token;
    PaymentGateway internal gateway;

    struct Balances {
        uint256 payer;
        uint256 treasury;
        uint256 gateway;
    }

    function setUp() public virtual {
        vm.roll(30_000_000);
        vm.warp(1_800_000_000);
        token = new TestToken();
        gateway = deploy(token);
        vm.label(address(token), "token");
        vm.label(address(gateway), "gateway");
        vm.label(payer, "payer");

        token.mint(payer, FUNDS);
        vm.prank(payer);
        token.approve(address(gateway), type(uint256).max);
        enroll(gateway, wallet, ALICE);
    }

    function account(string memory name) internal returns (address made) {
        made = vm.addr(uint256(keccak256(bytes(name))) % (SECP256K1_ORDER - 1) + 1);
        vm.label(made, name);
    }

    function deploy(IERC20 anyToken) internal returns (PaymentGateway) {
        return new PaymentGateway(anyToken, treasury, owner, signer, MINIMUM, CEILING);
    }

    /// @dev Deploys a gateway on a misbehaving token, with a funded payer and an allowance.
    function deployHostile(IERC20 hostile) internal {
        gateway = deploy(hostile);
        (bool minted,) = address(hostile).call(abi.encodeCall(TestToken.mint, (payer, FUNDS)));
        vm.assertTrue(minted, "hostile token minted");
        vm.prank(payer);
        (bool approved,) = address(hostile).call(abi.encodeCall(IERC20.approve, (address(gateway), type(uint256).max)));
        vm.assertTrue(approved, "hostile token approved");
        enroll(gateway, wallet, ALICE);
    }

    function enroll(PaymentGateway where, address whose, bytes32 customerId) internal {
        bytes memory signature = signRegistration(SIGNER_KEY, where, whose, customerId, block.timestamp);
        where.register(whose, customerId, block.timestamp, signature);
    }

    // Signatures, computed independently of the contract's own hashing.

    function domainSeparator(address verifier, uint256 chain) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("PaymentGateway"),
                keccak256("1"),
                chain,
                verifier
            )
        );
    }

    function signStruct(uint256 key, address verifier, uint256 chain, bytes32 structHash)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domainSeparator(verifier, chain), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function quoteHash(address whose, uint256 sequence, uint256 amount, uint256 cents, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                keccak256("Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)"),
                whose,
                sequence,
                amount,
                cents,
                deadline
            )
        );
    }

    /// @dev Signs a quote for the gateway under test.
    function signQuote(address whose, uint256 sequence, uint256 amount, uint256 cents, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        bytes32 structHash = quoteHash(whose, sequence, amount, cents, deadline);
        return signStruct(SIGNER_KEY, address(gateway), block.chainid, structHash);
    }

    function registrationHash(address whose, bytes32 customerId, uint256 deadline) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("Registration(address wallet,bytes32 customerId,uint256 deadline)"),
                whose,
                customerId,
                deadline
            )
        );
    }

    function signRegistration(uint256 key, PaymentGateway where, address whose, bytes32 customerId, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        bytes32 structHash = registrationHash(whose, customerId, deadline);
        return signStruct(key, address(where), block.chainid, structHash);
    }

    /// @dev Returns the malleated signature (high s), which lenient verifiers recover to the same key.
    function malleated(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, bytes32(SECP256K1_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    // Actions

    function pay(uint256 amount) internal {
        vm.prank(payer);
        gateway.pay(wallet, amount);
    }

    function payQuote(uint256 amount, uint256 cents) internal {
        bytes memory signature = signQuote(wallet, gateway.paymentCount(ALICE), amount, cents, block.timestamp);
        vm.prank(payer);
        gateway.payQuoted(wallet, amount, cents, block.timestamp, signature);
    }

    // Expectations

    function expectPayment(uint256 sequence, uint256 amount, uint256 cents) internal {
        vm.expectEmit(address(gateway));
        emit IPaymentGateway.Payment(ALICE, wallet, payer, sequence, amount, cents);
    }

    function expectNotRegistered(address whose) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.NotRegistered.selector, whose));
    }

    function expectAlreadyRegistered(address whose, bytes32 customerId) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.AlreadyRegistered.selector, whose, customerId));
    }

    function expectInvalidCustomerId(bytes32 customerId) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.InvalidCustomerId.selector, customerId));
    }

    function expectBelowMinimum(uint256 amount, uint256 minimum) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.BelowMinimum.selector, amount, minimum));
    }

    function expectDeadlinePassed(uint256 deadline) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.DeadlinePassed.selector, deadline));
    }

    function expectInvalidSignature() internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.InvalidSignature.selector));
    }

    function expectAboveRateCeiling(uint256 cents, uint256 amount) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.AboveRateCeiling.selector, cents, amount));
    }

    function expectReceivedOther(uint256 received, uint256 amount) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.ReceivedOther.selector, received, amount));
    }

    function expectInvalidAddress(address bad) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentGateway.InvalidAddress.selector, bad));
    }

    function expectOutOfRange(uint256 from, uint256 to, uint256 count) internal {
        vm.expectRevert(abi.encodeWithSelector(BlockList.OutOfRange.selector, from, to, count));
    }

    function expectInsufficientAllowance(uint256 allowance, uint256 needed) internal {
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(gateway), allowance, needed
            )
        );
    }

    function balances() internal view returns (Balances memory) {
        IERC20 paid = gateway.token();
        return Balances(paid.balanceOf(payer), paid.balanceOf(treasury), paid.balanceOf(address(gateway)));
    }

    function assertMoved(Balances memory before, uint256 amount) internal view {
        Balances memory present = balances();
        vm.assertEq(before.payer - present.payer, amount, "payer gave");
        vm.assertEq(present.treasury - before.treasury, amount, "treasury received");
        vm.assertEq(present.gateway, 0, "gateway holds nothing");
    }

    function assertPayments(uint256 ofAlice, uint256 total) internal view {
        vm.assertEq(gateway.paymentCount(ALICE), ofAlice, "payments of Alice");
        vm.assertEq(gateway.totalPayments(), total, "payments in all");
    }

    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 size = high - low + 1;
        return size == 0 ? x : low + x % size;
    }
}
