-- No app gets the number of one that is gone: the audit log names a damaged app by it. An embedded engine gives the highest one
-- again unless the table says otherwise, which no statement adds to a table: so it is made anew, with what it has, and with it
-- the one that refers to it.

CREATE TABLE apps_anew (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB    NOT NULL UNIQUE,                               -- keyed hash of its UUID
    version  INTEGER NOT NULL,                                      -- begins at random, grows whenever somebody loses a right
    revision INTEGER NOT NULL,                                      -- grows with every change
    owed     INTEGER NOT NULL,                                      -- whether it must be sealed under another data key
    added_at INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;

CREATE TABLE app_grants_anew (
    app        INTEGER NOT NULL REFERENCES apps_anew (number) ON DELETE CASCADE,
    holder     INTEGER NOT NULL REFERENCES app_holders (number) ON DELETE CASCADE,
    level      INTEGER NOT NULL CHECK (level BETWEEN 1 AND 3),      -- 1 code, 2 manage, 3 owner
    granted_at INTEGER NOT NULL,
    sealed_key BLOB    NOT NULL,                                    -- the app's data key, for the holder
    mac        BLOB    NOT NULL,                                    -- keyed hash of the grant and the app's version
    PRIMARY KEY (app, holder)
) STRICT, WITHOUT ROWID;

INSERT INTO apps_anew SELECT number, id, version, revision, owed, added_at, sealed FROM apps;
INSERT INTO app_grants_anew SELECT app, holder, level, granted_at, sealed_key, mac FROM app_grants
    -- A row that somebody wrote past the rules of the schema grants nothing, and stops no step.
    WHERE app IN (SELECT number FROM apps) AND holder IN (SELECT number FROM app_holders);
DROP TABLE app_grants;
DROP TABLE apps;
ALTER TABLE apps_anew RENAME TO apps;
ALTER TABLE app_grants_anew RENAME TO app_grants;
CREATE INDEX app_grants_of ON app_grants (holder);
