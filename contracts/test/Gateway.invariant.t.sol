// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PaymentGateway} from "../src/PaymentGateway.sol";
import {TestToken} from "../src/TestToken.sol";
import {GatewayTest} from "./GatewayTest.sol";

/// @notice Everybody who may do something to a gateway, doing it in any order, and a model of what must follow.
contract Actors is GatewayTest {
    bytes32[2] private customers = [ALICE, BOB];
    address[3] private wallets = [wallet, other, payer];

    uint256 public paid;
    uint64[] public blocks;
    mapping(bytes32 customerId => uint64[]) private _blocksOf;

    constructor() {
        setUp();
    }

    function blocksOf(bytes32 customerId) external view returns (uint64[] memory) {
        return _blocksOf[customerId];
    }

    function allBlocks() external view returns (uint64[] memory) {
        return blocks;
    }

    function passTime(uint8 number) external {
        vm.roll(block.number + number);
        vm.warp(block.timestamp + uint256(number) / 5);
    }

    function registerOrCorrect(uint8 which, bool bob) external {
        address whose = wallets[which % 3];
        bytes32 customerId = customers[bob ? 1 : 0];
        if (gateway.customerOf(whose) == 0) {
            enroll(gateway, whose, customerId);
        } else {
            vm.prank(owner);
            gateway.correctCustomer(whose, customerId);
        }
    }

    function payPlain(uint8 which, uint256 amount) external {
        address whose = wallets[which % 3];
        if (!canPay(whose)) return;
        amount = bound(amount, MINIMUM, 1e24);
        note(whose, amount);
        vm.prank(payer);
        gateway.pay(whose, amount);
    }

    function payWithQuote(uint8 which, uint256 amount, uint256 cents) external {
        address whose = wallets[which % 3];
        if (!canPay(whose)) return;
        amount = bound(amount, MINIMUM, 1e24);
        cents = bound(cents, 1, amount / 1e18);
        uint256 sequence = gateway.paymentCount(gateway.customerOf(whose));
        bytes memory signature = signQuote(whose, sequence, amount, cents, block.timestamp);
        note(whose, amount);
        vm.prank(payer);
        gateway.payQuoted(whose, amount, cents, block.timestamp, signature);
    }

    function payTwiceInOneBlock(uint8 which, uint256 amount) external {
        address whose = wallets[which % 3];
        if (!canPay(whose)) return;
        amount = bound(amount, MINIMUM, 1e24);
        bytes[] memory calls = new bytes[](2);
        calls[0] = calls[1] = abi.encodeCall(gateway.pay, (whose, amount));
        note(whose, amount);
        note(whose, amount);
        vm.prank(payer);
        gateway.multicall(calls);
    }

    function pauseOrUnpause() external {
        bool paused = gateway.paused();
        vm.prank(owner);
        if (paused) gateway.unpause();
        else gateway.pause();
    }

    function canPay(address whose) private view returns (bool) {
        return !gateway.paused() && gateway.customerOf(whose) != 0;
    }

    function note(address whose, uint256 amount) private {
        paid += amount;
        blocks.push(uint64(block.number));
        _blocksOf[gateway.customerOf(whose)].push(uint64(block.number));
    }

    function deployed() external view returns (PaymentGateway, TestToken) {
        return (gateway, token);
    }
}

contract GatewayInvariants is GatewayTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Actors private actors;

    function setUp() public override {
        actors = new Actors();
        (gateway, token) = actors.deployed();
    }

    /// @dev forge asks here what it may call.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = Actors.passTime.selector;
        selectors[1] = Actors.registerOrCorrect.selector;
        selectors[2] = Actors.payPlain.selector;
        selectors[3] = Actors.payWithQuote.selector;
        selectors[4] = Actors.payTwiceInOneBlock.selector;
        selectors[5] = Actors.pauseOrUnpause.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_tokensGoFromPayerToTreasuryAndNowhereElse() external view {
        vm.assertEq(token.balanceOf(treasury), actors.paid(), "treasury received");
        vm.assertEq(token.balanceOf(payer), FUNDS - actors.paid(), "payer gave");
        vm.assertEq(token.balanceOf(address(gateway)), 0, "gateway holds nothing");
    }

    function invariant_theIndexHoldsEveryPayment() external view {
        uint64[] memory expected = actors.allBlocks();
        vm.assertEq(gateway.totalPayments(), expected.length, "payments in all");
        vm.assertEq(
            keccak256(abi.encode(gateway.paymentBlocks(0, expected.length))), keccak256(abi.encode(expected)), "blocks"
        );
    }

    function invariant_theIndexHoldsEveryPaymentOfEachCustomer() external view {
        checkCustomer(ALICE);
        checkCustomer(BOB);
        vm.assertEq(gateway.paymentCount(ALICE) + gateway.paymentCount(BOB), gateway.totalPayments(), "sum of counts");
    }

    function checkCustomer(bytes32 customerId) private view {
        uint64[] memory expected = actors.blocksOf(customerId);
        uint256 count = gateway.paymentCount(customerId);
        vm.assertEq(count, expected.length, "count");
        vm.assertEq(
            keccak256(abi.encode(gateway.paymentBlocksOf(customerId, 0, count))),
            keccak256(abi.encode(expected)),
            "blocks of the customer"
        );
    }
}
