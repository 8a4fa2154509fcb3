-- Groups that operators have added, which principal stands for which of their holders, and who approved a session. Every
-- `sealed` column, and `approval`, is sealed by the service; times are Unix milliseconds.

CREATE TABLE known_groups (
    number   INTEGER PRIMARY KEY,
    group_fp BLOB    NOT NULL UNIQUE,                               -- G
    added_at INTEGER NOT NULL,
    sealed   BLOB    NOT NULL                                       -- header and sealed secret
) STRICT;

CREATE TABLE group_members (
    group_fp  BLOB    NOT NULL REFERENCES known_groups (group_fp) ON DELETE CASCADE,
    x         INTEGER NOT NULL CHECK (x BETWEEN 1 AND 255),
    principal BLOB    NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    bound     BLOB    NOT NULL,                                     -- keyed hash of the three
    PRIMARY KEY (group_fp, x)
) STRICT, WITHOUT ROWID;

-- Whoever held two Tocs of a group would be two of its players.
CREATE UNIQUE INDEX group_members_once ON group_members (group_fp, principal);

CREATE INDEX group_members_of ON group_members (principal);

-- Of Tocs that came with a login: keyed hash of session and principal, and whose approval it is.
ALTER TABLE tocs ADD COLUMN approver BLOB;

ALTER TABLE tocs ADD COLUMN approval BLOB;

-- Nobody approves twice, under whatever names.
CREATE UNIQUE INDEX tocs_approver ON tocs (session, approver) WHERE approver IS NOT NULL;
