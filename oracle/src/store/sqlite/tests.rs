//! What only the embedded engine promises.
