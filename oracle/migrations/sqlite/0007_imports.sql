-- What was imported from another service, and what of it is still as it was there: encrypted under an API secret and
-- nothing else, and sealed here under the data key that its row names. Times are Unix milliseconds.
--
-- This step only adds. The first import raises its `needs`, for programs before it would lose or leave what is imported.

-- Remembers what was imported, so that an export that is read again changes nothing and brings nothing back.
CREATE TABLE imports (
    id     BLOB NOT NULL PRIMARY KEY,    -- keyed hash of the record's name
    digest BLOB NOT NULL    -- keyed hash of the record
) STRICT, WITHOUT ROWID;

-- A user's security keys. Their ids are not known before the API secret is: then they become rows of credentials.
CREATE TABLE legacy_users (
    owner      BLOB    NOT NULL,    -- as in credentials
    data_key   INTEGER NOT NULL REFERENCES data_keys (number),
    created_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    PRIMARY KEY (owner, data_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX legacy_users_by_data_key ON legacy_users (data_key);

ALTER TABLE totps ADD COLUMN legacy INTEGER NOT NULL DEFAULT 0;
CREATE INDEX totps_legacy ON totps (data_key) WHERE legacy = 1;

-- What such records are encrypted under, once the API secret was seen; sealed under the data key itself.
ALTER TABLE data_keys ADD COLUMN legacy_key BLOB;
