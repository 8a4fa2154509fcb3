//! The Merkle tree of RFC 6962 §2.1 over the leaves, kept as its frontier: the roots of the perfect subtrees that it is made of,
//! one for each 1 in its size. A leaf costs as many hashes as subtrees become one, and the root as many as there are.

use crate::encoding::sha256;

/// A node of the tree, or a leaf's hash.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// The hash of a node above two others.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// What must be known of a tree to grow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The largest subtree first.
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves from its bytes; `None` when they are not as many as it has.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let nodes: Vec<Hash> = bytes.chunks(32).map(|node| node.try_into().ok()).collect::<Option<_>>()?;
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Its nodes one after the other, 32 bytes each, the largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.concat()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.nodes.pop().expect("there is a node for each 1 in the size");
            node = node_hash(&left, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The hash of the whole tree.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return sha256(&[]) };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As RFC 6962 says it, top down.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[b""]),
            [leaf] => *leaf,
            _ => {
                let left = 1 << (leaves.len() - 1).ilog2();
                node_hash(&naive(&leaves[..left]), &naive(&leaves[left..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn the_empty_tree_is_the_hash_of_nothing() {
        let root = Frontier::default().root();
        assert_eq!(hex::encode(root), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex::encode(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    proptest! {
        #[test]
        fn a_frontier_grows_to_the_root_of_all_leaves(count in 0usize..300, cut in 0usize..300) {
            let leaves = leaves(count);
            let mut frontier = Frontier::default();
            for (number, leaf) in leaves.iter().enumerate() {
                if number == cut {
                    // Kept and read again in between.
                    frontier = Frontier::from_bytes(frontier.size(), &frontier.to_bytes()).expect("its own bytes");
                }
                frontier.push(*leaf);
            }
            prop_assert_eq!(frontier.size(), count as u64);
            prop_assert_eq!(frontier.root(), naive(&leaves));
        }

        #[test]
        fn a_frontier_of_another_size_is_none(count in 0u64..300, other in 0u64..300) {
            let mut frontier = Frontier::default();
            (0..count).for_each(|_| frontier.push([7; 32]));
            let read = Frontier::from_bytes(other, &frontier.to_bytes());
            prop_assert_eq!(read.is_some(), other.count_ones() == count.count_ones());
            let mut bytes = frontier.to_bytes();
            bytes.push(0);
            prop_assert_eq!(Frontier::from_bytes(count, &bytes), None);
        }
    }
}
