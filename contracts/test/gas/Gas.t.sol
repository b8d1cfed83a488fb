// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GatewayTest} from "../GatewayTest.sol";
import {PeerGateway} from "./PeerGateway.sol";

/// @notice Measures whole EVM transactions, including the base of 21,000 and the calldata. Runs isolated (profile
/// `gas`), so that every call of a test is its own EVM transaction, and writes `snapshots/`, which `make check`
/// compares.
/// @dev The treasury holds tokens before and the payer after: no balance slot is created or cleared. The payment's name
/// states the allowance: `exact` is used up by it, `more` is not, `unlimited` is not written at all.
contract GasTest is GatewayTest {
    uint256 private constant AMOUNT = 8_333_333333333333333334; // 50 dollars at 0.006
    uint256 private constant CENTS = 5_000;
    uint256 private constant DEADLINE = 1_800_000_300;

    uint256 private constant WINDOW = 10;
    uint256 private constant CYCLE = 6;

    PeerGateway private peer;
    bytes[] private calls;

    function setUp() public override {
        super.setUp();
        peer = new PeerGateway(token, treasury);
        token.mint(treasury, FUNDS);
        approve(address(gateway), 0);
    }

    function test_token() public {
        vm.prank(payer);
        token.transfer(treasury, AMOUNT);
        vm.snapshotGasLastCall("token", "transfer");
        approve(address(gateway), AMOUNT);
        vm.snapshotGasLastCall("token", "approve");
    }

    function test_peer() public {
        measurePeer("pay, exact allowance", AMOUNT);
        measurePeer("pay, more allowance", FUNDS);
        measurePeer("pay, unlimited allowance", type(uint256).max);
    }

    function test_firstPayments() public {
        approve(address(gateway), AMOUNT);
        plain();
        vm.snapshotGasLastCall("gateway", "pay, first of a customer and of the gateway");
        enroll(gateway, other, BOB);
        vm.snapshotGasLastCall("gateway", "register");
        approve(address(gateway), AMOUNT);
        bytes memory signature = signQuote(other, 0, AMOUNT, CENTS, DEADLINE);
        vm.prank(payer);
        gateway.payQuoted(other, AMOUNT, CENTS, DEADLINE, signature);
        vm.snapshotGasLastCall("gateway", "payQuoted, first of a customer");
    }

    function test_firstPaymentWithRegistrationAndPermit() public {
        warmUp();
        bytes memory statement = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        bytes memory signature = signQuote(other, 0, AMOUNT, CENTS, DEADLINE);
        bytes memory register = abi.encodeCall(gateway.register, (other, BOB, DEADLINE, statement));
        bytes memory pay = abi.encodeCall(gateway.payQuoted, (other, AMOUNT, CENTS, DEADLINE, signature));

        addPermit();
        calls.push(register);
        calls.push(pay);
        vm.prank(payer);
        gateway.multicall(calls);
        vm.snapshotGasLastCall("gateway", "multicall of permit, register and payQuoted");
    }

    function test_firstPaymentWithRegistration() public {
        warmUp();
        approve(address(gateway), AMOUNT);
        bytes memory statement = signRegistration(SIGNER_KEY, gateway, other, BOB, DEADLINE);
        bytes memory signature = signQuote(other, 0, AMOUNT, CENTS, DEADLINE);
        calls.push(abi.encodeCall(gateway.register, (other, BOB, DEADLINE, statement)));
        calls.push(abi.encodeCall(gateway.payQuoted, (other, AMOUNT, CENTS, DEADLINE, signature)));
        vm.prank(payer);
        gateway.multicall(calls);
        vm.snapshotGasLastCall("gateway", "multicall of register and payQuoted");
    }

    function test_knownCustomer_exactAllowance() public {
        measureTens("exact allowance", AMOUNT);
    }

    function test_knownCustomer_moreAllowance() public {
        measureTens("more allowance", FUNDS);
    }

    function test_knownCustomer_unlimitedAllowance() public {
        measureTens("unlimited allowance", type(uint256).max);
    }

    /// @dev Sets up a customer and a gateway with an earlier payment.
    function warmUp() private {
        approve(address(gateway), AMOUNT);
        plain();
    }

    /// @dev The mean of ten in a row depends on where the ten begin: every sixth payment fills a word of an index, and
    /// here both indices fill at the same payment. So all windows of ten are measured; `allowance` before each payment.
    function measureTens(string memory kind, uint256 allowance) private {
        uint256[] memory plainly = new uint256[](WINDOW + CYCLE);
        uint256[] memory quotedly = new uint256[](WINDOW + CYCLE);
        warmUp();
        uint256 start = vm.snapshotState();
        for (uint256 i = 0; i < plainly.length; ++i) {
            approve(address(gateway), allowance);
            plainly[i] = plain();
        }
        vm.revertToState(start);
        for (uint256 i = 0; i < quotedly.length; ++i) {
            approve(address(gateway), allowance);
            quotedly[i] = quoted();
        }
        snapshotMeans(string.concat("pay, ", kind), plainly);
        snapshotMeans(string.concat("payQuoted, ", kind), quotedly);
    }

    function snapshotMeans(string memory name, uint256[] memory costs) private {
        (uint256 least, uint256 most, uint256 dearest) = (type(uint256).max, 0, 0);
        for (uint256 start = 0; start < CYCLE; ++start) {
            uint256 sum;
            for (uint256 i = start; i < start + WINDOW; ++i) {
                sum += costs[i];
                if (costs[i] > dearest) dearest = costs[i];
            }
            if (sum < least) least = sum;
            if (sum > most) most = sum;
        }
        vm.snapshotValue("known", string.concat(name, ", least mean of ten"), least / WINDOW);
        vm.snapshotValue("known", string.concat(name, ", greatest mean of ten"), most / WINDOW);
        vm.snapshotValue("known", string.concat(name, ", dearest single one"), dearest);
        vm.snapshotValue("known", string.concat(name, ", usual single one"), costs[0]);
    }

    function measurePeer(string memory name, uint256 allowance) private {
        approve(address(peer), allowance);
        vm.prank(payer);
        peer.pay(AMOUNT, wallet);
        vm.snapshotGasLastCall("peer", name);
    }

    function plain() private returns (uint256) {
        pay(AMOUNT);
        return vm.lastCallGas().gasTotalUsed;
    }

    function quoted() private returns (uint256) {
        payQuote(AMOUNT, CENTS);
        return vm.lastCallGas().gasTotalUsed;
    }

    function approve(address spender, uint256 amount) private {
        vm.prank(payer);
        token.approve(spender, amount);
    }

    function addPermit() private {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, payer, address(gateway), AMOUNT, 0, DEADLINE));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, digest);
        calls.push(abi.encodeCall(gateway.permit, (AMOUNT, DEADLINE, v, r, s)));
    }
}
