// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {BlockList} from "./BlockList.sol";
import {IPaymentGateway} from "./IPaymentGateway.sol";

/// @title PaymentGateway
/// @notice See {IPaymentGateway}, which documents units, guarantees and assumptions.
contract PaymentGateway is IPaymentGateway, Ownable2Step, EIP712, Pausable, ReentrancyGuardTransient, Multicall {
    using BlockList for BlockList.List;
    using SafeERC20 for IERC20;

    bytes32 private constant QUOTE_TYPEHASH =
        keccak256("Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)");
    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(address wallet,bytes32 customerId,uint256 deadline)");

    /// @dev Millionths of a cent in a cent, times base units in a whole token.
    uint256 private constant CEILING_SCALE = 1e6 * 1e18;

    /// @inheritdoc IPaymentGateway
    IERC20 public immutable token;
    /// @inheritdoc IPaymentGateway
    address public immutable treasury;

    /// @inheritdoc IPaymentGateway
    address public signer;
    /// @inheritdoc IPaymentGateway
    uint256 public minimumAmount;
    /// @inheritdoc IPaymentGateway
    uint256 public rateCeiling;
    /// @inheritdoc IPaymentGateway
    mapping(address wallet => bytes32) public customerOf;

    BlockList.List private _payments;
    mapping(bytes32 customerId => BlockList.List) private _paymentsOf;

    constructor(
        IERC20 token_,
        address treasury_,
        address owner_,
        address signer_,
        uint256 minimumAmount_,
        uint256 rateCeiling_
    ) Ownable(owner_) EIP712("PaymentGateway", "1") {
        require(address(token_).code.length > 0, InvalidAddress(address(token_)));
        require(
            treasury_ != address(0) && treasury_ != address(token_) && treasury_ != address(this),
            InvalidAddress(treasury_)
        );

        token = token_;
        treasury = treasury_;
        _setSigner(signer_);
        _setMinimumAmount(minimumAmount_);
        _setRateCeiling(rateCeiling_);
    }

    /// @inheritdoc IPaymentGateway
    function pay(address wallet, uint256 amount) external whenNotPaused nonReentrant {
        bytes32 customerId = _registeredCustomerOf(wallet);

        uint256 sequence = paymentCount(customerId);
        _remember(customerId);

        uint256 received = _collect(amount);
        // A surplus can only be another payer's payment, made while the token had control.
        require(received <= amount, ReceivedOther(received, amount));
        _requireMinimum(received);

        // Emitted after the transfer because it carries the received amount; `nonReentrant` makes that safe.
        emit Payment(customerId, wallet, msg.sender, sequence, received, 0);
    }

    /// @inheritdoc IPaymentGateway
    function payQuoted(address wallet, uint256 amount, uint256 cents, uint256 deadline, bytes calldata signature)
        external
        whenNotPaused
        nonReentrant
    {
        bytes32 customerId = _registeredCustomerOf(wallet);
        uint256 sequence = paymentCount(customerId);
        bytes32 quote = keccak256(abi.encode(QUOTE_TYPEHASH, wallet, sequence, amount, cents, deadline));
        _requireSigned(quote, deadline, signature);
        _requireBelowCeiling(cents, amount);
        _requireMinimum(amount);

        _remember(customerId);

        uint256 received = _collect(amount);
        require(received == amount, ReceivedOther(received, amount));

        emit Payment(customerId, wallet, msg.sender, sequence, amount, cents);
    }

    /// @inheritdoc IPaymentGateway
    function register(address wallet, bytes32 customerId, uint256 deadline, bytes calldata signature) external {
        _requireCustomerId(customerId);
        bytes32 present = customerOf[wallet];
        if (present == customerId) return;
        require(present == 0, AlreadyRegistered(wallet, present));
        _requireSigned(keccak256(abi.encode(REGISTRATION_TYPEHASH, wallet, customerId, deadline)), deadline, signature);

        _setCustomer(wallet, customerId);
    }

    /// @inheritdoc IPaymentGateway
    function permit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
    }

    /// @inheritdoc IPaymentGateway
    function multicall(bytes[] calldata calls)
        public
        override(IPaymentGateway, Multicall)
        returns (bytes[] memory results)
    {
        return super.multicall(calls);
    }

    /// @inheritdoc IPaymentGateway
    function owner() public view override(IPaymentGateway, Ownable) returns (address) {
        return super.owner();
    }

    /// @inheritdoc IPaymentGateway
    function paused() public view override(IPaymentGateway, Pausable) returns (bool) {
        return super.paused();
    }

    /// @inheritdoc IPaymentGateway
    function totalPayments() external view returns (uint256) {
        return _payments.count();
    }

    /// @inheritdoc IPaymentGateway
    function paymentCount(bytes32 customerId) public view returns (uint256) {
        return _paymentsOf[customerId].count();
    }

    /// @inheritdoc IPaymentGateway
    function paymentBlocks(uint256 from, uint256 to) external view returns (uint64[] memory) {
        return _payments.slice(from, to);
    }

    /// @inheritdoc IPaymentGateway
    function paymentBlocksOf(bytes32 customerId, uint256 from, uint256 to) external view returns (uint64[] memory) {
        return _paymentsOf[customerId].slice(from, to);
    }

    /// @inheritdoc IPaymentGateway
    function setSigner(address newSigner) external onlyOwner {
        _setSigner(newSigner);
    }

    /// @inheritdoc IPaymentGateway
    function setMinimumAmount(uint256 newMinimumAmount) external onlyOwner {
        _setMinimumAmount(newMinimumAmount);
    }

    /// @inheritdoc IPaymentGateway
    function setRateCeiling(uint256 newRateCeiling) external onlyOwner {
        _setRateCeiling(newRateCeiling);
    }

    /// @inheritdoc IPaymentGateway
    function pause() external onlyOwner {
        _pause();
    }

    /// @inheritdoc IPaymentGateway
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @inheritdoc IPaymentGateway
    function correctCustomer(address wallet, bytes32 customerId) external onlyOwner {
        _requireCustomerId(customerId);
        _setCustomer(wallet, customerId);
    }

    function _setSigner(address newSigner) private {
        require(newSigner != address(0), InvalidAddress(newSigner));
        signer = newSigner;
        emit SignerSet(newSigner);
    }

    function _setMinimumAmount(uint256 newMinimumAmount) private {
        minimumAmount = newMinimumAmount;
        emit MinimumAmountSet(newMinimumAmount);
    }

    function _setRateCeiling(uint256 newRateCeiling) private {
        rateCeiling = SafeCast.toUint128(newRateCeiling);
        emit RateCeilingSet(newRateCeiling);
    }

    function _setCustomer(address wallet, bytes32 customerId) private {
        customerOf[wallet] = customerId;
        emit CustomerRegistered(wallet, customerId);
    }

    /// @dev Appends this block to both indices.
    function _remember(bytes32 customerId) private {
        _payments.push();
        _paymentsOf[customerId].push();
    }

    /// @dev Transfers `amount` from the caller to the treasury and returns the amount received.
    function _collect(uint256 amount) private returns (uint256 received) {
        uint256 before = token.balanceOf(treasury);
        token.safeTransferFrom(msg.sender, treasury, amount);
        return token.balanceOf(treasury) - before;
    }

    function _registeredCustomerOf(address wallet) private view returns (bytes32 customerId) {
        customerId = customerOf[wallet];
        require(customerId != 0, NotRegistered(wallet));
    }

    function _requireSigned(bytes32 structHash, uint256 deadline, bytes calldata signature) private view {
        // A sequencer clock that is off by seconds extends a quote of minutes by as much, which is harmless.
        // slither-disable-next-line timestamp
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
        // The third value details the error; all errors revert alike.
        // slither-disable-next-line unused-return
        (address recovered, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
        require(err == ECDSA.RecoverError.NoError && recovered == signer, InvalidSignature());
    }

    function _requireBelowCeiling(uint256 cents, uint256 amount) private view {
        // Rounding down is exact, since cents are whole. Saturating avoids a bare overflow panic for implausible
        // amounts.
        uint256 ceiling = Math.saturatingMul(amount, rateCeiling) / CEILING_SCALE;
        require(0 < cents && cents <= ceiling, AboveRateCeiling(cents, amount));
    }

    function _requireMinimum(uint256 amount) private view {
        uint256 minimum = minimumAmount;
        require(amount >= minimum, BelowMinimum(amount, minimum));
    }

    /// @dev Requires `cus_`, then letters and digits, then only zero bytes.
    function _requireCustomerId(bytes32 customerId) private pure {
        // forge-lint: disable-next-line(unsafe-typecast) -- only the first four bytes are needed
        require(bytes4(customerId) == "cus_" && _isAlphanumeric(customerId[4]), InvalidCustomerId(customerId));

        uint256 end = 5;
        while (end < 32 && _isAlphanumeric(customerId[end])) ++end;
        require(customerId << (8 * end) == 0, InvalidCustomerId(customerId));
    }

    function _isAlphanumeric(bytes1 char) private pure returns (bool) {
        return (char >= "0" && char <= "9") || (char >= "A" && char <= "Z") || (char >= "a" && char <= "z");
    }
}
