-- Sessions and what belongs to them. Every `sealed` column is sealed by the service; times are Unix milliseconds.
--
-- A session's id is random, so that rows kept in its order would each dirty a page of their own. What belongs to a session
-- is therefore kept in the order of its number, which never leaves the store.

CREATE TABLE sessions (
    number        INTEGER PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
    purpose       INTEGER NOT NULL CHECK (purpose IN (0, 1)),       -- 0 code, 1 redeal
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ends_at       INTEGER NOT NULL,                                 -- expires_at, or ttl after the first code
    ttl           INTEGER NOT NULL,                                 -- seconds
    source        BLOB    NOT NULL,
    group_fp      BLOB,
    cancel_hash   BLOB    NOT NULL,
    view_hash     BLOB    NOT NULL,
    max_codes     INTEGER,
    sealed        BLOB    NOT NULL,
    first_code_at INTEGER,
    last_step     INTEGER,
    codes         INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    closed_at     INTEGER,
    closed_as     TEXT    CHECK (closed_as IN ('cancelled', 'expired', 'exhausted', 'redealt')),
    CHECK ((closed_at IS NULL) = (closed_as IS NULL))
) STRICT;

CREATE INDEX sessions_to_expire ON sessions (ends_at) WHERE closed_at IS NULL;
CREATE INDEX sessions_to_delete ON sessions (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE tocs (
    session    INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    digest     BLOB    NOT NULL,
    x          INTEGER CHECK (x BETWEEN 1 AND 255),
    proved     INTEGER NOT NULL CHECK (proved IN (0, 1)),
    at         INTEGER NOT NULL,
    arrival    INTEGER NOT NULL,                                    -- order within the session
    sealed     BLOB    NOT NULL,
    PRIMARY KEY (session, digest),
    CHECK (proved = 0 OR x IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX tocs_slot ON tocs (session, x) WHERE proved = 1;

CREATE TABLE denials (
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    x       INTEGER NOT NULL CHECK (x BETWEEN 1 AND 255),
    at      INTEGER NOT NULL,
    PRIMARY KEY (session, x)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE used (
    digest     BLOB    PRIMARY KEY NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX used_to_forget ON used (expires_at);

CREATE TABLE redeals (
    session      INTEGER PRIMARY KEY REFERENCES sessions (number) ON DELETE CASCADE,
    old_group    BLOB,
    new_group    BLOB    NOT NULL,
    threshold    INTEGER NOT NULL CHECK (threshold BETWEEN 1 AND 255),
    at           INTEGER NOT NULL,
    sealed       BLOB    NOT NULL,
    completed_at INTEGER
) STRICT;

CREATE TABLE redeal_tocs (
    session     INTEGER NOT NULL REFERENCES redeals (session) ON DELETE CASCADE,
    x           INTEGER NOT NULL CHECK (x BETWEEN 1 AND 255),
    sealed      BLOB    NOT NULL,
    received_at INTEGER,
    PRIMARY KEY (session, x)
) STRICT;

-- Outlives the session that refused the group.
CREATE TABLE refused_groups (
    group_fp   BLOB    PRIMARY KEY NOT NULL,
    at         INTEGER NOT NULL,
    session_id TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
    source BLOB    PRIMARY KEY NOT NULL,
    open   INTEGER NOT NULL CHECK (open > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
