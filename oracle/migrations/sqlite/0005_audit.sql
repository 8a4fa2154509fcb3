-- The audit log: events that wait for their number, events that have one, and the signed heads of the tree that they make.
-- Every `sealed` column is sealed by the service, in the log for the number of its row. Rows are never changed or removed.

-- Written with the act that they tell of. Whoever numbers them takes those that are there, in this order.
CREATE TABLE audit_pending (
    number INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL,                                        -- 16 random bytes
    sealed BLOB    NOT NULL
) STRICT;

CREATE TABLE audit_log (
    number INTEGER PRIMARY KEY,                                     -- 1, 2, 3 without gaps
    hash   BLOB    NOT NULL,                                        -- of the leaf
    sealed BLOB    NOT NULL                                         -- the leaf
) STRICT;

-- Each goes on from another: of two that go on from the same one, the second is not written.
CREATE TABLE audit_checkpoints (
    size     INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL UNIQUE,
    frontier BLOB    NOT NULL,                                      -- what the tree grows on from; empty but in the newest
    note     BLOB    NOT NULL
) STRICT;
