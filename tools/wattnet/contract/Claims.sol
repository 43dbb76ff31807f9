// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Pays what wattnet settled: one Merkle root per epoch, funded in full when it is posted, claimed once per account.
/// Leaves and proofs are as OpenZeppelin's MerkleProof takes them: leaf = keccak256(keccak256(abi.encode(epoch, account,
/// points))), an inner node is keccak256 over its two children in ascending order. A leaf is hashed twice, so that no inner
/// node is one.
contract Claims {
    struct Epoch {
        bytes32 root;
        uint256 unclaimed; // points; a root that promises more than was funded pays no more than this
    }

    address public immutable operator;
    uint256 public immutable weiPerPoint;
    uint256 public owedPoints; // of all epochs, not yet claimed
    mapping(uint256 epoch => Epoch) public epochs;
    mapping(uint256 epoch => mapping(address account => bool)) public claimed;

    event Posted(uint256 indexed epoch, bytes32 root, uint256 points);
    event Claimed(uint256 indexed epoch, address indexed account, uint256 points);

    error NotOperator();
    error EpochTaken(uint256 epoch);
    error EmptyRoot();
    error NotFunded(uint256 neededWei, uint256 heldWei);
    error UnknownEpoch(uint256 epoch);
    error AlreadyClaimed(uint256 epoch, address account);
    error BadProof();
    error OverClaimed(uint256 epoch, uint256 leftPoints);
    error PaymentFailed();

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator();
        _;
    }

    constructor(uint256 weiPerPoint_) payable {
        operator = msg.sender;
        weiPerPoint = weiPerPoint_;
    }

    /// Anyone may add to what the contract holds.
    receive() external payable {}

    /// Publish an epoch's root, once and for ever; what all epochs owe must be held by then.
    function post(uint256 epoch, bytes32 root, uint256 points) external payable onlyOperator {
        if (root == 0) revert EmptyRoot();
        if (epochs[epoch].root != 0) revert EpochTaken(epoch);
        owedPoints += points;
        uint256 needed = owedPoints * weiPerPoint;
        if (address(this).balance < needed) revert NotFunded(needed, address(this).balance);
        epochs[epoch] = Epoch(root, points);
        emit Posted(epoch, root, points);
    }

    /// Pay an account what an epoch's root holds for it. Anyone may send this; the money goes to the account.
    function claim(uint256 epoch, address payable account, uint256 points, bytes32[] calldata proof) external {
        Epoch storage posted = epochs[epoch];
        if (posted.root == 0) revert UnknownEpoch(epoch);
        if (claimed[epoch][account]) revert AlreadyClaimed(epoch, account);
        if (_climb(keccak256(bytes.concat(keccak256(abi.encode(epoch, account, points)))), proof) != posted.root) {
            revert BadProof();
        }
        if (points > posted.unclaimed) revert OverClaimed(epoch, posted.unclaimed);
        claimed[epoch][account] = true; // before the money moves: whoever is paid cannot come back in the same call
        posted.unclaimed -= points;
        owedPoints -= points;
        (bool paid,) = account.call{value: points * weiPerPoint}("");
        if (!paid) revert PaymentFailed();
        emit Claimed(epoch, account, points);
    }

    /// Give the operator back what no epoch owes.
    function withdraw(address payable to) external onlyOperator {
        (bool paid,) = to.call{value: address(this).balance - owedPoints * weiPerPoint}("");
        if (!paid) revert PaymentFailed();
    }

    function _climb(bytes32 node, bytes32[] calldata proof) private pure returns (bytes32) {
        for (uint256 step = 0; step < proof.length; step++) {
            bytes32 other = proof[step];
            node = node < other ? keccak256(bytes.concat(node, other)) : keccak256(bytes.concat(other, node));
        }
        return node;
    }
}
