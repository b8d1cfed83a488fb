// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GatewayTest} from "../GatewayTest.sol";
import {Actors} from "./Actors.sol";

/// @notice Checks every guarantee after every single call. One campaign checks them all, so that each call counts for
/// each guarantee; the label of an assertion names the broken one.
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

    /// @dev Tells forge what it may call.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[15] memory all = [
            Actors.passTime.selector,
            Actors.register.selector,
            Actors.forgeRegistration.selector,
            Actors.tryTheOwnersFunctions.selector,
            Actors.sendStraightToTheTreasury.selector,
            Actors.payPlain.selector,
            Actors.payTwiceAtOnce.selector,
            Actors.payFreshQuote.selector,
            Actors.signAQuote.selector,
            Actors.payAnyQuote.selector,
            Actors.payTheNewestQuoteAgain.selector,
            Actors.payAnAlteredQuote.selector,
            Actors.changeSigner.selector,
            Actors.changeLimits.selector,
            Actors.pauseOrUnpause.selector
        ];
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), new bytes4[](all.length + 1));
        for (uint256 i = 0; i < all.length; ++i) {
            targets[0].selectors[i] = all[i];
        }
        targets[0].selectors[all.length] = Actors.correct.selector;
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_everyPromiseHolds() external view {
        Actors.Seen[] memory seen = actors.seen();
        checkTokens(seen);
        checkIndex(seen);
        checkCustomer(seen, ALICE);
        checkCustomer(seen, BOB);
        checkPrices(seen);
        checkQuotes(seen);
        checkRegister();
    }

    /// @dev The treasury received exactly the sum of the amounts, the payer sent exactly that, the gateway holds
    /// nothing.
    function checkTokens(Actors.Seen[] memory seen) private view {
        uint256 sum = actors.straight();
        for (uint256 i = 0; i < seen.length; ++i) {
            vm.assertEq(seen[i].payer, payer, "the event names who paid");
            sum += seen[i].amount;
        }
        vm.assertEq(token.balanceOf(treasury), sum, "treasury received");
        vm.assertEq(token.balanceOf(payer), FUNDS - sum, "payer gave");
        vm.assertEq(token.balanceOf(address(gateway)), 0, "gateway holds nothing");
    }

    /// @dev The index of all payments equals the logs.
    function checkIndex(Actors.Seen[] memory seen) private view {
        vm.assertEq(gateway.totalPayments(), seen.length, "payments in all");
        uint64[] memory blocks = gateway.paymentBlocks(0, seen.length);
        vm.assertEq(blocks.length, seen.length, "blocks of all");
        for (uint256 i = 0; i < seen.length; ++i) {
            vm.assertEq(blocks[i], seen[i].blockNumber, "block of a payment");
        }
    }

    /// @dev A customer's sequences are 0, 1, 2, … without gaps, and the customer's index equals the logs.
    function checkCustomer(Actors.Seen[] memory seen, bytes32 customerId) private view {
        uint256 count = gateway.paymentCount(customerId);
        uint64[] memory blocks = gateway.paymentBlocksOf(customerId, 0, count);
        vm.assertEq(blocks.length, count, "blocks of the customer");
        uint256 found;
        for (uint256 i = 0; i < seen.length; ++i) {
            if (seen[i].customerId != customerId) continue;
            vm.assertEq(seen[i].sequence, found, "sequence without a gap");
            vm.assertEq(blocks[found], seen[i].blockNumber, "block of the customer's payment");
            ++found;
        }
        vm.assertEq(found, count, "payments of the customer");
    }

    /// @dev No event promises more than the ceiling in effect at that time.
    function checkPrices(Actors.Seen[] memory seen) private pure {
        for (uint256 i = 0; i < seen.length; ++i) {
            vm.assertTrue(seen[i].cents * 1e24 <= seen[i].amount * seen[i].ceiling, "below the rate ceiling");
        }
    }

    /// @dev Each quote paid at most once for its wallet's customer, and every event with cents has a quote.
    function checkQuotes(Actors.Seen[] memory seen) private view {
        uint256 quoted;
        for (uint256 i = 0; i < seen.length; ++i) {
            if (seen[i].cents > 0) ++quoted;
        }
        vm.assertEq(actors.quotesPaid(), quoted, "quoted payments are paid quotes");
        vm.assertEq(actors.paidTwice(), false, "a quote paid once");
    }

    /// @dev A wallet keeps its first customer until the owner sets another.
    function checkRegister() private view {
        address[3] memory wallets = actors.allWallets();
        for (uint256 i = 0; i < wallets.length; ++i) {
            vm.assertEq(gateway.customerOf(wallets[i]), actors.customerFrom(wallets[i]), "customer of a wallet");
        }
    }
}
