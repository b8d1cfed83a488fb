// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

import {PaymentGateway} from "../src/PaymentGateway.sol";
import {Vm} from "../test/Vm.sol";

/// @notice Deploys a gateway to the address that its code and arguments determine, unless it exists; reads everything
/// back and records it in `deployments/<chain id>.json`, which `doctor` compares with the chain. See docs/deploying.md.
/// @dev `run` in a dry run changes nothing. The sender of the EVM transaction gets no rights.
contract Deploy {
    /// @notice The deployment that the environment describes; the variables are these names in capitals.
    struct Plan {
        uint256 chainId;
        IERC20Metadata token;
        address treasury;
        address owner;
        address signer;
        uint256 minimumAmount;
        uint256 rateCeiling;
        bytes32 salt;
    }

    /// @notice Thrown when the node's chain is not CHAIN_ID.
    error WrongChain(uint256 found, uint256 expected);

    /// @notice Thrown when the deterministic deployment proxy is not on this chain.
    error NoDeployer(address deployer);

    /// @notice Thrown when TOKEN has no code, no symbol, or not 18 decimals.
    error NotAToken(address token, string reason);

    /// @notice Thrown when TREASURY is the zero address, the token or a gateway, where the tokens would be lost.
    error BadTreasury(address treasury);

    /// @notice Thrown when a value read back differs from the plan.
    error Differs(string what);

    /// @notice Thrown when the gateway's address has no code.
    error NotDeployed(address gateway);

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;

    /// @notice The deterministic deployment proxy, at the same address on every chain (github.com/Arachnid; part of
    /// Base).
    address public constant DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;

    string private constant FOLDER = "../deployments/";

    /// @notice Checks the plan and deploys the gateway unless it exists; a dry run only simulates.
    function run() external {
        Plan memory plan = fromEnvironment();
        check(plan);
        address gateway = addressOf(plan);
        if (gateway.code.length == 0) {
            vm.startBroadcast();
            deploy(plan);
            vm.stopBroadcast();
            say("would be deployed, or is when sent:", gateway);
        } else {
            say("is deployed already:", gateway);
        }
        readBack(plan);
        tell(PaymentGateway(gateway));
    }

    /// @notice Reads back what `run` deployed and records it.
    function confirm() external {
        Plan memory plan = fromEnvironment();
        check(plan);
        readBack(plan);
        record(addressOf(plan));
    }

    /// @notice Records the current state of a gateway, after an intended change: another owner or signer, a pause.
    function record(address gateway) public {
        require(gateway.code.length > 0, NotDeployed(gateway));
        string memory file = string.concat(FOLDER, vm.toString(block.chainid), ".json");
        if (!vm.exists(file)) {
            vm.writeFile(file, string.concat('{"chain_id": ', vm.toString(block.chainid), ', "gateways": {}}'));
        }
        vm.writeJson(json(PaymentGateway(gateway)), file, string.concat(".gateways.", vm.toString(gateway)));
        tell(PaymentGateway(gateway));
        log(string.concat("recorded in deployments/", vm.toString(block.chainid), ".json"));
    }

    /// @notice Rejects invalid plans before anything is sent, including mistakes that the constructor cannot detect.
    function check(Plan memory plan) public view {
        require(block.chainid == plan.chainId, WrongChain(block.chainid, plan.chainId));
        require(DEPLOYER.code.length > 0, NoDeployer(DEPLOYER));
        checkToken(plan.token);
        require(
            plan.treasury != address(0) && plan.treasury != address(plan.token) && !isGateway(plan.treasury),
            BadTreasury(plan.treasury)
        );
    }

    /// @notice The address of the plan's gateway: the same on every chain for the same code and arguments.
    function addressOf(Plan memory plan) public pure returns (address) {
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), DEPLOYER, plan.salt, keccak256(initCode(plan))));
        return address(uint160(uint256(hash)));
    }

    /// @notice Deploys through the proxy.
    function deploy(Plan memory plan) public returns (address gateway) {
        (bool done, bytes memory made) = DEPLOYER.call(abi.encodePacked(plan.salt, initCode(plan)));
        gateway = addressOf(plan);
        require(done && keccak256(made) == keccak256(abi.encodePacked(gateway)), NotDeployed(gateway));
    }

    /// @notice Compares every readable value with the plan.
    function readBack(Plan memory plan) public view {
        PaymentGateway gateway = PaymentGateway(addressOf(plan));
        require(address(gateway).code.length > 0, NotDeployed(address(gateway)));
        require(address(gateway.token()) == address(plan.token), Differs("token"));
        require(gateway.treasury() == plan.treasury, Differs("treasury"));
        require(gateway.owner() == plan.owner, Differs("owner"));
        require(gateway.pendingOwner() == address(0), Differs("pending owner"));
        require(gateway.signer() == plan.signer, Differs("signer"));
        require(gateway.minimumAmount() == plan.minimumAmount, Differs("minimum amount"));
        require(gateway.rateCeiling() == plan.rateCeiling, Differs("rate ceiling"));
        require(!gateway.paused(), Differs("paused"));
        (, string memory name, string memory version, uint256 chainId, address verifier,,) = gateway.eip712Domain();
        require(
            keccak256(bytes(name)) == keccak256("PaymentGateway") && keccak256(bytes(version)) == keccak256("1")
                && chainId == plan.chainId && verifier == address(gateway),
            Differs("EIP-712 domain")
        );
    }

    function checkToken(IERC20Metadata token) private view {
        require(address(token).code.length > 0, NotAToken(address(token), "no code"));
        try token.symbol() returns (string memory symbol) {
            require(bytes(symbol).length > 0, NotAToken(address(token), "no symbol"));
        } catch {
            revert NotAToken(address(token), "no symbol");
        }
        try token.decimals() returns (uint8 decimals) {
            require(decimals == 18, NotAToken(address(token), "other than 18 decimals"));
        } catch {
            revert NotAToken(address(token), "no decimals");
        }
    }

    /// @dev Checking existing code suffices: the new gateway's own address depends on its treasury.
    function isGateway(address account) private view returns (bool) {
        (bool answered, bytes memory count) = account.staticcall(abi.encodeCall(PaymentGateway.totalPayments, ()));
        return answered && count.length == 32;
    }

    function initCode(Plan memory plan) private pure returns (bytes memory) {
        bytes memory arguments =
            abi.encode(plan.token, plan.treasury, plan.owner, plan.signer, plan.minimumAmount, plan.rateCeiling);
        return abi.encodePacked(type(PaymentGateway).creationCode, arguments);
    }

    function fromEnvironment() private view returns (Plan memory) {
        return Plan({
            chainId: vm.envUint("CHAIN_ID"),
            token: IERC20Metadata(vm.envAddress("TOKEN")),
            treasury: vm.envAddress("TREASURY"),
            owner: vm.envAddress("OWNER"),
            signer: vm.envAddress("SIGNER"),
            minimumAmount: vm.envUint("MINIMUM_AMOUNT"),
            rateCeiling: vm.envUint("RATE_CEILING"),
            salt: vm.envOr("SALT", bytes32(0))
        });
    }

    /// @dev Large numbers are strings, because many JSON readers keep only 53 bits.
    function json(PaymentGateway gateway) private returns (string memory) {
        string memory object = vm.toString(address(gateway));
        vm.serializeAddress(object, "token", address(gateway.token()));
        vm.serializeString(object, "symbol", IERC20Metadata(address(gateway.token())).symbol());
        vm.serializeAddress(object, "treasury", gateway.treasury());
        vm.serializeAddress(object, "owner", gateway.owner());
        vm.serializeAddress(object, "signer", gateway.signer());
        vm.serializeString(object, "minimum_amount", vm.toString(gateway.minimumAmount()));
        vm.serializeString(object, "rate_ceiling", vm.toString(gateway.rateCeiling()));
        vm.serializeBool(object, "paused", gateway.paused());
        return vm.serializeBytes32(object, "code_hash", address(gateway).codehash);
    }

    function tell(PaymentGateway gateway) private view {
        IERC20Metadata token = IERC20Metadata(address(gateway.token()));
        say(string.concat("token (", token.symbol(), ")"), address(token));
        say("treasury", gateway.treasury());
        say("owner", gateway.owner());
        if (gateway.owner().code.length == 0) log("  the owner has no code: a single key, not a Safe");
        say("signer", gateway.signer());
        log(string.concat("minimum amount ", vm.toString(gateway.minimumAmount())));
        log(string.concat("rate ceiling ", vm.toString(gateway.rateCeiling())));
        if (gateway.rateCeiling() == 0) log("  a ceiling of 0: quotes are off");
        log(string.concat("code hash ", vm.toString(address(gateway).codehash)));
    }

    function say(string memory what, address who) private view {
        log(string.concat(what, " ", vm.toString(who)));
    }

    function log(string memory text) private view {
        (bool done,) = CONSOLE.staticcall(abi.encodeWithSignature("log(string)", text));
        done; // forge prints it; elsewhere the call has no effect
    }
}
