-- Apps: secrets whose codes several may read. Every `sealed` column is sealed by the service; times are Unix milliseconds.
--
-- An app is sealed under a data key of its own, and that is sealed to the public half of each who may read it. What says who
-- may (holders and grants) carries a keyed hash, so that whoever can write here can let nobody read.

-- Whoever may read apps: the key pair of an API key, or of a principal or team.
CREATE TABLE app_holders (
    number    INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE,                              -- random
    data_key  INTEGER UNIQUE REFERENCES data_keys (number),         -- of an API key: what its private half is sealed under
    principal BLOB    UNIQUE REFERENCES principals (id) ON DELETE CASCADE,
    public    BLOB    NOT NULL,
    mac       BLOB    NOT NULL,                                     -- keyed hash of what it is and of its public half
    sealed    BLOB    NOT NULL                                      -- the private half
) STRICT;

CREATE TABLE apps (
    number   INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,                               -- keyed hash of its UUID
    version  INTEGER NOT NULL,                                      -- grows whenever somebody loses a right
    revision INTEGER NOT NULL,                                      -- grows with every change
    owed     INTEGER NOT NULL,                                      -- whether it must be sealed under another data key
    added_at INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;

CREATE TABLE app_grants (
    app        INTEGER NOT NULL REFERENCES apps (number) ON DELETE CASCADE,
    holder     INTEGER NOT NULL REFERENCES app_holders (number) ON DELETE CASCADE,
    level      INTEGER NOT NULL CHECK (level BETWEEN 1 AND 3),      -- 1 code, 2 manage, 3 owner
    granted_at INTEGER NOT NULL,
    sealed_key BLOB    NOT NULL,                                    -- the app's data key, for the holder
    mac        BLOB    NOT NULL,                                    -- keyed hash of the grant and the app's version
    PRIMARY KEY (app, holder)
) STRICT, WITHOUT ROWID;

CREATE INDEX app_grants_of ON app_grants (holder);
